#include "storage/testing/copy_as_killed.h"

#include <cstdint>
#include <filesystem>
#include <map>

namespace sluice::storage::testing {
namespace {

namespace fs = std::filesystem;

// Names and sizes.
using Files = std::map<std::string, uintmax_t>;

Files FilesOf(const fs::path& directory) {
  Files files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    std::error_code gone;
    const uintmax_t size = fs::file_size(entry.path(), gone);
    if (!gone) files[entry.path().filename()] = size;
  }
  return files;
}

bool CopyFiles(const Files& files, const fs::path& from, const fs::path& to) {
  for (const auto& [name, size] : files) {
    std::error_code failed;
    if (!fs::copy_file(from / name, to / name, failed)) return false;
  }
  return true;
}

}  // namespace

void CopyAsKilled(const std::string& from, const std::string& to) {
  for (bool is_one_moment = false; !is_one_moment;) {
    fs::remove_all(to);
    fs::create_directories(to);
    const Files files = FilesOf(from);
    is_one_moment = CopyFiles(files, from, to) && FilesOf(from) == files && FilesOf(to) == files;
  }
}

}  // namespace sluice::storage::testing
