#pragma once
// Messages outside of requests: the keys and values of a coordinator's records, and what consumers
// embed in JoinGroup and SyncGroup. An int16 stands before the message: its version, or before a
// record's key the record's type. As in Kafka, bytes after the message are not looked at.
//
//   Result<std::string> bytes = EncodeVersioned(subscription, 3);
//   Result<ConsumerProtocolSubscription> again =
//       DecodeVersioned<ConsumerProtocolSubscription>(*bytes);
//
// Thread rule: pure.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "kafka/wire_reader.h"
#include "kafka/wire_writer.h"

namespace sluice::kafka {

// Fails when the version cannot carry the message, or a string is longer than the protocol allows.
template <typename Message>
Result<std::string> EncodePrefixed(int16_t prefix, const Message& message, int16_t version) {
  WireWriter writer;
  writer.PutInt16(prefix);
  message.Encode(writer, version);
  if (!writer.status().ok()) return writer.status();
  return writer.FinishBytes();
}

template <typename Message>
Result<std::string> EncodeVersioned(const Message& message, int16_t version) {
  return EncodePrefixed(version, message, version);
}

template <typename Key>
Result<std::string> EncodeRecordKey(const Key& key) {
  return EncodePrefixed(Key::kRecordType, key, Key::kVersionMax);
}

// kUnsupported for a version that this build does not know, kInvalidArgument for damaged bytes.
template <typename Message>
Result<Message> DecodeVersioned(std::string_view bytes) {
  WireReader reader(bytes);
  const int16_t version = reader.ReadInt16();
  SLUICE_RETURN_IF_ERROR(reader.StatusOf(Message::kName, -1));
  Message message;
  SLUICE_RETURN_IF_ERROR(message.Decode(reader, version));
  return message;
}

}  // namespace sluice::kafka
