#include "kafka/consumer_protocol.h"

#include <algorithm>

#include "kafka/versioned.h"

namespace sluice::kafka {
namespace {

template <typename Message>
Result<Message> DecodeLeniently(std::string_view bytes) {
  WireReader reader(bytes);
  const int16_t version = reader.ReadInt16();
  SLUICE_RETURN_IF_ERROR(reader.StatusOf(Message::kName, -1));
  Message message;
  SLUICE_RETURN_IF_ERROR(message.Decode(reader, std::min(version, Message::kVersionMax)));
  return message;
}

}  // namespace

Result<int16_t> ConsumerProtocolVersion(std::string_view bytes) {
  WireReader reader(bytes);
  const int16_t version = reader.ReadInt16();
  SLUICE_RETURN_IF_ERROR(reader.StatusOf("consumer protocol", -1));
  return version;
}

Result<ConsumerProtocolSubscription> DecodeConsumerSubscription(std::string_view bytes) {
  return DecodeLeniently<ConsumerProtocolSubscription>(bytes);
}

Result<ConsumerProtocolAssignment> DecodeConsumerAssignment(std::string_view bytes) {
  return DecodeLeniently<ConsumerProtocolAssignment>(bytes);
}

Result<std::string> EncodeConsumerSubscription(const ConsumerProtocolSubscription& subscription,
                                               int16_t version) {
  return EncodeVersioned(subscription,
                         std::min(version, ConsumerProtocolSubscription::kVersionMax));
}

Result<std::string> EncodeConsumerAssignment(const ConsumerProtocolAssignment& assignment,
                                             int16_t version) {
  return EncodeVersioned(assignment, std::min(version, ConsumerProtocolAssignment::kVersionMax));
}

}  // namespace sluice::kafka
