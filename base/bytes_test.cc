#include "base/bytes.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace sluice {
namespace {

using std::string_literals::operator""s;
using std::string_view_literals::operator""sv;

TEST(BytesTest, FixedNumbersAreBigEndian) {
  ByteWriter writer;
  writer.PutInt8(-2);
  writer.PutInt16(0x0102);
  writer.PutUint16(0xFFFE);
  writer.PutInt32(0x01020304);
  writer.PutUint32(0xFFFFFFFE);
  writer.PutInt64(0x0102030405060708);
  writer.PutFloat64(1.5);
  writer.PutBool(true);
  EXPECT_EQ(writer.view().substr(0, 9), "\xFE\1\2\xFF\xFE\1\2\3\4"s);
  ByteReader reader(writer.view());
  EXPECT_EQ(reader.ReadInt8(), -2);
  EXPECT_EQ(reader.ReadInt16(), 0x0102);
  EXPECT_EQ(reader.ReadUint16(), 0xFFFE);
  EXPECT_EQ(reader.ReadInt32(), 0x01020304);
  EXPECT_EQ(reader.ReadUint32(), 0xFFFFFFFE);
  EXPECT_EQ(reader.ReadInt64(), 0x0102030405060708);
  EXPECT_EQ(reader.ReadFloat64(), 1.5);
  EXPECT_TRUE(reader.ReadBool());
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.remaining(), 0U);
}

TEST(BytesTest, AShortReadFailsForGood) {
  const std::string bytes = "\1\2\3"s;
  ByteReader reader(bytes);
  EXPECT_EQ(reader.ReadInt32(), 0);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.ReadInt8(), 0) << "the three bytes are not offered again";
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.remaining(), 0U);
}

TEST(BytesTest, VarintsAtTheirEdges) {
  const std::vector<std::pair<uint64_t, std::string>> cases = {
      {0, "\0"s},
      {127, "\x7F"s},
      {128, "\x80\1"s},
      {16383, "\xFF\x7F"s},
      {16384, "\x80\x80\1"s},
      {0xFFFFFFFF, "\xFF\xFF\xFF\xFF\x0F"s},
      {std::numeric_limits<uint64_t>::max(), "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\1"s},
  };
  for (const auto& [value, bytes] : cases) {
    ByteWriter writer;
    writer.PutUnsignedVarlong(value);
    EXPECT_EQ(writer.view(), bytes) << value;
    EXPECT_EQ(UnsignedVarlongSize(value), bytes.size()) << value;
    ByteReader reader(bytes);
    EXPECT_EQ(reader.ReadUnsignedVarlong(), value);
    EXPECT_TRUE(reader.ok());
    if (value > 0xFFFFFFFF) continue;
    ByteReader narrow(bytes);
    EXPECT_EQ(narrow.ReadUnsignedVarint(), value);
    EXPECT_TRUE(narrow.ok());
  }
}

TEST(BytesTest, SignedVarintsUseZigzag) {
  const std::vector<std::pair<int32_t, std::string>> small = {
      {0, "\0"s},
      {-1, "\1"s},
      {1, "\2"s},
      {-64, "\x7F"s},
      {64, "\x80\1"s},
      {std::numeric_limits<int32_t>::max(), "\xFE\xFF\xFF\xFF\x0F"s},
      {std::numeric_limits<int32_t>::min(), "\xFF\xFF\xFF\xFF\x0F"s},
  };
  for (const auto& [value, bytes] : small) {
    ByteWriter writer;
    writer.PutVarint(value);
    EXPECT_EQ(writer.view(), bytes) << value;
    ByteReader reader(bytes);
    EXPECT_EQ(reader.ReadVarint(), value);
    EXPECT_TRUE(reader.ok());
  }
  for (const int64_t value :
       {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max(), int64_t{-1}}) {
    ByteWriter writer;
    writer.PutVarlong(value);
    ByteReader reader(writer.view());
    EXPECT_EQ(reader.ReadVarlong(), value);
    EXPECT_TRUE(reader.ok());
  }
}

TEST(BytesTest, VarintsThatDoNotFitFail) {
  // Six bytes, or a fifth byte with bits above the 32nd.
  for (const std::string& bytes :
       {"\x80\x80\x80\x80\x80\1"s, "\xFF\xFF\xFF\xFF\x10"s, "\xFF\xFF\xFF\xFF\xFF"s}) {
    ByteReader reader(bytes);
    EXPECT_EQ(reader.ReadUnsignedVarint(), 0U);
    EXPECT_FALSE(reader.ok());
  }
  for (const std::string& bytes :
       {std::string(9, '\xFF') + "\2"s, std::string(10, '\x80') + "\1"s}) {
    ByteReader reader(bytes);
    EXPECT_EQ(reader.ReadUnsignedVarlong(), 0U);
    EXPECT_FALSE(reader.ok());
  }
  ByteReader cut("\x80\x80"sv);
  EXPECT_EQ(cut.ReadUnsignedVarlong(), 0U);
  EXPECT_FALSE(cut.ok());
}

TEST(BytesTest, VarintsCutShortFail) {
  for (size_t size = 0; size <= 9; ++size) {
    // What lies behind the end would end the varint.
    const std::string bytes = std::string(size, '\x80') + '\x01';
    ByteReader narrow(std::string_view(bytes).substr(0, size));
    EXPECT_EQ(narrow.ReadUnsignedVarint(), 0U) << size;
    EXPECT_FALSE(narrow.ok()) << size;
    ByteReader wide(std::string_view(bytes).substr(0, size));
    EXPECT_EQ(wide.ReadUnsignedVarlong(), 0U) << size;
    EXPECT_FALSE(wide.ok()) << size;
  }
}

TEST(BytesTest, VarintsLongerThanNeededAreRead) {
  ByteReader reader("\x81\x80\0"sv);
  EXPECT_EQ(reader.ReadUnsignedVarint(), 1U);
  EXPECT_TRUE(reader.ok());
}

TEST(BytesTest, CountsAreCheckedAgainstWhatRemains) {
  const std::string bytes(24, 'x');
  ByteReader reader(bytes);
  EXPECT_EQ(reader.CheckedCount(3, 8), 3);
  EXPECT_EQ(reader.CheckedCount(0, 8), 0);
  EXPECT_EQ(reader.CheckedCount(-1, 8), -1) << "null";
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.CheckedCount(4, 8), 0);
  EXPECT_FALSE(reader.ok());
  ByteReader negative(bytes);
  EXPECT_EQ(negative.CheckedCount(-2, 8), 0);
  EXPECT_FALSE(negative.ok());
}

TEST(BytesTest, BytesAreViewsIntoTheInput) {
  const std::string bytes = "abcdef";
  ByteReader reader(bytes);
  EXPECT_EQ(reader.ReadBytes(4).data(), bytes.data());
  EXPECT_EQ(reader.position(), 4U);
  EXPECT_EQ(reader.ReadBytes(3), "");
  EXPECT_FALSE(reader.ok());
}

TEST(BytesTest, PatchOverwritesFourBytes) {
  ByteWriter writer;
  writer.PutInt32(0);
  writer.PutBytes("abc");
  writer.PatchInt32(0, static_cast<int32_t>(writer.size()) - 4);
  EXPECT_EQ(writer.Take(), "\0\0\0\3abc"s);
}

}  // namespace
}  // namespace sluice
