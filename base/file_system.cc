#include "base/file_system.h"

namespace sluice {

Result<std::string> ReadFile(FileSystem& fs, const std::string& path) {
  SLUICE_ASSIGN_OR_RETURN(const std::shared_ptr<File> file, fs.Open(path, OpenMode::kRead));
  SLUICE_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  std::string content(size, '\0');
  SLUICE_ASSIGN_OR_RETURN(const size_t got, file->ReadAt(0, content.data(), content.size()));
  content.resize(got);
  return content;
}

Status WriteFileAtomically(FileSystem& fs, const std::string& path, std::string_view data) {
  const std::string temporary = path + ".tmp";
  {
    SLUICE_ASSIGN_OR_RETURN(const std::shared_ptr<File> file,
                            fs.Open(temporary, OpenMode::kCreateTruncate));
    SLUICE_RETURN_IF_ERROR(file->WriteAt(0, data));
    SLUICE_RETURN_IF_ERROR(file->Sync());
  }
  SLUICE_RETURN_IF_ERROR(fs.Rename(temporary, path));
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return fs.SyncDirectory(".");
  return fs.SyncDirectory(slash == 0 ? "/" : path.substr(0, slash));
}

}  // namespace sluice
