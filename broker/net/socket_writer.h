#pragma once
// SocketWriter: what a connection has still to send, written with as few system calls as possible:
// memory segments gathered into one sendmsg, file ranges moved by sendfile. It never waits: for a
// full socket it says so, and before it touches parts of files that are not in memory it says that
// too, so that a reactor does not stand still for a disk. What was written moments ago is not asked
// about.
//
// Thread rule: owned by one connection.

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "base/output_chain.h"
#include "base/status.h"
#include "broker/cold_reads.h"

namespace sluice::broker {

class SocketWriter {
 public:
  enum class Outcome {
    kDone,        // nothing left
    kWouldBlock,  // wait until the socket is writable
    kYield,       // much was written in one go: let others have their turn, then go on
    kCold,        // cold() has to be brought into memory elsewhere: BroughtIn, then go on
    kFailed,      // the connection is broken, or a file is shorter than promised: close
  };

  void Add(OutputChain chain);
  Outcome Flush(int socket);
  bool empty() const { return queue_.empty(); }
  // Called every second or so: what has waited since the last call for a client to take it need not
  // be in memory any more.
  void Age();
  const FileSlice& cold() const { return cold_; }
  // It was read, and stays in memory while the pin is held; or why it could not be read.
  void BroughtIn(const Status& read, ColdReads::Pin pin);
  uint64_t written_bytes() const { return written_bytes_; }
  // errno or a sentence, after kFailed.
  const std::string& error() const { return error_; }

 private:
  static constexpr size_t kSegmentsPerWrite = 64;
  static constexpr size_t kFileStepBytes = size_t{256} << 10;
  static constexpr size_t kColdStepBytes = size_t{512} << 10;
  static constexpr size_t kBytesPerTurn = size_t{4} << 20;

  // Each writes some of the front of the queue; kDone = go on.
  Outcome WriteMemory(int socket);
  Outcome WriteFile(int socket);
  Outcome CopyFile(int socket, const FileSlice& slice);
  Outcome FailWithErrno(const char* call);
  void Consume(size_t bytes);
  bool MustBeReadFirst(const FileSlice& slice, size_t size_bytes);

  std::deque<OutputChain::Segment> queue_;
  size_t aged_ = 0;           // of its segments, those that were there when Age was called last
  size_t front_written_ = 0;  // bytes of the front segment already sent
  uint64_t written_bytes_ = 0;
  FileSlice cold_;
  // Of the front segment, the bytes that were brought in for it: they are not asked about again.
  size_t front_warm_ = 0;
  ColdReads::Pin pin_;
  std::string read_error_;
  std::string error_;
};

}  // namespace sluice::broker
