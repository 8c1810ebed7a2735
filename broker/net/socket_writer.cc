#include "broker/net/socket_writer.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice::broker {

namespace {

bool IsFile(const OutputChain::Segment& segment) {
  return std::holds_alternative<FileSlice>(segment);
}

std::string_view MemoryOf(const OutputChain::Segment& segment) {
  if (const auto* owned = std::get_if<std::string>(&segment)) return *owned;
  return std::get<SharedBytes>(segment).bytes;
}

}  // namespace

void WarmUp(const ColdRange& range) {
  const int descriptor = range.file->descriptor();
  if (range.done_size_bytes > 0) {
    posix_fadvise(descriptor, static_cast<off_t>(range.done_offset), range.done_size_bytes,
                  POSIX_FADV_DONTNEED);
  }
  std::array<char, 16384> unused;
  for (uint32_t done = 0; done < range.size_bytes;) {
    const size_t step = std::min<size_t>(unused.size(), range.size_bytes - done);
    const Result<size_t> got = range.file->ReadAt(range.offset + done, unused.data(), step);
    if (!got.ok() || *got == 0) return;  // sendfile meets the same error and reports it
    done += static_cast<uint32_t>(*got);
  }
}

void SocketWriter::Add(OutputChain chain) {
  for (OutputChain::Segment& segment : chain.segments()) queue_.push_back(std::move(segment));
}

SocketWriter::Outcome SocketWriter::Flush(int socket) {
  const uint64_t start_bytes = written_bytes_;
  while (!queue_.empty()) {
    if (written_bytes_ - start_bytes >= kBytesPerTurn) return Outcome::kYield;
    const Outcome outcome = IsFile(queue_.front()) ? WriteFile(socket) : WriteMemory(socket);
    if (outcome != Outcome::kDone) return outcome;
  }
  return Outcome::kDone;
}

SocketWriter::Outcome SocketWriter::WriteMemory(int socket) {
  std::array<iovec, kSegmentsPerWrite> parts;
  size_t count = 0;
  bool more = false;
  for (const OutputChain::Segment& segment : queue_) {
    more = IsFile(segment);
    if (more || count == parts.size()) break;
    std::string_view bytes = MemoryOf(segment);
    if (count == 0) bytes.remove_prefix(front_written_);
    parts[count++] = {const_cast<char*>(bytes.data()), bytes.size()};
  }
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = count;
  // MSG_MORE: file bytes follow at once, and the header should not travel in a packet of its own.
  const ssize_t sent =
      sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0));
  if (sent < 0) return FailWithErrno("sendmsg");
  Consume(static_cast<size_t>(sent));
  return Outcome::kDone;
}

SocketWriter::Outcome SocketWriter::WriteFile(int socket) {
  const FileSlice& slice = std::get<FileSlice>(queue_.front());
  const int descriptor = slice.file->descriptor();
  if (descriptor < 0) return CopyFile(socket, slice);

  off_t offset = static_cast<off_t>(slice.offset + front_written_);
  const size_t size = std::min<size_t>(kFileStepBytes, slice.size_bytes - front_written_);
  if (!std::exchange(warmed_up_, false) && !Warm(descriptor, static_cast<uint64_t>(offset), size)) {
    const bool same_file = cold_.file == slice.file;
    cold_ = {slice.file, static_cast<uint64_t>(offset), static_cast<uint32_t>(size),
             same_file ? cold_.offset : 0, same_file ? cold_.size_bytes : 0};
    warmed_up_ = true;
    return Outcome::kCold;
  }
  const ssize_t sent = sendfile(socket, descriptor, &offset, size);
  if (sent < 0) return FailWithErrno("sendfile");
  if (sent == 0) {
    error_ = "a segment file is shorter than the range promised to a client";
    return Outcome::kFailed;
  }
  Consume(static_cast<size_t>(sent));
  return Outcome::kDone;
}

// For files without a descriptor: through a bounded buffer.
SocketWriter::Outcome SocketWriter::CopyFile(int socket, const FileSlice& slice) {
  std::array<char, 16384> buffer;
  const size_t size = std::min<size_t>(buffer.size(), slice.size_bytes - front_written_);
  const Result<size_t> got = slice.file->ReadAt(slice.offset + front_written_, buffer.data(), size);
  if (!got.ok() || *got == 0) {
    error_ = got.ok() ? "a segment file is shorter than the range promised to a client"
                      : got.status().ToString();
    return Outcome::kFailed;
  }
  const ssize_t sent = send(socket, buffer.data(), *got, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0) return FailWithErrno("send");
  Consume(static_cast<size_t>(sent));
  return Outcome::kDone;
}

SocketWriter::Outcome SocketWriter::FailWithErrno(const char* call) {
  if (errno == EINTR) return Outcome::kDone;
  if (errno == EAGAIN || errno == EWOULDBLOCK) return Outcome::kWouldBlock;
  error_ = std::string(call) + ": " + std::strerror(errno);
  return Outcome::kFailed;
}

void SocketWriter::Consume(size_t bytes) {
  written_bytes_ += bytes;
  front_written_ += bytes;
  while (!queue_.empty() && front_written_ >= OutputChain::SizeOf(queue_.front())) {
    front_written_ -= OutputChain::SizeOf(queue_.front());
    queue_.pop_front();
  }
}

// Asks for one byte at either end without waiting for the disk. File systems that cannot tell count
// as warm.
bool SocketWriter::Warm(int descriptor, uint64_t offset, size_t size_bytes) {
  for (const uint64_t position : {offset, offset + size_bytes - 1}) {
    char byte;
    iovec part{&byte, 1};
    const ssize_t got = preadv2(descriptor, &part, 1, static_cast<off_t>(position), RWF_NOWAIT);
    if (got < 0 && errno == EAGAIN) return false;
  }
  return true;
}

}  // namespace sluice::broker
