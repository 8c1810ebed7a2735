// WireReader and WireWriter on their own: lengths, nulls, limits, tagged fields, frames and
// records.

#include <memory>
#include <string>

#include "base/output_chain.h"
#include "gtest/gtest.h"
#include "kafka/records.h"
#include "kafka/string_limit.h"
#include "kafka/wire_reader.h"
#include "kafka/wire_writer.h"

namespace sluice::kafka {
namespace {

using std::string_literals::operator""s;
using std::string_view_literals::operator""sv;

std::string Bytes(WireWriter& writer) { return *Flatten(writer.Finish()); }

TEST(WireTest, StringsInBothForms) {
  WireWriter writer;
  writer.PutString("ab", false);
  writer.PutString("ab", true);
  writer.PutNullableString(std::nullopt, false, true);
  writer.PutNullableString(std::nullopt, true, true);
  const std::string bytes = Bytes(writer);
  EXPECT_EQ(bytes, "\0\2ab\3ab\xFF\xFF\0"s);
  WireReader reader(bytes);
  EXPECT_EQ(reader.ReadString(false), "ab");
  EXPECT_EQ(reader.ReadNullableString(true, true), "ab");
  EXPECT_EQ(reader.ReadNullableString(false, true), std::nullopt);
  EXPECT_EQ(reader.ReadNullableString(true, true), std::nullopt);
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.remaining(), 0U);
}

TEST(WireTest, NullFailsWhereItIsNotAllowed) {
  const std::string null_string = "\xFF\xFF"s;
  WireReader string(null_string);
  EXPECT_EQ(string.ReadString(false), "");
  EXPECT_FALSE(string.ok());
  WireReader nullable(null_string);
  EXPECT_EQ(nullable.ReadNullableString(false, false), std::nullopt);
  EXPECT_FALSE(nullable.ok());
  WireReader array("\0"sv);
  EXPECT_EQ(array.ReadCount(true, false, 1, 1), 0);
  EXPECT_FALSE(array.ok());
  WireReader records("\0"sv);
  records.ReadRecords(true, false);
  EXPECT_FALSE(records.ok());
  WireReader presence("\xFF"sv);
  EXPECT_FALSE(presence.ReadPresence(false));
  EXPECT_FALSE(presence.ok());
}

TEST(WireTest, NegativeLengthsOtherThanNullFail) {
  WireReader string("\xFF\xFE"sv);
  EXPECT_EQ(string.ReadNullableString(false, true), std::nullopt);
  EXPECT_FALSE(string.ok());
  WireReader count("\x80\0\0\0"sv);
  EXPECT_EQ(count.ReadCount(false, true, 1, 1), 0);
  EXPECT_FALSE(count.ok());
}

TEST(WireTest, ALyingCountFailsBeforeMemoryIsTaken) {
  WireReader reader("\x7F\xFF\xFF\xFFonly a few bytes"sv);
  EXPECT_EQ(reader.ReadCount(false, false, 1, 100), 0);
  EXPECT_FALSE(reader.ok());
  WireReader compact("\xFF\xFF\xFF\xFF\x0F"sv);
  EXPECT_EQ(compact.ReadCount(true, false, 1, 100), 0);
  EXPECT_FALSE(compact.ok());
  WireReader string("\xFF\xFF\xFF\xFF\x0F"sv);
  EXPECT_EQ(string.ReadString(true), "");
  EXPECT_FALSE(string.ok());
  // Three elements of 8 bytes do not fit into 23.
  WireReader close("\0\0\0\3abcdefghijklmnopqrstuvw"sv);
  EXPECT_EQ(close.ReadCount(false, false, 8, 8), 0);
  EXPECT_FALSE(close.ok());
}

TEST(WireTest, AVarintThatNeverEndsFails) {
  const std::string bytes(20, '\xFF');
  WireReader reader(bytes);
  EXPECT_EQ(reader.ReadUnsignedVarint(), 0U);
  EXPECT_FALSE(reader.ok());
}

TEST(WireTest, ArraysOfTinyElementsMayNotMultiplyMemory) {
  // 200,000 elements of one byte on the wire that take 100 bytes each in memory: 20 MB out of 0.2
  // MB.
  const std::string frame = "\0\3\x0D\x40"s + std::string(200000, '\0');
  WireReader reader(frame);
  EXPECT_EQ(reader.ReadCount(false, false, 1, 100), 0);
  EXPECT_FALSE(reader.ok());
  // Numbers of one byte each are fine.
  WireReader numbers(frame);
  EXPECT_EQ(numbers.ReadCount(false, false, 1, 1), 200000);
  EXPECT_TRUE(numbers.ok());
}

TEST(WireTest, TaggedFieldsAreBounded) {
  auto section = [](int count) {
    std::string bytes(1, static_cast<char>(count));
    for (int i = 0; i < count; ++i) bytes += std::string(1, static_cast<char>(i)) + "\0"s;
    return bytes;
  };
  std::vector<RawTaggedField> unknown;
  const std::string most = section(WireReader::kTaggedFieldsMax);
  WireReader allowed(most);
  allowed.ReadUnknownTaggedFields(&unknown);
  EXPECT_TRUE(allowed.ok());
  EXPECT_EQ(unknown.size(), WireReader::kTaggedFieldsMax);
  const std::string more = section(WireReader::kTaggedFieldsMax + 1);
  WireReader refused(more);
  refused.ReadUnknownTaggedFields(&unknown);
  EXPECT_FALSE(refused.ok());
}

TEST(WireTest, AKnownTaggedFieldMustUseAllItsBytes) {
  const std::string bytes = "\1\0\5\0\0\0\1!"s;
  WireReader reader(bytes);
  std::vector<RawTaggedField> unknown;
  TaggedFieldReader tags(reader, &unknown);
  ASSERT_TRUE(tags.Next());
  EXPECT_EQ(tags.payload().ReadInt32(), 1);
  EXPECT_FALSE(tags.Next());
  EXPECT_FALSE(reader.ok());
}

TEST(WireTest, UnknownTaggedFieldsKeepTheirPlaceAmongTheKnown) {
  const std::vector<RawTaggedField> unknown = {{0, "a"}, {2, "cc"}, {9, ""}};
  WireWriter writer;
  TaggedFieldWriter tags(writer, unknown);
  tags.Begin(1);
  writer.PutInt8(7);
  tags.End();
  tags.Finish();
  EXPECT_EQ(Bytes(writer), "\4\0\1a\1\1\7\2\2cc\x09\0"s);
}

TEST(WireTest, FrameLengthIsFilledIn) {
  WireWriter writer;
  writer.BeginFrame();
  writer.PutInt16(7);
  EXPECT_EQ(Bytes(writer), "\0\0\0\2\0\7"s);
}

TEST(WireTest, RecordsJoinTheChainUncopied) {
  auto owner = std::make_shared<const std::string>(std::string(1000, 'r'));
  WireWriter writer;
  writer.BeginFrame();
  writer.PutRecords(Records::View({owner, *owner}), false, true);
  writer.PutRecords(Records::Files({FileSlice{nullptr, 4096, 500}}), true, true);
  writer.PutRecords(Records(), true, true);
  const OutputChain chain = writer.Finish();
  ASSERT_EQ(chain.segments().size(), 5U);
  EXPECT_EQ(std::get<SharedBytes>(chain.segments()[1]).bytes.data(), owner->data());
  EXPECT_EQ(std::get<FileSlice>(chain.segments()[3]).offset, 4096U);
  EXPECT_EQ(chain.size_bytes(), 4 + 4 + 1000 + 2 + 500 + 1U);
  EXPECT_EQ(std::get<std::string>(chain.segments()[0]), "\0\0\5\xE3\0\0\3\xE8"s);
}

TEST(WireTest, RecordsWithoutOwnerAreCopied) {
  WireWriter writer;
  {
    const std::string brief(1000, 'b');
    writer.PutRecords(Records::View({nullptr, brief}), false, true);
  }
  EXPECT_EQ(Bytes(writer).substr(4), std::string(1000, 'b'));
}

TEST(WireTest, TooLongStringsAreRejected) {
  WireWriter writer;
  writer.PutString(std::string(40000, 'x'), true);
  EXPECT_FALSE(writer.status().ok());
}

// The size of a compact string could be more than the other form's 16 bits: such a one would get
// into the coordinators, whose records have the other form.
TEST(WireTest, TooLongCompactStringsAreMalformed) {
  for (const size_t size : {kStringBytesMax, kStringBytesMax + 1}) {
    WireWriter writer;
    writer.PutBytes(std::string(size, 'x'), true);
    const std::string bytes = Bytes(writer);
    WireReader reader(bytes);
    reader.ReadString(true);
    EXPECT_EQ(reader.ok(), size == kStringBytesMax);
    WireReader nullable(bytes);
    nullable.ReadNullableString(true, true);
    EXPECT_EQ(nullable.ok(), size == kStringBytesMax);
  }
}

TEST(RecordsTest, NullDiffersFromEmpty) {
  EXPECT_TRUE(Records().is_null());
  EXPECT_FALSE(Records::View({}).is_null());
  EXPECT_FALSE(Records() == Records::View({}));
  EXPECT_EQ(Records::Files({FileSlice{nullptr, 0, 3}, FileSlice{nullptr, 9, 4}}).size_bytes(), 7U);
}

}  // namespace
}  // namespace sluice::kafka
