// A bounded run of the fuzzer's seam over mutations of the golden batches. Half of the mutants get
// a right CRC, or nothing behind that check would ever be reached.

#include "kafka/fuzz/record_batch_fuzz.h"

#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "base/random.h"
#include "kafka/testing/golden_batches.h"

namespace sluice::kafka {
namespace {

void MendCrc(std::string& batch) {
  if (batch.size() < kBatchOverhead) return;
  StoreBigEndian(batch.data() + batch_layout::kCrc,
                 Crc32c(std::string_view(batch).substr(batch_layout::kAttributes)));
}

std::string Mutate(std::string bytes, Random& random) {
  for (uint64_t n = random.Between(1, 5); n > 0 && !bytes.empty(); --n) {
    // Half of the changes hit the header and the first records, where structure is densest.
    const size_t reach = random.Chance(1, 2) ? bytes.size() : std::min<size_t>(bytes.size(), 120);
    const size_t at = random.Below(reach);
    switch (random.Below(5)) {
      case 0: bytes[at] = static_cast<char>(random.Next()); break;
      case 1: bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.Below(8))); break;
      case 2: bytes.erase(at, random.Below(4) + 1); break;
      case 3: bytes.insert(at, random.Below(4) + 1, static_cast<char>(random.Next())); break;
      default: bytes[at] = random.Chance(1, 2) ? '\xff' : '\x7f'; break;
    }
  }
  if (random.Chance(1, 4) && bytes.size() > batch_layout::kLogOverhead) {
    StoreBigEndian(bytes.data() + batch_layout::kBatchLength,
                   static_cast<int32_t>(bytes.size() - batch_layout::kLogOverhead));
  }
  if (random.Chance(1, 2)) MendCrc(bytes);
  return bytes;
}

TEST(RecordBatchFuzzTest, GoldenBatchesPass) {
  for (const testing::GoldenBatch& golden : testing::GoldenBatches()) FuzzRecordBatch(golden.bytes);
}

TEST(RecordBatchFuzzTest, MutationsAreSurvived) {
  Random random(20);
  for (const testing::GoldenBatch& golden : testing::GoldenBatches()) {
    const int rounds = golden.bytes.size() < 1000 ? 2000 : 150;
    for (int round = 0; round < rounds; ++round) FuzzRecordBatch(Mutate(golden.bytes, random));
  }
}

TEST(RecordBatchFuzzTest, TruncationsAreSurvived) {
  for (const testing::GoldenBatch& golden : testing::GoldenBatches()) {
    if (golden.bytes.size() > 2000) continue;
    for (size_t size = 0; size < golden.bytes.size(); ++size) {
      std::string cut = golden.bytes.substr(0, size);
      FuzzRecordBatch(cut);
      // The same with a header that agrees with what is left.
      if (size < kBatchOverhead) continue;
      StoreBigEndian(cut.data() + batch_layout::kBatchLength,
                     static_cast<int32_t>(size - batch_layout::kLogOverhead));
      MendCrc(cut);
      FuzzRecordBatch(cut);
    }
  }
}

TEST(RecordBatchFuzzTest, NoiseIsSurvived) {
  Random random(21);
  for (int round = 0; round < 2000; ++round) {
    std::string noise(random.Below(300), '\0');
    for (char& c : noise) c = static_cast<char>(random.Next());
    if (noise.size() > batch_layout::kMagic) noise[batch_layout::kMagic] = kMagicV2;
    FuzzRecordBatch(noise);
  }
}

}  // namespace
}  // namespace sluice::kafka
