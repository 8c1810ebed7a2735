#include "storage/shutdown_marker.h"

#include <charconv>

namespace sluice::storage {
namespace {

// The number behind "brokerEpoch": -1 when there is none, as in markers of older brokers.
int64_t ParseBrokerEpoch(std::string_view json) {
  constexpr std::string_view kKey = "\"brokerEpoch\":";
  const size_t key = json.find(kKey);
  if (key == std::string_view::npos) return -1;
  std::string_view number = json.substr(key + kKey.size());
  while (!number.empty() && number.front() == ' ') number.remove_prefix(1);
  int64_t epoch = -1;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), epoch);
  return error == std::errc() ? epoch : -1;
}

}  // namespace

Result<ShutdownState> TakeShutdownMarker(FileSystem& fs, const std::string& directory) {
  const std::string path = directory + "/" + kShutdownMarkerName;
  if (!fs.Exists(path)) return ShutdownState();
  SLUICE_ASSIGN_OR_RETURN(const std::string json, ReadFile(fs, path));
  SLUICE_RETURN_IF_ERROR(fs.Remove(path));
  SLUICE_RETURN_IF_ERROR(fs.SyncDirectory(directory));
  return ShutdownState{true, ParseBrokerEpoch(json)};
}

Status WriteShutdownMarker(FileSystem& fs, const std::string& directory, BrokerEpoch broker_epoch) {
  return WriteFileAtomically(
      fs, directory + "/" + kShutdownMarkerName,
      "{\"version\":0,\"brokerEpoch\":" + std::to_string(broker_epoch.value()) + "}");
}

}  // namespace sluice::storage
