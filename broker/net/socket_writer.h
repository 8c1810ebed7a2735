#pragma once
// SocketWriter: what a connection has still to send, written with as few system calls as possible:
// memory segments gathered into one sendmsg, file ranges moved by sendfile. It never waits: for a
// full socket it says so, and before it touches file pages that are not in the page cache it says
// that too, so that a reactor does not stand still for a disk.
//
// Thread rule: owned by one connection.

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "base/output_chain.h"

namespace sluice::broker {

// A range to bring into the page cache, and one brought earlier that may leave it, so that a reader
// far behind does not push out what everyone else reads.
struct ColdRange {
  std::shared_ptr<File> file;
  uint64_t offset = 0;
  uint32_t size_bytes = 0;
  uint64_t done_offset = 0;
  uint32_t done_size_bytes = 0;
};
// Reads the range from disk; blocking.
void WarmUp(const ColdRange& range);

class SocketWriter {
 public:
  enum class Outcome {
    kDone,        // nothing left
    kWouldBlock,  // wait until the socket is writable
    kYield,       // much was written in one go: let others have their turn, then go on
    kCold,        // WarmUp(cold_range()) elsewhere, then go on
    kFailed,      // the connection is broken, or a file is shorter than promised: close
  };

  void Add(OutputChain chain);
  Outcome Flush(int socket);
  bool empty() const { return queue_.empty(); }
  const ColdRange& cold_range() const { return cold_; }
  uint64_t written_bytes() const { return written_bytes_; }
  // errno or a sentence, after kFailed.
  const std::string& error() const { return error_; }

 private:
  static constexpr size_t kSegmentsPerWrite = 64;
  static constexpr size_t kFileStepBytes = size_t{256} << 10;
  static constexpr size_t kBytesPerTurn = size_t{4} << 20;

  // Each writes some of the front of the queue; kDone = go on.
  Outcome WriteMemory(int socket);
  Outcome WriteFile(int socket);
  Outcome CopyFile(int socket, const FileSlice& slice);
  Outcome FailWithErrno(const char* call);
  void Consume(size_t bytes);
  bool Warm(int descriptor, uint64_t offset, size_t size_bytes);

  std::deque<OutputChain::Segment> queue_;
  size_t front_written_ = 0;  // bytes of the front segment already sent
  uint64_t written_bytes_ = 0;
  ColdRange cold_;
  bool warmed_up_ = false;  // cold_ was just read: do not ask again, whatever the cache did since
  std::string error_;
};

}  // namespace sluice::broker
