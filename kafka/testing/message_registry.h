#pragma once
// Every message of the codec behind one signature, for tests and fuzzers that go through all of
// them.
//
// Thread rule: constants.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace sluice::kafka::testing {

struct MessageEntry {
  const char* name;
  int16_t version_min;
  int16_t version_max;
  int16_t flexible_since;
  // Decodes the whole of `bytes`, encodes the message again and gives those bytes. CHECKs that they
  // decode to an equal message.
  Result<std::string> (*recode)(std::string_view bytes, int16_t version);
};

std::span<const MessageEntry> AllMessages();
// nullptr when there is no message of that name ("ProduceRequest").
const MessageEntry* FindMessage(std::string_view name);

}  // namespace sluice::kafka::testing
