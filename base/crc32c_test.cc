// CRC-32C: the vectors of RFC 3720 appendix B.4, and every implementation against a bit-by-bit one.

#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/crc32c_internal.h"
#include "base/random.h"

namespace sluice {
namespace {

// The definition of the checksum, one bit at a time.
uint32_t NaiveCrc32c(std::string_view data) {
  uint32_t crc = 0xFFFFFFFF;
  for (const char c : data) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78 : 0);
  }
  return ~crc;
}

std::string RandomBytes(Random& random, size_t size) {
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random.Next());
  return bytes;
}

struct Implementation {
  const char* name;
  crc32c_internal::Extend extend;
};

std::vector<Implementation> Implementations() {
  std::vector<Implementation> all{{"table", crc32c_internal::ExtendByTable},
                                  {"chosen", Crc32cExtend}};
  if (const auto hardware = crc32c_internal::HardwareExtend(); hardware != nullptr) {
    all.push_back({"hardware", hardware});
  }
  if (const auto wide = crc32c_internal::WideExtend(); wide != nullptr)
    all.push_back({"wide", wide});
  return all;
}

TEST(Crc32cTest, Rfc3720Vectors) {
  std::string ascending(32, '\0');
  std::string descending(32, '\0');
  for (int i = 0; i < 32; ++i) {
    ascending[i] = static_cast<char>(i);
    descending[i] = static_cast<char>(31 - i);
  }
  const std::string scsi_read(
      "\x01\xc0\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x14\x00\x00\x00\x00\x00"
      "\x04\x00\x00\x00\x00\x14\x00\x00\x00\x18\x28\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00"
      "\x00\x00\x00\x00",
      48);
  for (const Implementation& implementation : Implementations()) {
    SCOPED_TRACE(implementation.name);
    EXPECT_EQ(implementation.extend(0, std::string(32, '\0')), 0x8A9136AAu);
    EXPECT_EQ(implementation.extend(0, std::string(32, '\xff')), 0x62A8AB43u);
    EXPECT_EQ(implementation.extend(0, ascending), 0x46DD794Eu);
    EXPECT_EQ(implementation.extend(0, descending), 0x113FDB5Cu);
    EXPECT_EQ(implementation.extend(0, scsi_read), 0xD9963A56u);
    EXPECT_EQ(implementation.extend(0, "123456789"), 0xE3069283u);
    EXPECT_EQ(implementation.extend(0, ""), 0u);
  }
}

TEST(Crc32cTest, EverySizeAndAlignmentEqualsTheDefinition) {
  Random random(1);
  const std::string bytes = RandomBytes(random, 8192);
  for (const Implementation& implementation : Implementations()) {
    SCOPED_TRACE(implementation.name);
    for (size_t size = 0; size < 1200; ++size) {
      const std::string_view data(bytes.data() + size % 9, size);
      ASSERT_EQ(implementation.extend(0, data), NaiveCrc32c(data)) << size;
    }
    for (int round = 0; round < 200; ++round) {
      const size_t start = random.Below(64);
      const std::string_view data(bytes.data() + start, random.Below(bytes.size() - start));
      ASSERT_EQ(implementation.extend(0, data), NaiveCrc32c(data)) << data.size();
    }
  }
}

TEST(Crc32cTest, ExtendingAnywhereEqualsTheWhole) {
  Random random(2);
  const std::string bytes = RandomBytes(random, 5000);
  const uint32_t whole = NaiveCrc32c(bytes);
  for (const Implementation& implementation : Implementations()) {
    for (int round = 0; round < 200; ++round) {
      const size_t cut = random.Below(bytes.size() + 1);
      const std::string_view view(bytes);
      const uint32_t head = implementation.extend(0, view.substr(0, cut));
      ASSERT_EQ(implementation.extend(head, view.substr(cut)), whole) << implementation.name;
    }
  }
}

}  // namespace
}  // namespace sluice
