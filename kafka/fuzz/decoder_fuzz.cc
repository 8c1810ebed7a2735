// Entry point of a libFuzzer build over every message decoder (see kafka/CMakeLists.txt);
// kafka/messages_test.cc calls it as well. The first byte chooses the message, the second the
// version, the rest is what came from the network. What decodes must encode, and read itself as
// equal; Recode CHECKs that.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kafka/testing/message_registry.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto messages = sluice::kafka::testing::AllMessages();
  const sluice::kafka::testing::MessageEntry& message = messages[data[0] % messages.size()];
  const int versions = message.version_max - message.version_min + 1;
  const auto version = static_cast<int16_t>(message.version_min + data[1] % versions);
  const std::string_view body(reinterpret_cast<const char*>(data) + 2, size - 2);
  // Whether it decodes is up to the input.
  (void)message.recode(body, version);
  return 0;
}
