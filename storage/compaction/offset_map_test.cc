#include "storage/compaction/offset_map.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>

namespace sluice::storage {
namespace {

KeyHasher Hasher() { return {0x0706050403020100, 0x0f0e0d0c0b0a0908}; }

std::string Hex(const KeyHash& hash) {
  char bytes[16];
  std::memcpy(bytes, &hash.low, 8);
  std::memcpy(bytes + 8, &hash.high, 8);
  std::string text;
  for (const char byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(static_cast<uint8_t>(byte)));
    text += digits;
  }
  return text;
}

TEST(KeyHash, AgreesWithTheReferenceVectors) {
  // From the reference implementation of SipHash-2-4-128: the key is 00 01 .. 0f, the input its
  // first bytes.
  EXPECT_EQ(Hex(Hasher().Hash("")), "a3817f04ba25a8e66df67214c7550293");
  EXPECT_EQ(Hex(Hasher().Hash(std::string(1, '\0'))), "da87c1d86b99af44347659119b22fc45");
}

TEST(KeyHash, DependsOnEachByteAndOnTheLength) {
  const std::string key = "0123456789abcdefg";
  const KeyHash whole = Hasher().Hash(key);
  for (size_t i = 0; i < key.size(); ++i) {
    std::string other = key;
    other[i] ^= 1;
    EXPECT_NE(Hasher().Hash(other), whole) << i;
    EXPECT_NE(Hasher().Hash(key.substr(0, i)), whole) << i;
  }
}

TEST(OffsetMap, AgreesWithAMap) {
  Random random(7);
  for (int round = 0; round < 20; ++round) {
    const Offset base(random.Between(0, 1'000'000'000'000));
    OffsetMap map({.bytes_max = 16 * 1024, .base = base});
    std::map<std::string, Offset> naive;
    Offset next = base;
    while (true) {
      const std::string key = "key-" + std::to_string(random.Below(2000));
      next = next + random.Between(1, 1000);
      if (!map.Put(Hasher().Hash(key), next)) {
        EXPECT_EQ(map.size(), map.entries_max());
        EXPECT_FALSE(naive.contains(key));
        break;
      }
      naive[key] = next;
      ASSERT_EQ(map.size(), naive.size());
    }
    for (int i = 0; i < 2000; ++i) {
      const std::string key = "key-" + std::to_string(i);
      const auto found = naive.find(key);
      const auto expected = found == naive.end() ? std::nullopt : std::optional(found->second);
      ASSERT_EQ(map.Find(Hasher().Hash(key)), expected) << key;
    }
  }
}

TEST(OffsetMap, TakesKnownKeysWhenFullAndNoMoreMemoryThanGiven) {
  OffsetMap map({.bytes_max = 1600, .load_factor = 0.9, .base = Offset(0)});
  EXPECT_EQ(map.bytes(), 1600u);
  EXPECT_EQ(map.entries_max(), 90u);
  for (int i = 0; i < 90; ++i) {
    ASSERT_TRUE(map.Put(Hasher().Hash(std::to_string(i)), Offset(i)));
  }
  EXPECT_FALSE(map.Put(Hasher().Hash("another"), Offset(90)));
  EXPECT_TRUE(map.Put(Hasher().Hash("5"), Offset(90)));
  EXPECT_EQ(map.Find(Hasher().Hash("5")), Offset(90));
}

TEST(OffsetMap, RefusesOffsetsThatItsSlotsCannotHold) {
  OffsetMap map({.base = Offset(10), .entries_expected = 10});
  EXPECT_TRUE(map.Put(Hasher().Hash("a"), Offset(10) + (int64_t{UINT32_MAX} - 1)));
  EXPECT_EQ(map.Find(Hasher().Hash("a")), Offset(10) + (int64_t{UINT32_MAX} - 1));
  EXPECT_FALSE(map.Put(Hasher().Hash("b"), Offset(10) + int64_t{UINT32_MAX}));
}

TEST(OffsetMap, IsSmallForASmallLog) {
  const OffsetMap map({.base = Offset(0), .entries_expected = 1000});
  EXPECT_LE(map.bytes(), 64u * 1024);
  EXPECT_GE(map.entries_max(), 1000u);
}

}  // namespace
}  // namespace sluice::storage
