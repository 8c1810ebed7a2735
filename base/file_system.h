#pragma once
// FileSystem and File: the only way to the disk. PosixFileSystem is the real one;
// base/testing/sim_file_system.h is the simulated twin, which can tear writes, lose what was not
// synced, fail and crash.
//
// Rules of use: a file or rename is durable only after File::Sync *and* FileSystem::SyncDirectory
// of its parent. A failed Sync is terminal for that file: the kernel may have dropped the dirty
// pages, so a second Sync that succeeds proves nothing.
//
// Thread rule: both may be used from any thread. Appends to one File need one owner; reads may run
// beside them.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace sluice {

// An open file, closed by its destructor. Offsets and sizes are bytes.
class File {
 public:
  virtual ~File() = default;
  // Reads up to `size` bytes at `offset` into `out`; fewer only at the end of the file.
  virtual Result<size_t> ReadAt(uint64_t offset, char* out, size_t size) const = 0;
  // The same without ever waiting for the disk: kWouldWait unless all of it is in memory. File
  // systems that cannot tell wait.
  virtual Result<size_t> ReadInMemory(uint64_t offset, char* out, size_t size) const {
    return ReadAt(offset, out, size);
  }
  // Whether reading these bytes, all of which the file has, waits for no disk, as far as can be
  // told for next to nothing.
  virtual bool InMemory([[maybe_unused]] uint64_t offset, [[maybe_unused]] uint64_t size) const {
    return true;
  }
  // Whether half of the pages or more are in memory, of which some may be on their way. As long as
  // that can be told; else as InMemory.
  virtual bool MostlyInMemory(uint64_t offset, uint64_t size) const {
    return InMemory(offset, size);
  }
  // These bytes are read soon: the system may fetch them meanwhile. A hint that may do nothing.
  virtual void WillRead([[maybe_unused]] uint64_t offset, [[maybe_unused]] uint64_t size) const {}
  // They are not read soon: the memory that holds them may serve others. A hint as well.
  virtual void WontRead([[maybe_unused]] uint64_t offset, [[maybe_unused]] uint64_t size) const {}
  // Writes all parts one after another at `offset` (pwritev), growing the file. kDiskFull when
  // there is no room.
  virtual Status WriteParts(uint64_t offset, std::span<const std::string_view> parts) = 0;
  Status WriteAt(uint64_t offset, std::string_view data) {
    return WriteParts(offset, std::span<const std::string_view>(&data, 1));
  }
  virtual Status Truncate(uint64_t size) = 0;
  virtual Result<uint64_t> Size() const = 0;
  // fdatasync: the bytes (and the size, if it changed) are on the device when this returns OK.
  virtual Status Sync() = 0;
  // The descriptor for sendfile, or -1 where there is none (simulated files).
  virtual int descriptor() const { return -1; }
};

enum class OpenMode {
  kRead,            // must exist
  kReadWrite,       // must exist
  kCreate,          // opened or created, for reading and writing
  kCreateTruncate,  // created empty, whatever was there
};

// Holds an advisory lock on a file until destroyed.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

// A file system that is kept open, for syncs of all that is dirty in it (syncfs). Linux tells each
// opening once of a write that failed since, and an opening that comes later may not hear of it: so
// it is opened before what it has to vouch for is written.
class WholeFileSystem {
 public:
  virtual ~WholeFileSystem() = default;
  virtual Status Sync() = 0;
};

struct DiskSpace {
  uint64_t total_bytes = 0;
  uint64_t free_bytes = 0;  // for an unprivileged process
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::shared_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  // Makes the directory and its missing parents.
  virtual Status CreateDirectories(const std::string& path) = 0;
  // Names (not paths) in the directory, sorted.
  virtual Result<std::vector<std::string>> List(const std::string& path) = 0;
  virtual bool Exists(const std::string& path) = 0;
  // Of a file, without opening it where that can be told.
  virtual Result<uint64_t> FileSize(const std::string& path);
  virtual bool IsDirectory(const std::string& path) = 0;
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  virtual Status Remove(const std::string& path) = 0;
  virtual Status RemoveAll(const std::string& path) = 0;
  // Makes creations, renames and removals in the directory durable.
  virtual Status SyncDirectory(const std::string& path) = 0;
  // syncfs: all dirty data of the file system that holds `path`.
  virtual Status SyncFileSystem(const std::string& path) = 0;
  // The one that holds `path`. Without an override: SyncFileSystem, each time.
  virtual Result<std::unique_ptr<WholeFileSystem>> OpenWhole(const std::string& path);
  // kUnavailable when another process holds it.
  virtual Result<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;
  virtual Result<DiskSpace> Space(const std::string& path) = 0;
};

std::unique_ptr<FileSystem> NewPosixFileSystem();

// The whole file as a string.
Result<std::string> ReadFile(FileSystem& fs, const std::string& path);
// Writes path + ".tmp", syncs it, renames it over `path` and syncs the parent: readers see the old
// or the new file whole.
Status WriteFileAtomically(FileSystem& fs, const std::string& path, std::string_view data);

}  // namespace sluice
