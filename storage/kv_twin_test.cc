// RocksDB and its simulated twin, side by side: random writes, flushes and crashes happen to both,
// and every answer must be the same.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "base/random.h"
#include "storage/testing/copy_as_killed.h"
#include "storage/testing/sim_kv.h"

namespace sluice::storage {
namespace {

constexpr KvFamily kOffsets = 0;
constexpr KvFamily kGroups = 1;

class KvTwinTest : public ::testing::TestWithParam<uint64_t> {
 protected:
  KvTwinTest()
      : directory_(::testing::TempDir() + "kv_twin_test." + std::to_string(::getpid())),
        random_(GetParam()) {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    Open();
  }
  ~KvTwinTest() override {
    snapshots_ = {};
    kvs_ = {};
    std::filesystem::remove_all(directory_);
  }

  void Open() {
    KvOptions options{directory_ + "/" + std::to_string(crashes_), {"offsets", "groups"}};
    kvs_[0] = OpenRocksKv(options).value();
    options.directory = "/kv";
    kvs_[1] = disk_.Open(options).value();
  }
  // What was written since the last flush is gone: the one's files are copied as they are, the
  // other forgets it.
  void Crash() {
    const std::string from = directory_ + "/" + std::to_string(crashes_);
    testing::CopyAsKilled(from, directory_ + "/" + std::to_string(++crashes_));
    kvs_ = {};
    Open();
  }

  std::string DrawKey() { return "key" + std::to_string(random_.Below(30)); }
  std::string DrawStream() { return "stream" + std::to_string(random_.Below(3)); }
  KvBatch DrawBatch() {
    KvBatch batch;
    for (uint64_t n = random_.Below(6); n > 0; --n) {
      const KvFamily family = random_.Below(2);
      const std::string key = DrawKey();
      switch (random_.Below(8)) {
        case 0: batch.DeleteRange(family, key, std::max(key, DrawKey())); break;
        case 1:
        case 2: batch.Delete(family, key); break;
        case 3: batch.SetApplied(DrawStream(), Offset(++written_)); break;
        case 4:
          if (random_.Chance(1, 4)) batch.ForgetApplied(DrawStream());
          break;
        default: batch.Put(family, key, std::string(random_.Below(3), 'v') + key); break;
      }
    }
    return batch;
  }

  // All that `kv` answers to one and the same questions.
  std::string AnswersOf(const Kv& kv, const KvSnapshot* snapshot, std::string_view from,
                        std::string_view to) const {
    std::string answers;
    for (const KvFamily family : {kOffsets, kGroups}) {
      EXPECT_TRUE(kv.Iterate(snapshot, {family, from, to},
                             [&](std::string_view key, std::string_view value) {
                               answers.append(key).append("=").append(value).append(" ");
                               return true;
                             })
                      .ok());
      answers += kv.Get(family, from).value().value_or("none") + "\n";
    }
    const auto in_words = [](std::optional<Offset> offset) {
      return offset.has_value() ? std::to_string(offset->value()) : "none";
    };
    for (int stream = 0; stream < 3; ++stream) {
      const std::string name = "stream" + std::to_string(stream);
      answers += in_words(kv.Applied(name).value()) + "/" + in_words(kv.DurablyApplied(name)) + " ";
    }
    return answers;
  }
  void ExpectTwins() {
    const std::string from = random_.Chance(1, 4) ? "" : DrawKey();
    const std::string to = random_.Chance(1, 4) ? "" : DrawKey();
    EXPECT_EQ(AnswersOf(*kvs_[0], snapshots_[0].get(), from, to),
              AnswersOf(*kvs_[1], snapshots_[1].get(), from, to));
    EXPECT_EQ(AnswersOf(*kvs_[0], nullptr, "", ""), AnswersOf(*kvs_[1], nullptr, "", ""));
  }

  const std::string directory_;
  Random random_;
  int crashes_ = 0;
  int64_t written_ = 0;
  testing::SimKvDisk disk_;
  std::array<std::unique_ptr<Kv>, 2> kvs_;
  std::array<std::unique_ptr<KvSnapshot>, 2> snapshots_;
};

TEST_P(KvTwinTest, AnswersAreTheSame) {
  for (int step = 0; step < 500 && !HasFailure(); ++step) {
    const KvBatch batch = DrawBatch();
    for (const auto& kv : kvs_) ASSERT_TRUE(kv->Write(batch).ok());
    const bool crashes = random_.Chance(1, 100);
    if (crashes || random_.Chance(1, 20)) snapshots_ = {};
    if (crashes) Crash();
    if (random_.Chance(1, 20)) {
      for (size_t i = 0; i < kvs_.size(); ++i) snapshots_[i] = kvs_[i]->NewSnapshot();
    }
    if (random_.Chance(1, 30)) {
      for (const auto& kv : kvs_) ASSERT_TRUE(kv->Flush().ok());
    }
    ExpectTwins();
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, KvTwinTest, ::testing::Range<uint64_t>(1, 4));

}  // namespace
}  // namespace sluice::storage
