#pragma once
// What the verbs of `sluice group` share: figures and times as people read them, and errors of
// groups.
//
// Thread rule: pure functions, and the main thread.

#include <cstdint>
#include <optional>
#include <string>

#include "cli/admin_client.h"

namespace sluice::cli {

// AdminClient::Report, with what to do about a group that is not there or may not be changed.
ExitCode ReportGroupError(const AdminClient& client, const std::string& what, const Status& status);

// "2026-11-21T09:30:00.123Z".
std::string UtcTime(int64_t wall_ms);
// "-" for what is not known.
std::string NumberOrDash(const std::optional<int64_t>& number);
// With one digit behind the point.
std::string DecimalOrDash(const std::optional<double>& number);

}  // namespace sluice::cli
