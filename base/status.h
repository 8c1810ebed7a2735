#pragma once
// Status and Result<T>: how an operation reports what it may meet in normal running (a full disk, a
// missing topic, a lost leader). Wire errors are kafka::ErrorCode; broken invariants are CHECKs.
// The three channels are never mixed.
//
// Thread rule: values; share them like ints.
//
//   Result<Offset> end = log.Append(batch);
//   if (!end.ok()) return end.status();
//   Use(*end);

#include <glog/logging.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sluice {

enum class StatusCode {
  kOk = 0,
  kInvalidArgument,    // the caller sent something that can never work
  kNotFound,           // the named thing does not exist
  kAlreadyExists,      // the named thing exists already
  kOutOfRange,         // an offset or index outside what is stored
  kCorruption,         // stored bytes fail their checks
  kIoError,            // the operating system refused a read or write
  kDiskFull,           // no space left; frees up by itself or by an operator
  kUnavailable,        // not now; a retry may work
  kTimeout,            // the time the caller gave ran out; the outcome is unknown
  kNotLeader,          // ask another node
  kFenced,             // the caller's epoch or incarnation is outdated
  kResourceExhausted,  // a configured limit was reached
  kUnsupported,        // understood, but not offered here
  kWouldWait,          // only by waiting for the disk, which the caller does not do
  kInternal,           // our own fault, yet survivable
};

std::string_view StatusCodeName(StatusCode code);

// An operation's outcome: OK, or a code with a sentence for a person (what failed, with the real
// values).
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  static Status Ok() { return Status(); }
  static Status InvalidArgument(std::string m) {
    return {StatusCode::kInvalidArgument, std::move(m)};
  }
  static Status NotFound(std::string m) { return {StatusCode::kNotFound, std::move(m)}; }
  static Status AlreadyExists(std::string m) { return {StatusCode::kAlreadyExists, std::move(m)}; }
  static Status OutOfRange(std::string m) { return {StatusCode::kOutOfRange, std::move(m)}; }
  static Status Corruption(std::string m) { return {StatusCode::kCorruption, std::move(m)}; }
  static Status IoError(std::string m) { return {StatusCode::kIoError, std::move(m)}; }
  static Status DiskFull(std::string m) { return {StatusCode::kDiskFull, std::move(m)}; }
  static Status Unavailable(std::string m) { return {StatusCode::kUnavailable, std::move(m)}; }
  static Status Timeout(std::string m) { return {StatusCode::kTimeout, std::move(m)}; }
  static Status NotLeader(std::string m) { return {StatusCode::kNotLeader, std::move(m)}; }
  static Status Fenced(std::string m) { return {StatusCode::kFenced, std::move(m)}; }
  static Status ResourceExhausted(std::string m) {
    return {StatusCode::kResourceExhausted, std::move(m)};
  }
  static Status Unsupported(std::string m) { return {StatusCode::kUnsupported, std::move(m)}; }
  static Status WouldWait(std::string m) { return {StatusCode::kWouldWait, std::move(m)}; }
  static Status Internal(std::string m) { return {StatusCode::kInternal, std::move(m)}; }

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }
  // "NOT_FOUND: topic orders does not exist", or "OK".
  std::string ToString() const;

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

inline bool operator==(const Status& a, const Status& b) {
  return a.code() == b.code() && a.message() == b.message();
}

// A value, or the Status that says why there is none. Reading the value of a failed Result is a
// programmer error (CHECK).
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT: implicit by design
  Result(Status status) : status_(std::move(status)) {
    CHECK(!status_.ok());
  }  // NOLINT: implicit by design

  bool ok() const { return status_.ok(); }
  const Status& status() const { return status_; }

  T& value() & { return *Checked(); }
  const T& value() const& { return *Checked(); }
  T&& value() && { return std::move(*Checked()); }
  T& operator*() & { return *Checked(); }
  const T& operator*() const& { return *Checked(); }
  T&& operator*() && { return std::move(*Checked()); }
  T* operator->() { return &*Checked(); }
  const T* operator->() const { return &*Checked(); }

 private:
  std::optional<T>& Checked() {
    CHECK(value_.has_value()) << status_.ToString();
    return value_;
  }
  const std::optional<T>& Checked() const {
    CHECK(value_.has_value()) << status_.ToString();
    return value_;
  }

  Status status_;
  std::optional<T> value_;
};

}  // namespace sluice

// Returns the Status of `expr` from the enclosing function when it is not OK.
#define SLUICE_RETURN_IF_ERROR(expr)                                                           \
  do {                                                                                         \
    if (::sluice::Status sluice_status_ = (expr); !sluice_status_.ok()) return sluice_status_; \
  } while (false)

#define SLUICE_CONCAT_INNER_(a, b) a##b
#define SLUICE_CONCAT_(a, b) SLUICE_CONCAT_INNER_(a, b)
// Declares `lhs` from the Result `expr`, or returns its Status: SLUICE_ASSIGN_OR_RETURN(auto log,
// Log::Open(path));
#define SLUICE_ASSIGN_OR_RETURN(lhs, expr) \
  SLUICE_ASSIGN_OR_RETURN_IMPL_(SLUICE_CONCAT_(sluice_result_, __LINE__), lhs, expr)
#define SLUICE_ASSIGN_OR_RETURN_IMPL_(result, lhs, expr) \
  auto result = (expr);                                  \
  if (!result.ok()) return result.status();              \
  lhs = std::move(*result)
