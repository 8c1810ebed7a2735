#include "admin/errors.h"

#include "kafka/error_code.h"

namespace sluice::admin {
namespace {

// gRPC refuses an answer whose words do not fit into its 8 KiB of trailers, and escapes take three
// bytes for one.
constexpr size_t kMessageBytesMax = 2000;

using kafka::ErrorCode;

StatusCode CodeFromKafka(ErrorCode code) {
  switch (code) {
    case ErrorCode::kDuplicateVoter:
    case ErrorCode::kTopicAlreadyExists: return StatusCode::kAlreadyExists;
    case ErrorCode::kUnknownTopicOrPartition:
    case ErrorCode::kUnknownTopicId:
    case ErrorCode::kVoterNotFound:
    case ErrorCode::kBrokerIdNotRegistered:
    case ErrorCode::kGroupIdNotFound: return StatusCode::kNotFound;
    case ErrorCode::kInvalidTopicException:
    case ErrorCode::kInvalidPartitions:
    case ErrorCode::kInvalidReplicationFactor:
    case ErrorCode::kInvalidReplicaAssignment:
    case ErrorCode::kInvalidConfig:
    case ErrorCode::kInvalidGroupId:
    case ErrorCode::kInvalidRequest:
    case ErrorCode::kPolicyViolation: return StatusCode::kInvalidArgument;
    case ErrorCode::kTopicDeletionDisabled:
    case ErrorCode::kUnsupportedVersion: return StatusCode::kUnsupported;
    case ErrorCode::kThrottlingQuotaExceeded: return StatusCode::kResourceExhausted;
    case ErrorCode::kRequestTimedOut: return StatusCode::kTimeout;
    case ErrorCode::kOffsetOutOfRange: return StatusCode::kOutOfRange;
    case ErrorCode::kIneligibleReplica:
    case ErrorCode::kNoReassignmentInProgress:
    case ErrorCode::kElectionNotNeeded:
    case ErrorCode::kNonEmptyGroup:
    case ErrorCode::kGroupSubscribedToTopic: return StatusCode::kFenced;
    default:
      return kafka::ErrorIsRetriable(code) ? StatusCode::kUnavailable : StatusCode::kInternal;
  }
}

}  // namespace

Status StatusFromKafka(int error_code, const std::string& message) {
  const auto code = static_cast<ErrorCode>(error_code);
  if (code == ErrorCode::kNone) return Status::Ok();
  return Status(CodeFromKafka(code),
                message.empty() ? std::string(kafka::ErrorMessage(code)) : message);
}

grpc::StatusCode ToGrpcCode(StatusCode code) {
  switch (code) {
    case StatusCode::kOk: return grpc::StatusCode::OK;
    case StatusCode::kInvalidArgument: return grpc::StatusCode::INVALID_ARGUMENT;
    case StatusCode::kNotFound: return grpc::StatusCode::NOT_FOUND;
    case StatusCode::kAlreadyExists: return grpc::StatusCode::ALREADY_EXISTS;
    case StatusCode::kOutOfRange: return grpc::StatusCode::OUT_OF_RANGE;
    case StatusCode::kCorruption: return grpc::StatusCode::DATA_LOSS;
    case StatusCode::kUnavailable:
    case StatusCode::kNotLeader: return grpc::StatusCode::UNAVAILABLE;
    case StatusCode::kTimeout: return grpc::StatusCode::DEADLINE_EXCEEDED;
    case StatusCode::kFenced: return grpc::StatusCode::FAILED_PRECONDITION;
    case StatusCode::kDiskFull:
    case StatusCode::kResourceExhausted: return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case StatusCode::kUnsupported: return grpc::StatusCode::UNIMPLEMENTED;
    case StatusCode::kIoError:
    case StatusCode::kWouldWait:
    case StatusCode::kInternal: return grpc::StatusCode::INTERNAL;
  }
  return grpc::StatusCode::UNKNOWN;
}

Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return Status::Ok();
  for (const StatusCode code :
       {StatusCode::kInvalidArgument, StatusCode::kNotFound, StatusCode::kOutOfRange,
        StatusCode::kUnavailable, StatusCode::kTimeout, StatusCode::kUnsupported,
        StatusCode::kFenced}) {
    if (ToGrpcCode(code) == status.error_code()) return Status(code, status.error_message());
  }
  return Status::Internal(status.error_message());
}

grpc::Status ToGrpc(const Status& status) {
  if (status.ok()) return grpc::Status::OK;
  std::string message = status.message();
  if (message.size() > kMessageBytesMax) {
    message.replace(kMessageBytesMax / 2, message.size() - kMessageBytesMax, " ... ");
  }
  return grpc::Status(ToGrpcCode(status.code()), message);
}

HttpError ToHttp(StatusCode code) {
  switch (ToGrpcCode(code)) {
    case grpc::StatusCode::OK: return {200, "ok"};
    case grpc::StatusCode::INVALID_ARGUMENT: return {400, "invalid_argument"};
    case grpc::StatusCode::NOT_FOUND: return {404, "not_found"};
    case grpc::StatusCode::ALREADY_EXISTS: return {409, "already_exists"};
    case grpc::StatusCode::OUT_OF_RANGE: return {400, "out_of_range"};
    case grpc::StatusCode::DATA_LOSS: return {500, "data_loss"};
    case grpc::StatusCode::UNAVAILABLE: return {503, "unavailable"};
    case grpc::StatusCode::DEADLINE_EXCEEDED: return {504, "deadline_exceeded"};
    case grpc::StatusCode::FAILED_PRECONDITION: return {400, "failed_precondition"};
    case grpc::StatusCode::RESOURCE_EXHAUSTED: return {429, "resource_exhausted"};
    case grpc::StatusCode::UNIMPLEMENTED: return {501, "unimplemented"};
    default: return {500, "internal"};
  }
}

}  // namespace sluice::admin
