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
  const std::string marker = directory + "/" + kShutdownMarkerName;
  const std::string note = directory + "/" + kStopNoteName;
  ShutdownState state;
  const bool stopped = fs.Exists(marker) || fs.Exists(note);
  if (fs.Exists(marker)) {
    SLUICE_ASSIGN_OR_RETURN(const std::string json, ReadFile(fs, marker));
    SLUICE_RETURN_IF_ERROR(fs.Remove(marker));
    state = {.clean = true, .broker_epoch = ParseBrokerEpoch(json), .why_unclean = ""};
  }
  if (fs.Exists(note)) {
    // No stop leaves both.
    state = ShutdownState();
    SLUICE_ASSIGN_OR_RETURN(state.why_unclean, ReadFile(fs, note));
    SLUICE_RETURN_IF_ERROR(fs.Remove(note));
  }
  if (stopped) SLUICE_RETURN_IF_ERROR(fs.SyncDirectory(directory));
  return state;
}

Status WriteStopNote(FileSystem& fs, const std::string& directory, const std::string& why) {
  return WriteFileAtomically(fs, directory + "/" + kStopNoteName, why);
}

Status WriteShutdownMarker(FileSystem& fs, const std::string& directory, BrokerEpoch broker_epoch) {
  return WriteFileAtomically(
      fs, directory + "/" + kShutdownMarkerName,
      "{\"version\":0,\"brokerEpoch\":" + std::to_string(broker_epoch.value()) + "}");
}

}  // namespace sluice::storage
