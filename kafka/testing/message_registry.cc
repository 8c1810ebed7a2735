#include "kafka/testing/message_registry.h"

#include <memory>

#include "kafka/messages/all.h"
#include "kafka/wire_reader.h"
#include "kafka/wire_writer.h"

namespace sluice::kafka::testing {
namespace {

template <typename Message>
Status DecodeWhole(const std::shared_ptr<const std::string>& frame, int16_t version,
                   Message* message) {
  WireReader reader(*frame, frame);
  SLUICE_RETURN_IF_ERROR(message->Decode(reader, version));
  if (reader.remaining() == 0) return Status::Ok();
  return Status::InvalidArgument(std::to_string(reader.remaining()) + " bytes are left over");
}

template <typename Message>
Result<std::string> Recode(std::string_view bytes, int16_t version) {
  Message message;
  SLUICE_RETURN_IF_ERROR(
      DecodeWhole(std::make_shared<const std::string>(bytes), version, &message));
  WireWriter writer;
  message.Encode(writer, version);
  CHECK(writer.status().ok()) << writer.status().ToString();
  Result<std::string> encoded = Flatten(writer.Finish());
  CHECK(encoded.ok()) << encoded.status().ToString();
  Message again;
  const Status status = DecodeWhole(std::make_shared<const std::string>(*encoded), version, &again);
  CHECK(status.ok()) << Message::kName << " v" << version
                     << " cannot read itself: " << status.ToString();
  CHECK(again == message) << Message::kName << " v" << version << " reads itself differently";
  return encoded;
}

#define SLUICE_KAFKA_MESSAGE_ENTRY(message)                                             \
  {message::kName, message::kVersionMin, message::kVersionMax, message::kFlexibleSince, \
   &Recode<message>},
constexpr MessageEntry kMessages[] = {SLUICE_KAFKA_ALL_MESSAGES(SLUICE_KAFKA_MESSAGE_ENTRY)};
#undef SLUICE_KAFKA_MESSAGE_ENTRY

}  // namespace

std::span<const MessageEntry> AllMessages() { return kMessages; }

const MessageEntry* FindMessage(std::string_view name) {
  for (const MessageEntry& entry : kMessages) {
    if (name == entry.name) return &entry;
  }
  return nullptr;
}

}  // namespace sluice::kafka::testing
