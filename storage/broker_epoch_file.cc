#include "storage/broker_epoch_file.h"

#include <glog/logging.h>

#include <charconv>

namespace sluice::storage {
namespace {

constexpr size_t kDigits = 20;

std::string PathIn(const std::string& directory) { return directory + "/" + kBrokerEpochName; }

// Of the same length whatever the epoch.
std::string TextOf(BrokerEpoch epoch) {
  std::string digits = std::to_string(epoch.value());
  digits.insert(0, kDigits - digits.size(), '0');
  return digits + "\n";
}

// In place, which needs no room and no other name, unless what is there is no such text: the rest
// of something longer would stay behind it.
Status WriteOver(FileSystem& fs, const std::string& path, BrokerEpoch epoch) {
  const std::string text = TextOf(epoch);
  SLUICE_ASSIGN_OR_RETURN(const auto file, fs.Open(path, OpenMode::kReadWrite));
  SLUICE_ASSIGN_OR_RETURN(const uint64_t size_bytes, file->Size());
  if (size_bytes != text.size()) return WriteFileAtomically(fs, path, text);
  SLUICE_RETURN_IF_ERROR(file->WriteAt(0, text));
  return file->Sync();
}

}  // namespace

Result<int64_t> ReadBrokerEpoch(FileSystem& fs, const std::string& directory) {
  const std::string path = PathIn(directory);
  if (!fs.Exists(path)) return -1;
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(fs, path));
  int64_t epoch = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), epoch);
  if (error == std::errc() && end == text.data() + kDigits && text.size() == kDigits + 1)
    return epoch;
  LOG(WARNING) << path << " holds no epoch; it is taken as absent";
  return -1;
}

Status KeepBrokerEpoch(FileSystem& fs, const std::string& directory, BrokerEpoch epoch) {
  const std::string path = PathIn(directory);
  const bool there = fs.Exists(path);
  const Status kept =
      there ? WriteOver(fs, path, epoch) : WriteFileAtomically(fs, path, TextOf(epoch));
  if (kept.code() != StatusCode::kDiskFull) return kept;
  // Without the file the directory is judged as one of an older version, which is no worse than
  // before. With an epoch of the past it would pass for an older copy, and it is none.
  LOG(WARNING) << "cannot keep the broker's epoch: " << kept.ToString();
  if (!there) return Status::Ok();
  SLUICE_RETURN_IF_ERROR(fs.Remove(path));
  return fs.SyncDirectory(directory);
}

}  // namespace sluice::storage
