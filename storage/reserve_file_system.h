#pragma once
// ReserveFileSystem: a file system whose writer does not stop at a full disk while its node's
// SpaceReserve lasts. A call that finds no room is made again, the same call with the same bytes at
// the same place, once a piece of the reserve was given up. So whoever writes never sees the first
// failure, and has nothing to take back: what half of a write left in the file is written over.
//
// A failed sync is passed on, whatever its reason: the pages may be gone (base/file_system.h), and
// a second one proves nothing.
//
// When not to use: where a refusal for want of room is an answer, as for appends of records.
//
// Thread rule: that of what is below it. Both, and the reserve, outlive its files.

#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "storage/space_reserve.h"

namespace sluice::storage {

class ReserveFileSystem final : public FileSystem {
 public:
  // Neither is owned.
  ReserveFileSystem(FileSystem& below, SpaceReserve& reserve) : below_(below), reserve_(reserve) {}

  Result<std::shared_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  Status CreateDirectories(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& path) override;
  bool Exists(const std::string& path) override;
  Result<uint64_t> FileSize(const std::string& path) override;
  bool IsDirectory(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status RemoveAll(const std::string& path) override;
  Status SyncDirectory(const std::string& path) override;
  Status SyncFileSystem(const std::string& path) override;
  Result<std::unique_ptr<WholeFileSystem>> OpenWhole(const std::string& path) override;
  Result<std::unique_ptr<FileLock>> Lock(const std::string& path) override;
  Result<DiskSpace> Space(const std::string& path) override;

 private:
  FileSystem& below_;
  SpaceReserve& reserve_;
};

}  // namespace sluice::storage
