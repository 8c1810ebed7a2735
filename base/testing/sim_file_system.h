#pragma once
// SimFileSystem: the in-memory twin of the disk, for tests and the simulator. It knows for each
// byte and each directory entry whether it was synced, and Crash() takes away or tears what was
// not, as a power cut may:
//
//   1. bytes written since the last File::Sync: each 512-byte sector keeps its old or gets its new
//   content, the file its old or new
//      size or one between, and holes read as zeros;
//   2. creations, renames and removals since the last SyncDirectory of their parent: of each
//   directory a prefix of them
//      survives. A rename is never halved. As POSIX promises no more, syncing a file or a directory
//      does not make the entry durable that its parent has for it: a test that means to start from
//      a durable directory calls SyncFileSystem("/") first.
//
// A crash makes open files and locks useless, as the end of the process would.
//
// Its page cache holds everything until a test says DropCaches: from then on a ReadAt of what is
// not in memory waits for the disk, which is counted, and told to whom set_on_wait names.
//
//   SimFileSystem fs;
//   fs.InjectFault({.operation = FileOperation::kSync, .path_part = ".log", .status =
//   Status::IoError("EIO")});
//
// Thread rule: thread-safe; deterministic when used from one thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/random.h"

namespace sluice::testing {

enum class FileOperation {
  kOpen,
  kRead,
  kWrite,
  kTruncate,
  kSync,
  kSyncDirectory,
  kSyncFileSystem,
  kRename,
  kRemove,
  kCreateDirectories,
  kList,
  kLock,
};

// Fails operations that would otherwise be done. A failed sync also forgets which bytes were dirty,
// as the kernel may: a later sync that succeeds does not make them durable.
struct FileFault {
  FileOperation operation = FileOperation::kSync;
  std::string path_part;  // matches when the path contains it; empty matches all
  Status status = Status::IoError("injected fault");
  int skip = 0;   // matching operations to let pass first
  int times = 1;  // then to fail; -1 = all
};

// How often each thing was done with success; group commit tests count them.
struct FileSystemCounts {
  uint64_t writes = 0;
  uint64_t file_syncs = 0;
  uint64_t directory_syncs = 0;
  uint64_t file_system_syncs = 0;
  uint64_t waits = 0;            // reads that had to wait for the disk
  uint64_t memory_asked = 0;     // how often somebody asked whether something is in memory
  uint64_t bytes_from_disk = 0;  // that those reads brought into memory, in whole pages
};

class SimFileSystem final : public FileSystem {
 public:
  SimFileSystem();
  ~SimFileSystem() override;

  Result<std::shared_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  Status CreateDirectories(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& path) override;
  bool Exists(const std::string& path) override;
  bool IsDirectory(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status RemoveAll(const std::string& path) override;
  Status SyncDirectory(const std::string& path) override;
  Status SyncFileSystem(const std::string& path) override;
  Result<std::unique_ptr<FileLock>> Lock(const std::string& path) override;
  Result<DiskSpace> Space(const std::string& path) override;

  // Power cut and restart.
  void Crash(Random& random);
  // The process dies, the machine lives: nothing is lost, but open files and locks end.
  void KillProcess();

  // The process stops in the middle of what it does: so many more changes (writes, syncs, renames,
  // openings that may create...) are done, of the next one, if it is a write, half, and then
  // nothing, reads included, until Crash or KillProcess. -1: never.
  void StopAfter(int64_t changes);
  // It has come to that.
  bool stopped() const;
  // That were done so far: what a run without a stop tells of its possible crash points.
  int64_t changes() const;
  void InjectFault(FileFault fault);
  void ClearFaults();
  // Some fault has failed less often than it is to.
  bool faults_left() const;
  // The disk holds this many bytes of files; a write that would pass it is cut short with
  // kDiskFull. `below`: a directory that is a disk of its own.
  void set_capacity_bytes(uint64_t capacity, const std::string& below = "");
  // Turns over one bit of the stored file, synced and all. CHECKs that the byte exists.
  void FlipBit(const std::string& path, uint64_t offset, int bit);
  // Whether a power cut now would leave these bytes of the file as they are.
  bool Durable(const std::string& path, uint64_t offset, uint64_t size) const;
  FileSystemCounts counts() const;

  // Whatever is synced leaves the memory, of files whose path contains `path_part`.
  void DropCaches(const std::string& path_part = "");
  // How much of a file is in memory, in whole pages.
  uint64_t BytesInMemory(const std::string& path) const;
  // Called with the path before each read that waits for the disk; it must not call back.
  void set_on_wait(std::function<void(const std::string&)> on_wait);

  struct State;  // shared with open files, which may outlive this

 private:
  std::shared_ptr<State> state_;
};

}  // namespace sluice::testing
