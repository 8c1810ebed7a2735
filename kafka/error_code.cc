#include "kafka/error_code.h"

#include <algorithm>
#include <iterator>

namespace sluice::kafka {
namespace {

struct Row {
  ErrorCode code;
  std::string_view name;
  bool retriable;
  std::string_view message;
};

#define SLUICE_KAFKA_ERROR_ROW(constant, name, code, retriable, message) \
  {ErrorCode::constant, #name, retriable, message},
constexpr Row kRows[] = {SLUICE_KAFKA_ERRORS(SLUICE_KAFKA_ERROR_ROW)};
#undef SLUICE_KAFKA_ERROR_ROW

// Codes count up from -1 without a gap, so a code is its own index.
constexpr int kFirstCode = -1;
constexpr bool CodesAreDense() {
  for (size_t i = 0; i < std::size(kRows); ++i) {
    if (static_cast<int>(kRows[i].code) != static_cast<int>(i) + kFirstCode) return false;
  }
  return true;
}
static_assert(CodesAreDense());

const Row& RowOf(ErrorCode code) {
  const int index = static_cast<int>(code) - kFirstCode;
  return index >= 0 && index < static_cast<int>(std::size(kRows)) ? kRows[index] : kRows[0];
}

}  // namespace

std::string_view ErrorName(ErrorCode code) { return RowOf(code).name; }
bool ErrorIsRetriable(ErrorCode code) { return RowOf(code).retriable; }
std::string_view ErrorMessage(ErrorCode code) { return RowOf(code).message; }

std::optional<ErrorCode> ErrorFromName(std::string_view name) {
  const auto* found = std::find_if(std::begin(kRows), std::end(kRows),
                                   [&](const Row& row) { return row.name == name; });
  return found == std::end(kRows) ? std::nullopt : std::optional(found->code);
}

}  // namespace sluice::kafka
