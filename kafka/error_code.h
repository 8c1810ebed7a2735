#pragma once
// ErrorCode: how a broker tells a Kafka client what went wrong. One of three channels: operations
// return Status, broken invariants CHECK, and only what goes to a client becomes an ErrorCode.
//
// Thread rule: constants.

#include <cstdint>
#include <optional>
#include <ostream>
#include <string_view>

#include "kafka/error_table.h"

namespace sluice::kafka {

#define SLUICE_KAFKA_ERROR_CONSTANT(constant, name, code, retriable, message) constant = code,
enum class ErrorCode : int16_t { SLUICE_KAFKA_ERRORS(SLUICE_KAFKA_ERROR_CONSTANT) };
#undef SLUICE_KAFKA_ERROR_CONSTANT

// "UNKNOWN_TOPIC_OR_PARTITION". A number that is no code is told as UNKNOWN_SERVER_ERROR by all
// three.
std::string_view ErrorName(ErrorCode code);
bool ErrorIsRetriable(ErrorCode code);
std::string_view ErrorMessage(ErrorCode code);

// The code of that name, if there is one.
std::optional<ErrorCode> ErrorFromName(std::string_view name);

// As the messages' error_code fields hold it.
constexpr int16_t WireError(ErrorCode code) { return static_cast<int16_t>(code); }

inline std::ostream& operator<<(std::ostream& out, ErrorCode code) {
  return out << ErrorName(code);
}

}  // namespace sluice::kafka
