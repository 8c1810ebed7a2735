#include "cli/context.h"

#include <algorithm>
#include <iostream>

#include "metadata/server_config.h"

namespace sluice::cli {
namespace {

bool errors_as_json = false;

// A word is read as far as this.
constexpr size_t kWordBytesMax = 300;
constexpr size_t kWordBytesShown = 60;

}  // namespace

void PrintErrorsAsJson() { errors_as_json = true; }

std::string ForPerson(std::string_view text) {
  std::string shown;
  for (size_t i = 0; i < text.size();) {
    const size_t end = std::min(text.find(' ', i), text.size());
    const size_t size = end - i;
    size_t shown_size = size > kWordBytesMax ? kWordBytesShown : size;
    // Not in the middle of a character of several bytes.
    while (shown_size < size && shown_size > 0 && (text[i + shown_size] & 0xC0) == 0x80)
      --shown_size;
    for (const char c : text.substr(i, shown_size)) {
      constexpr char kHex[] = "0123456789abcdef";
      const auto byte = static_cast<unsigned char>(c);
      if (c == '\n') {
        shown += "\\n";
      } else if (byte < 0x20 || byte == 0x7F) {
        shown += std::string("\\x") + kHex[byte >> 4] + kHex[byte & 15];
      } else {
        shown += c;
      }
    }
    if (size > kWordBytesMax) shown += "...";
    if (end < text.size()) shown += ' ';
    i = end + 1;
  }
  return shown;
}

void PrintError(const std::string& what, const std::string& why, const std::string& next) {
  if (errors_as_json) {
    const nlohmann::ordered_json error = {{"what", what}, {"why", why}, {"do", next}};
    std::cerr << nlohmann::ordered_json{{"error", error}}.dump(
                     -1, ' ', false, nlohmann::json::error_handler_t::replace)
              << std::endl;
    return;
  }
  std::cerr << "sluice: " << ForPerson(what) << "\n  why: " << ForPerson(why)
            << "\n  do:  " << ForPerson(next) << std::endl;
}

void PrintError(const std::string& what, const Status& status, const std::string& next) {
  const std::string& text = status.message();
  const size_t why = text.find('\n');
  const size_t fix = why == std::string::npos ? why : text.find('\n', why + 1);
  if (fix == std::string::npos || text.find('\n', fix + 1) != std::string::npos)
    return PrintError(what, text, next);
  PrintError(text.substr(0, why), text.substr(why + 1, fix - why - 1), text.substr(fix + 1));
}

std::string WhyNoAddress(const std::string& text) {
  return metadata::ParseDialAddress(text).status().message();
}

ExitCode FinishOutput(ExitCode code) {
  std::cout << std::flush;
  if (std::cout.good() || code != ExitCode::kOk) return code;
  PrintError("the output is not complete", "standard output cannot be written",
             "free the disk it goes to, or keep its reader open");
  return ExitCode::kFailed;
}

ExitCode ExitCodeOf(const Status& status) {
  switch (status.code()) {
    case StatusCode::kOk: return ExitCode::kOk;
    case StatusCode::kInvalidArgument:
    case StatusCode::kOutOfRange: return ExitCode::kUsage;
    case StatusCode::kNotFound: return ExitCode::kNotFound;
    case StatusCode::kAlreadyExists: return ExitCode::kExists;
    case StatusCode::kUnavailable:
    case StatusCode::kNotLeader:
    case StatusCode::kTimeout: return ExitCode::kUnreachable;
    default: return ExitCode::kFailed;
  }
}

Status CheckMilliseconds(const std::string& option, int64_t ms) {
  // As seconds 1973 to 2286, as milliseconds the first months of 1970.
  if (ms < 100'000'000 || ms >= 10'000'000'000) return Status::Ok();
  return Status::InvalidArgument(option +
                                 ": that is in early 1970 in ms; if seconds are meant, give @" +
                                 std::to_string(ms) + "000");
}

void PrintTable(const std::vector<std::string>& header,
                const std::vector<std::vector<std::string>>& given) {
  std::vector<std::vector<std::string>> rows = given;
  for (auto& row : rows) {
    for (std::string& cell : row) cell = ForPerson(cell);
  }
  std::vector<size_t> widths;
  for (const std::string& title : header) widths.push_back(title.size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  const auto print = [&](const std::vector<std::string>& row) {
    for (size_t i = 0; i < row.size(); ++i) {
      std::cout << row[i];
      if (i + 1 < row.size()) std::cout << std::string(widths[i] - row[i].size() + 2, ' ');
    }
    std::cout << "\n";
  };
  print(header);
  for (const auto& row : rows) print(row);
  std::cout << std::flush;
}

void PrintJson(const nlohmann::json& value) { std::cout << value.dump() << std::endl; }

}  // namespace sluice::cli
