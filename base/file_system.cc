#include "base/file_system.h"

#include <algorithm>

namespace sluice {

namespace {

class WholeByPath final : public WholeFileSystem {
 public:
  WholeByPath(FileSystem& fs, std::string path) : fs_(fs), path_(std::move(path)) {}
  Status Sync() override { return fs_.SyncFileSystem(path_); }

 private:
  FileSystem& fs_;
  const std::string path_;
};

}  // namespace

Result<std::unique_ptr<WholeFileSystem>> FileSystem::OpenWhole(const std::string& path) {
  if (!Exists(path))
    return Status::NotFound("cannot open " + path + ": there is no such directory");
  return std::unique_ptr<WholeFileSystem>(std::make_unique<WholeByPath>(*this, path));
}

Result<uint64_t> FileSystem::FileSize(const std::string& path) {
  SLUICE_ASSIGN_OR_RETURN(const auto file, Open(path, OpenMode::kRead));
  return file->Size();
}

Result<std::string> ReadFile(FileSystem& fs, const std::string& path) {
  SLUICE_ASSIGN_OR_RETURN(const std::shared_ptr<File> file, fs.Open(path, OpenMode::kRead));
  SLUICE_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  // The size is a hint: files of /proc say 0 and hold something all the same.
  constexpr size_t kReadMoreBytes = 4096;
  std::string content;
  while (true) {
    const size_t start = content.size();
    content.resize(std::max<size_t>(size, start) + kReadMoreBytes);
    SLUICE_ASSIGN_OR_RETURN(const size_t got,
                            file->ReadAt(start, content.data() + start, content.size() - start));
    const bool at_end = start + got < content.size();
    content.resize(start + got);
    if (at_end) return content;
  }
}

Status WriteFileAtomically(FileSystem& fs, const std::string& path, std::string_view data) {
  const std::string temporary = path + ".tmp";
  {
    SLUICE_ASSIGN_OR_RETURN(const std::shared_ptr<File> file,
                            fs.Open(temporary, OpenMode::kCreateTruncate));
    if (const Status written = file->WriteAt(0, data); !written.ok()) {
      // Half of it would only take room from what needs it.
      (void)fs.Remove(temporary);
      return written;
    }
    SLUICE_RETURN_IF_ERROR(file->Sync());
  }
  SLUICE_RETURN_IF_ERROR(fs.Rename(temporary, path));
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return fs.SyncDirectory(".");
  return fs.SyncDirectory(slash == 0 ? "/" : path.substr(0, slash));
}

}  // namespace sluice
