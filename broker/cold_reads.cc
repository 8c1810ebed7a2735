#include "broker/cold_reads.h"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

namespace sluice::broker {
namespace {

// Reads all of it; a file that ends before has been cut, and whoever uses it will find out.
Status ReadThrough(const FileSlice& slice) {
  std::array<char, 32768> unused;
  for (uint32_t done = 0; done < slice.size_bytes;) {
    const size_t step = std::min<size_t>(unused.size(), slice.size_bytes - done);
    SLUICE_ASSIGN_OR_RETURN(const size_t got,
                            slice.file->ReadAt(slice.offset + done, unused.data(), step));
    if (got == 0) break;
    done += static_cast<uint32_t>(got);
  }
  return Status::Ok();
}

// How much of a range the file has. The rest is not in memory either, but is not old: it will be
// the hot tail when producers have written it, and must not be noted as something that leaves
// again.
uint64_t ThereFrom(const File& file, uint64_t offset, uint64_t size_bytes) {
  if (size_bytes == 0) return 0;
  const Result<uint64_t> end = file.Size();
  return end.ok() && *end > offset ? std::min(size_bytes, *end - offset) : 0;
}

}  // namespace

ColdReads::ColdReads(std::vector<EventLoop*> loops, uint64_t kept_bytes)
    : loops_(std::move(loops)), pages_(std::make_shared<storage::ColdPages>(kept_bytes)) {
  CHECK(!loops_.empty());
}

EventLoop& ColdReads::LoopFor(const FileSlice& slice) const {
  const size_t readers = std::max<size_t>(loops_.size() - 1, 1);
  return *loops_[std::hash<const File*>()(slice.file.get()) / alignof(std::max_align_t) % readers];
}

void ColdReads::BringIn(storage::Lacking lacking, Wanted wanted,
                        std::function<void(const Status&)> then) {
  if (lacking.mending != nullptr) {
    loops_.back()->Post(
        [mending = std::move(lacking.mending), wanted = std::move(wanted), then = std::move(then)] {
          if (!wanted()) return;
          mending->Run();
          then(Status::Ok());
        });
    return;
  }
  if (lacking.passing) {
    return BringInPassing(std::move(lacking.slice), kAheadBytes, std::move(wanted),
                          [then = std::move(then)](const Status& read, const Pin&) { then(read); });
  }
  FileSlice& slice = lacking.slice;
  EventLoop& loop = LoopFor(slice);
  loop.Post([slice = std::move(slice), wanted = std::move(wanted), then = std::move(then)] {
    if (!wanted()) return;
    slice.file->WillRead(slice.offset, slice.size_bytes);
    then(ReadThrough(slice));
  });
}

void ColdReads::BringInPassing(FileSlice slice, uint64_t ahead_bytes, Wanted wanted,
                               std::function<void(const Status&, Pin)> then) {
  // Named first: the slice is moved from.
  EventLoop& loop = LoopFor(slice);
  loop.Post([pages = pages_, slice = std::move(slice), ahead_bytes, wanted = std::move(wanted),
             then = std::move(then)] {
    if (!wanted()) return;
    Pin pin = pages->Note(slice.file, slice.offset, slice.size_bytes);
    slice.file->WillRead(slice.offset, slice.size_bytes);
    const uint64_t next = slice.offset + slice.size_bytes;
    if (const uint64_t bytes = ThereFrom(*slice.file, next, ahead_bytes); bytes > 0) {
      (void)pages->Note(slice.file, next, bytes);
      slice.file->WillRead(next, bytes);
    }
    const Status read = ReadThrough(slice);
    then(read, std::move(pin));
  });
}

}  // namespace sluice::broker
