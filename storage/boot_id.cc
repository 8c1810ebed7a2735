#include "storage/boot_id.h"

namespace sluice::storage {
namespace {

constexpr char kBootIdFile[] = "/boot-id";

}  // namespace

bool HostRestarted(FileSystem& fs, const std::string& directory, const std::string& boot_id) {
  const std::string path = directory + kBootIdFile;
  if (boot_id.empty() || !fs.Exists(path)) return true;
  const Result<std::string> kept = ReadFile(fs, path);
  return !kept.ok() || *kept != boot_id;
}

bool TakenOver(FileSystem& fs, const std::string& directory) {
  return !fs.Exists(directory + kBootIdFile);
}

void KeepBootId(FileSystem& fs, const std::string& directory, const std::string& boot_id) {
  if (!HostRestarted(fs, directory, boot_id)) return;
  const Status written = WriteFileAtomically(fs, directory + kBootIdFile, boot_id);
  LOG_IF(WARNING, !written.ok()) << "cannot keep the boot id: " << written.ToString();
}

}  // namespace sluice::storage
