#include "base/disk_writes.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

namespace sluice {
namespace {

// Which number in a block device's stat (the kernel's Documentation/block/stat.rst): how many ms
// the writes that are done have taken. It grows when a write ends; of devices that others are below
// (LVM, md) older kernels count writes and sectors when they begin.
constexpr int kWriteTicks = 7;

std::optional<uint64_t> NumberAt(std::string_view text, int index) {
  for (int i = 0;; ++i) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return std::nullopt;
    if (i == index) return number;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
  }
}

class BlockDeviceWrites final : public DiskWrites {
 public:
  explicit BlockDeviceWrites(std::shared_ptr<File> stat) : stat_(std::move(stat)) {}

  std::optional<uint64_t> Completed() const override {
    char text[512];
    const Result<size_t> size = stat_->ReadAt(0, text, sizeof text);
    if (!size.ok()) return std::nullopt;  // the device is gone
    return NumberAt(std::string_view(text, *size), kWriteTicks);
  }

 private:
  // Stays open: no path has to be looked up while the disk may hang.
  const std::shared_ptr<File> stat_;
};

}  // namespace

std::unique_ptr<DiskWrites> OpenWritesOfDevice(FileSystem& fs, uint32_t major, uint32_t minor) {
  const std::string path =
      "/sys/dev/block/" + std::to_string(major) + ":" + std::to_string(minor) + "/stat";
  Result<std::shared_ptr<File>> stat = fs.Open(path, OpenMode::kRead);
  if (!stat.ok()) return nullptr;
  auto writes = std::make_unique<BlockDeviceWrites>(*std::move(stat));
  if (!writes->Completed().has_value()) return nullptr;
  return writes;
}

std::unique_ptr<DiskWrites> OpenDiskWrites(FileSystem& fs, const std::string& directory) {
  struct stat info {};
  if (stat(directory.c_str(), &info) != 0) return nullptr;
  return OpenWritesOfDevice(fs, major(info.st_dev), minor(info.st_dev));
}

}  // namespace sluice
