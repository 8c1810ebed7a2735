#include "cli/group_output.h"

#include <cstdio>
#include <ctime>

namespace sluice::cli {

ExitCode ReportGroupError(const AdminClient& client, const std::string& what,
                          const Status& status) {
  if (status.code() == StatusCode::kNotFound &&
      status.message().find("topic '") == std::string::npos) {
    PrintError(what, status.message(), "sluice group list shows the groups");
    return ExitCodeOf(status);
  }
  if (status.code() == StatusCode::kFenced) {
    PrintError(what, status.message(),
               "stop the group's consumers first; a killed one counts until its session timeout is "
               "over (sluice group describe shows them)");
    return ExitCodeOf(status);
  }
  return client.Report(what, status);
}

std::string UtcTime(int64_t wall_ms) {
  const std::time_t seconds = wall_ms / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  const size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  snprintf(text + size, sizeof text - size, ".%03dZ", static_cast<int>(wall_ms % 1000));
  return text;
}

std::string NumberOrDash(const std::optional<int64_t>& number) {
  return number.has_value() ? std::to_string(*number) : "-";
}

std::string DecimalOrDash(const std::optional<double>& number) {
  if (!number.has_value()) return "-";
  char text[40];
  snprintf(text, sizeof text, "%.1f", *number);
  return text;
}

}  // namespace sluice::cli
