#include "broker/net/socket_writer.h"

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

void SocketWriter::Add(OutputChain chain) {
  for (OutputChain::Segment& segment : chain.segments()) queue_.push_back(std::move(segment));
}

void SocketWriter::Age() {
  for (size_t i = 0; i < aged_; ++i) {
    if (auto* const slice = std::get_if<FileSlice>(&queue_[i])) slice->hot = false;
  }
  aged_ = queue_.size();
}

SocketWriter::Outcome SocketWriter::Flush(int socket) {
  const uint64_t start_bytes = written_bytes_;
  while (!queue_.empty()) {
    if (!read_error_.empty()) {
      error_ = read_error_;
      return Outcome::kFailed;
    }
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
  const size_t size_max = front_written_ < front_warm_
                              ? std::min(kFileStepBytes, front_warm_ - front_written_)
                              : kFileStepBytes;
  const size_t size = std::min<size_t>(size_max, slice.size_bytes - front_written_);
  if (MustBeReadFirst(slice, size)) return Outcome::kCold;
  const int descriptor = slice.file->descriptor();
  if (descriptor < 0) return CopyFile(socket, slice);
  off_t offset = static_cast<off_t>(slice.offset + front_written_);
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
    front_warm_ = 0;
    pin_.reset();
    queue_.pop_front();
    if (aged_ > 0) --aged_;
  }
}

bool SocketWriter::MustBeReadFirst(const FileSlice& slice, size_t size_bytes) {
  if (slice.hot || front_written_ + size_bytes <= front_warm_) return false;
  const uint64_t offset = slice.offset + front_written_;
  if (slice.file->InMemory(offset, size_bytes)) return false;
  const size_t left = slice.size_bytes - front_written_;
  cold_ = {slice.file, offset, static_cast<uint32_t>(std::min(kColdStepBytes, left))};
  return true;
}

void SocketWriter::BroughtIn(const Status& read, ColdReads::Pin pin) {
  if (read.ok()) {
    front_warm_ = front_written_ + cold_.size_bytes;
    pin_ = std::move(pin);
  } else {
    // sendfile would wait for the same disk to fail again.
    read_error_ = read.ToString();
  }
  cold_.file.reset();
}

}  // namespace sluice::broker
