#include "storage/reserve_file_system.h"

#include <span>
#include <string_view>
#include <utility>

namespace sluice::storage {
namespace {

class ReserveFile final : public File {
 public:
  ReserveFile(std::shared_ptr<File> below, SpaceReserve& reserve)
      : below_(std::move(below)), reserve_(reserve) {}

  Result<size_t> ReadAt(uint64_t offset, char* out, size_t size) const override {
    return below_->ReadAt(offset, out, size);
  }
  Result<size_t> ReadInMemory(uint64_t offset, char* out, size_t size) const override {
    return below_->ReadInMemory(offset, out, size);
  }
  bool InMemory(uint64_t offset, uint64_t size) const override {
    return below_->InMemory(offset, size);
  }
  bool MostlyInMemory(uint64_t offset, uint64_t size) const override {
    return below_->MostlyInMemory(offset, size);
  }
  void WillRead(uint64_t offset, uint64_t size) const override { below_->WillRead(offset, size); }
  void WontRead(uint64_t offset, uint64_t size) const override { below_->WontRead(offset, size); }
  Status WriteParts(uint64_t offset, std::span<const std::string_view> parts) override {
    return WithReserve(reserve_, [&] { return below_->WriteParts(offset, parts); });
  }
  Status Truncate(uint64_t size) override {
    return WithReserve(reserve_, [&] { return below_->Truncate(size); });
  }
  Result<uint64_t> Size() const override { return below_->Size(); }
  Status Sync() override { return below_->Sync(); }
  int descriptor() const override { return below_->descriptor(); }

 private:
  const std::shared_ptr<File> below_;
  SpaceReserve& reserve_;
};

}  // namespace

Result<std::shared_ptr<File>> ReserveFileSystem::Open(const std::string& path, OpenMode mode) {
  SLUICE_ASSIGN_OR_RETURN(auto file,
                          WithReserve(reserve_, [&] { return below_.Open(path, mode); }));
  return std::shared_ptr<File>(std::make_shared<ReserveFile>(std::move(file), reserve_));
}

Status ReserveFileSystem::CreateDirectories(const std::string& path) {
  return WithReserve(reserve_, [&] { return below_.CreateDirectories(path); });
}

Result<std::vector<std::string>> ReserveFileSystem::List(const std::string& path) {
  return below_.List(path);
}

bool ReserveFileSystem::Exists(const std::string& path) { return below_.Exists(path); }

Result<uint64_t> ReserveFileSystem::FileSize(const std::string& path) {
  return below_.FileSize(path);
}

bool ReserveFileSystem::IsDirectory(const std::string& path) { return below_.IsDirectory(path); }

Status ReserveFileSystem::Rename(const std::string& from, const std::string& to) {
  return WithReserve(reserve_, [&] { return below_.Rename(from, to); });
}

// Some file systems need room even for this.
Status ReserveFileSystem::Remove(const std::string& path) {
  return WithReserve(reserve_, [&] { return below_.Remove(path); });
}

Status ReserveFileSystem::RemoveAll(const std::string& path) {
  return WithReserve(reserve_, [&] { return below_.RemoveAll(path); });
}

Status ReserveFileSystem::SyncDirectory(const std::string& path) {
  return below_.SyncDirectory(path);
}

Status ReserveFileSystem::SyncFileSystem(const std::string& path) {
  return below_.SyncFileSystem(path);
}

Result<std::unique_ptr<WholeFileSystem>> ReserveFileSystem::OpenWhole(const std::string& path) {
  return below_.OpenWhole(path);
}

Result<std::unique_ptr<FileLock>> ReserveFileSystem::Lock(const std::string& path) {
  return WithReserve(reserve_, [&] { return below_.Lock(path); });
}

Result<DiskSpace> ReserveFileSystem::Space(const std::string& path) { return below_.Space(path); }

}  // namespace sluice::storage
