// The codecs by themselves. That Kafka reads what we write and the other way round is in
// kafka/record_batch_test.cc, on batches that Kafka's own classes made.

#include "kafka/compression.h"

#include <gtest/gtest.h>
#include <snappy.h>
#include <zstd.h>

#include "base/bytes.h"
#include "base/random.h"

namespace sluice::kafka {
namespace {

constexpr size_t kPlenty = size_t{64} << 20;

std::string Mixed(Random& random, size_t size) {
  std::string data;
  while (data.size() < size) {
    if (random.Chance(1, 2)) {
      data.append(random.Below(300), static_cast<char>(random.Below(256)));
    } else {
      for (uint64_t n = random.Below(300); n > 0; --n) data += static_cast<char>(random.Next());
    }
  }
  data.resize(size);
  return data;
}

class CompressionTest : public ::testing::TestWithParam<Codec> {};

INSTANTIATE_TEST_SUITE_P(Codecs, CompressionTest,
                         ::testing::Values(Codec::kNone, Codec::kGzip, Codec::kSnappy, Codec::kLz4,
                                           Codec::kZstd),
                         [](const auto& info) { return std::string(CodecName(info.param)); });

TEST_P(CompressionTest, GivesBackWhatItTook) {
  Random random(11);
  for (const size_t size : {0, 1, 100, 32 * 1024, 32 * 1024 + 1, 64 * 1024, 300'000}) {
    const std::string data = Mixed(random, size);
    const auto packed = Compress(GetParam(), kDefaultCompressionLevel, data);
    ASSERT_TRUE(packed.ok()) << packed.status().ToString();
    const auto plain = Decompress(GetParam(), *packed, kPlenty);
    ASSERT_TRUE(plain.ok()) << plain.status().ToString() << " size " << size;
    EXPECT_TRUE(*plain == data) << size;
  }
}

TEST_P(CompressionTest, TheLimitIsExact) {
  Random random(12);
  for (const size_t size : {1, 5000, 100'000}) {
    const std::string data = Mixed(random, size);
    const std::string packed = *Compress(GetParam(), kDefaultCompressionLevel, data);
    EXPECT_TRUE(Decompress(GetParam(), packed, size).ok());
    for (const size_t limit : {size - 1, size / 2, size_t{0}}) {
      EXPECT_EQ(Decompress(GetParam(), packed, limit).status().code(),
                StatusCode::kResourceExhausted)
          << size << " " << limit;
    }
  }
}

TEST_P(CompressionTest, EveryTruncationIsToldOrHarmless) {
  if (GetParam() == Codec::kNone) return;  // plain bytes carry no end
  Random random(13);
  const std::string data = Mixed(random, 3000);
  const std::string packed = *Compress(GetParam(), kDefaultCompressionLevel, data);
  for (size_t size = 0; size < packed.size(); ++size) {
    const auto plain = Decompress(GetParam(), std::string_view(packed).substr(0, size), kPlenty);
    // A framed snappy stream has no end mark: cut exactly between blocks, it is a shorter one.
    if (GetParam() == Codec::kSnappy && size == 16) continue;
    EXPECT_EQ(plain.status().code(), StatusCode::kCorruption) << size;
  }
}

TEST_P(CompressionTest, MutationsNeverPassTheLimit) {
  Random random(14);
  const std::string data = Mixed(random, 2000);
  const std::string packed = *Compress(GetParam(), kDefaultCompressionLevel, data);
  for (int round = 0; round < 3000; ++round) {
    std::string bad = packed;
    for (uint64_t n = random.Between(1, 4); n > 0; --n) {
      bad[random.Below(bad.size())] = static_cast<char>(random.Next());
    }
    const auto plain = Decompress(GetParam(), bad, 4000);
    if (plain.ok()) {
      EXPECT_LE(plain->size(), 4000u);
    }
  }
}

TEST_P(CompressionTest, LevelsAreClampedAndReadable) {
  Random random(15);
  const std::string data = Mixed(random, 20'000);
  for (const int level : {-200'000, -1, 0, 1, 9, 12, 17, 22, 1000}) {
    const auto packed = Compress(GetParam(), level, data);
    ASSERT_TRUE(packed.ok()) << level;
    EXPECT_EQ(*Decompress(GetParam(), *packed, kPlenty), data) << level;
  }
}

TEST(CompressionBombTest, SmallInputsDoNotTakeLargeMemory) {
  const std::string zeros(size_t{32} << 20, '\0');
  for (const Codec codec : {Codec::kGzip, Codec::kLz4, Codec::kZstd, Codec::kSnappy}) {
    const std::string bomb = *Compress(codec, kDefaultCompressionLevel, zeros);
    EXPECT_EQ(Decompress(codec, bomb, 1 << 20).status().code(), StatusCode::kResourceExhausted)
        << codec;
  }
}

TEST(SnappyTest, ReadsRawBlocksAsLibrdkafkaSendsThem) {
  Random random(16);
  const std::string data = Mixed(random, 100'000);
  std::string raw;
  snappy::Compress(data.data(), data.size(), &raw);
  EXPECT_EQ(*Decompress(Codec::kSnappy, raw, kPlenty), data);
}

TEST(SnappyTest, ReadsFramedStreamsOneAfterAnother) {
  const std::string a = *Compress(Codec::kSnappy, kDefaultCompressionLevel, "first ");
  const std::string b = *Compress(Codec::kSnappy, kDefaultCompressionLevel, "second");
  EXPECT_EQ(*Decompress(Codec::kSnappy, a + b, kPlenty), "first second");
}

TEST(SnappyTest, ALyingLengthTakesNoMemory) {
  // A raw block that says it holds 4 GiB less one, in six bytes.
  EXPECT_EQ(Decompress(Codec::kSnappy, "\xff\xff\xff\xff\x0f\x00", SIZE_MAX).status().code(),
            StatusCode::kCorruption);
  ByteWriter framed;
  framed.PutBytes(std::string_view("\x82SNAPPY\0", 8));
  framed.PutInt32(1);
  framed.PutInt32(1);
  framed.PutInt32(1 << 30);
  EXPECT_EQ(Decompress(Codec::kSnappy, framed.view(), SIZE_MAX).status().code(),
            StatusCode::kCorruption);
}

TEST(ZstdTest, ReadsFramesOneAfterAnother) {
  const std::string a = *Compress(Codec::kZstd, 1, "first ");
  const std::string b = *Compress(Codec::kZstd, 19, "second");
  EXPECT_EQ(*Decompress(Codec::kZstd, a + b, kPlenty), "first second");
}

TEST(ZstdTest, AnAbsurdWindowIsRefused) {
  // Magic, a descriptor without content size, a window of 2 GiB, an empty last block.
  const std::string frame("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", 9);
  EXPECT_EQ(Decompress(Codec::kZstd, frame, kPlenty).status().code(), StatusCode::kCorruption);
}

TEST(ZstdTest, WorksAfterADamagedStream) {
  const std::string good = *Compress(Codec::kZstd, 3, "good");
  EXPECT_FALSE(Decompress(Codec::kZstd, good.substr(0, 6), kPlenty).ok());
  EXPECT_EQ(*Decompress(Codec::kZstd, good, kPlenty), "good");
}

TEST(GzipTest, ReadsMembersOneAfterAnother) {
  const std::string a = *Compress(Codec::kGzip, 1, "first ");
  const std::string b = *Compress(Codec::kGzip, 9, "second");
  EXPECT_EQ(*Decompress(Codec::kGzip, a + b, kPlenty), "first second");
}

TEST(CodecTest, NamesGoBothWays) {
  for (int number = 0; number <= 4; ++number) {
    const auto codec = static_cast<Codec>(number);
    EXPECT_TRUE(IsKnown(codec));
    EXPECT_EQ(*CodecFromName(CodecName(codec)), codec);
  }
  EXPECT_FALSE(IsKnown(static_cast<Codec>(5)));
  EXPECT_EQ(CodecFromName("lzma").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Decompress(static_cast<Codec>(5), "x", 1).status().code(),
            StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace sluice::kafka
