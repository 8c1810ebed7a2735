// Transactions in a log: the last stable offset, the aborted ones and their files, after every kind
// of stop and truncation; and random runs beside a naive twin.

#include <gmock/gmock.h>

#include <algorithm>
#include <optional>

#include "base/bytes.h"
#include "base/random.h"
#include "storage/testing/log_fixture.h"

namespace sluice::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kFirstTxnIndex[] = "00000000000000000000.txnindex";

struct TxnBatch {
  int64_t producer = 1;
  enum class Kind { kData, kCommit, kAbort, kPlain } kind = Kind::kData;
  int records = 1;
  size_t value_bytes = 10;
};

std::string Encode(const TxnBatch& batch, Offset base, int64_t now_ms, LeaderEpoch epoch) {
  kafka::RecordBatchOptions options;
  options.base_offset = base;
  options.partition_leader_epoch = epoch;
  if (batch.kind != TxnBatch::Kind::kPlain) {
    options.producer_id = ProducerId(batch.producer);
    options.producer_epoch = 0;
    options.is_transactional = true;
  }
  const bool marker = batch.kind == TxnBatch::Kind::kCommit || batch.kind == TxnBatch::Kind::kAbort;
  options.is_control = marker;
  kafka::RecordBatchBuilder builder(options);
  if (marker) {
    ByteWriter key, value;
    key.PutInt16(0);
    key.PutInt16(batch.kind == TxnBatch::Kind::kCommit ? 1 : 0);
    value.PutInt16(0);
    value.PutInt32(3);
    builder.Append({now_ms, key.view(), value.view(), {}});
  } else {
    const std::string value(batch.value_bytes, 'v');
    for (int i = 0; i < batch.records; ++i) builder.Append({now_ms, "k", value, {}});
  }
  return *builder.Build();
}

constexpr TxnBatch Data(int64_t producer, int records = 1) {
  return {producer, TxnBatch::Kind::kData, records};
}
constexpr TxnBatch Commit(int64_t producer) { return {producer, TxnBatch::Kind::kCommit}; }
constexpr TxnBatch Abort(int64_t producer) { return {producer, TxnBatch::Kind::kAbort}; }

AbortedTransaction Aborted(int64_t producer, int64_t first, int64_t last, int64_t stable) {
  return {ProducerId(producer), Offset(first), Offset(last), Offset(stable)};
}

class LogTransactionsTest : public testing::LogFixture {
 protected:
  void Write(const TxnBatch& batch) {
    const auto outcome = log_->AppendAsLeader(
        Encode(batch, Offset(0), clock_.WallMs(), LeaderEpoch(0)), LeaderEpoch(0));
    ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
    ASSERT_EQ(outcome->error, kafka::ErrorCode::kNone) << outcome->message;
  }
  void WriteAll(const std::vector<TxnBatch>& batches) {
    for (const TxnBatch& batch : batches) Write(batch);
  }
  int64_t Stable(int64_t high_watermark) {
    return log_->LastStableOffset(Offset(high_watermark))->value();
  }
  std::vector<AbortedTransaction> AbortedIn(int64_t from, int64_t upto) {
    const auto found = log_->AbortedTransactions({Offset(from), Offset(upto)});
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    return found.ok() ? *found : std::vector<AbortedTransaction>();
  }
};

TEST_F(LogTransactionsTest, OpenTransactionsAndUnreplicatedMarkersHoldTheStableEnd) {
  Open();
  WriteAll({{.kind = TxnBatch::Kind::kPlain}, Data(1, 2), Data(2), Data(1)});
  EXPECT_EQ(Stable(0), 0);
  EXPECT_EQ(Stable(5), 1);
  Write(Commit(1));  // at 5
  EXPECT_EQ(Stable(5), 1) << "the marker is above the high watermark";
  EXPECT_EQ(Stable(6), 3) << "the other one is open still";
  Write(Abort(2));  // at 6
  EXPECT_EQ(Stable(6), 3);
  EXPECT_EQ(Stable(7), 7);
  EXPECT_THAT(AbortedIn(0, 7), ElementsAre(Aborted(2, 3, 6, 7)));
  // A marker without records ends nothing.
  WriteAll({Abort(9), Commit(1)});
  EXPECT_EQ(Stable(9), 9);
  EXPECT_EQ(AbortedIn(0, 9).size(), 1u);
}

TEST_F(LogTransactionsTest, EntriesAreKafkasToTheByte) {
  Open();
  WriteAll({Data(3, 2), Data(4), Abort(3), Abort(4)});
  EXPECT_THAT(Files(), ::testing::Not(::testing::Contains(kFirstTxnIndex))) << "made lazily";
  EXPECT_THAT(AbortedIn(0, 5), ElementsAre(Aborted(3, 0, 3, 2), Aborted(4, 2, 4, 5)));
  ASSERT_TRUE(log_->Close().ok());
  const std::string bytes = FileBytes(kFirstTxnIndex);
  ASSERT_EQ(bytes.size(), 68u);
  const auto field = [&](size_t at) { return LoadBigEndian<int64_t>(bytes.data() + at); };
  EXPECT_EQ(LoadBigEndian<int16_t>(bytes.data()), 0);
  EXPECT_EQ(field(2), 3);
  EXPECT_EQ(field(10), 0);
  EXPECT_EQ(field(18), 3);
  EXPECT_EQ(field(26), 2);
  EXPECT_EQ(field(34 + 26), 5);
}

TEST_F(LogTransactionsTest, ALogWithoutAbortsHasNoIndex) {
  Open();
  WriteAll({Data(3), Commit(3), {.kind = TxnBatch::Kind::kPlain}});
  ASSERT_TRUE(log_->Close().ok());
  EXPECT_THAT(Files(), ::testing::Not(::testing::Contains(kFirstTxnIndex)));
}

TEST_F(LogTransactionsTest, TransactionsCrossSegmentsAndReadsAskForWhatTheyTouch) {
  config_.segment_bytes = 400;
  Open();
  Write(Data(7));
  for (int i = 0; i < 20; ++i) WriteAll({Data(8), Abort(8)});
  Write(Abort(7));  // at 41
  const auto all = AbortedIn(0, 42);
  ASSERT_EQ(all.size(), 21u);
  EXPECT_EQ(all.back(), Aborted(7, 0, 41, 42));
  EXPECT_THAT(AbortedIn(20, 21), ElementsAre(Aborted(8, 19, 20, 0), Aborted(7, 0, 41, 42)));
  EXPECT_THAT(AbortedIn(41, 42), ElementsAre(Aborted(7, 0, 41, 42)));
  const auto read = log_->Read(Offset(5), 150, Offset(42), true);
  const auto touched = log_->AbortedInRead({Offset(5), Offset(42)}, read->size_bytes);
  ASSERT_TRUE(touched.ok());
  EXPECT_GE(touched->size(), 2u);
  EXPECT_LT(touched->size(), 10u) << "not of the whole log";
}

TEST_F(LogTransactionsTest, FollowersBuildTheSameIndex) {
  Open();
  std::string bytes;
  Offset base(0);
  for (const TxnBatch& batch : {Data(3, 2), Data(4), Abort(3), Commit(4)}) {
    bytes += Encode(batch, base, clock_.WallMs(), LeaderEpoch(0));
    base = base + batch.records;
  }
  ASSERT_TRUE(log_->AppendAsFollower(bytes, LeaderEpoch(0)).ok());
  EXPECT_THAT(AbortedIn(0, 5), ElementsAre(Aborted(3, 0, 3, 2)));
  EXPECT_EQ(Stable(5), 5);
}

TEST_F(LogTransactionsTest, TruncationTakesMarkersBack) {
  Open();
  WriteAll({Data(3), Abort(3), Data(4), Abort(4), Data(5)});
  ASSERT_TRUE(log_->TruncateTo(Offset(3)).ok());
  EXPECT_THAT(AbortedIn(0, 3), ElementsAre(Aborted(3, 0, 1, 2)));
  EXPECT_EQ(Stable(3), 2) << "the transaction is open again";
  Write(Commit(4));
  EXPECT_EQ(Stable(4), 4);
  EXPECT_EQ(AbortedIn(0, 4).size(), 1u);
  // A marker that stays, and that the high watermark had not reached, is still watched.
  WriteAll({Data(6), Commit(6), Data(6)});
  ASSERT_TRUE(log_->TruncateTo(Offset(6)).ok());
  EXPECT_EQ(Stable(5), 4);
  ASSERT_TRUE(log_->TruncateFullyAndStartAt(Offset(100)).ok());
  EXPECT_THAT(AbortedIn(100, 100), IsEmpty());
  EXPECT_EQ(Stable(100), 100);
}

TEST_F(LogTransactionsTest, AKillLosesNoEntryAndAddsNone) {
  config_.segment_bytes = 400;
  Open();
  for (int i = 0; i < 10; ++i) WriteAll({Data(3), Data(4), Abort(3), Abort(4)});
  Write(Data(5));
  const auto before = AbortedIn(0, 41);
  ASSERT_EQ(before.size(), 20u);
  for (const int64_t recovery_point : {0, 17, 40}) {
    Kill(Offset(recovery_point));
    EXPECT_EQ(AbortedIn(0, 41), before) << recovery_point;
    EXPECT_EQ(Stable(41), 40);
  }
  CloseAndReopen();
  EXPECT_EQ(AbortedIn(0, 41), before);
  EXPECT_EQ(Stable(41), 40);
}

TEST_F(LogTransactionsTest, AnIndexThatCannotBeReadIsBuiltAgain) {
  config_.segment_bytes = 400;
  Open();
  for (int i = 0; i < 10; ++i) WriteAll({Data(3), Data(4), Abort(3), Abort(4)});
  const auto before = AbortedIn(0, 40);
  ASSERT_TRUE(log_->Close().ok());
  log_.reset();
  for (const std::string& name : Files()) {
    if (!name.ends_with(".txnindex")) continue;
    fs_.FlipBit(std::string(testing::kLogDirectory) + "/" + name, 1, 3);
  }
  LogOptions options = Options();
  options.clean = true;
  options.recovery_point = Offset(40);
  Open(std::move(options));
  EXPECT_EQ(AbortedIn(0, 40), before);
  Write(Data(9));
  Write(Abort(9));
  EXPECT_EQ(AbortedIn(0, 42).size(), before.size() + 1);
}

TEST_F(LogTransactionsTest, IndexesGoWithTheirSegments) {
  config_.segment_bytes = 400;
  Open();
  for (int i = 0; i < 10; ++i) WriteAll({Data(3), Data(4), Abort(3), Abort(4)});
  Flush();
  const auto indexes = [&] {
    size_t count = 0;
    for (const std::string& name : Files()) count += name.find(".txnindex") != std::string::npos;
    return count;
  };
  const size_t before = indexes();
  ASSERT_TRUE(log_->AdvanceLogStart(Offset(30)).ok());
  EXPECT_LT(indexes(), before - 2);
  EXPECT_LE(AbortedIn(30, 40).size(), 6u);
  Write(Data(7));
  ASSERT_TRUE(log_->AdvanceLogStart(Offset(41)).ok());
  EXPECT_EQ(Stable(41), 41) << "an open transaction below the start holds nothing";
}

// All batches in memory; every answer is found by looking at all of them.
class NaiveTransactions {
 public:
  struct Placed {
    TxnBatch batch;
    int64_t base;
    int64_t last;
  };
  struct Span {
    AbortedTransaction entry;
    bool aborted;
  };

  int64_t end() const { return batches_.empty() ? 0 : batches_.back().last + 1; }
  void Append(const TxnBatch& batch) {
    batches_.push_back({batch, end(), end() + batch.records - 1});
  }
  void TruncateTo(int64_t offset) {
    std::erase_if(batches_, [&](const Placed& placed) { return placed.last >= offset; });
  }
  // Where a truncation to `offset` ends: batches go whole.
  int64_t CutAt(int64_t offset) const {
    for (const Placed& placed : batches_) {
      if (placed.last >= offset) return placed.base;
    }
    return end();
  }

  std::vector<Span> Ended() const {
    std::vector<Span> ended;
    std::map<int64_t, int64_t> open;  // producer -> first offset
    for (const Placed& placed : batches_) {
      const int64_t producer = placed.batch.producer;
      switch (placed.batch.kind) {
        case TxnBatch::Kind::kPlain: break;
        case TxnBatch::Kind::kData: open.try_emplace(producer, placed.base); break;
        default: {
          if (!open.contains(producer)) break;
          const int64_t first = open[producer];
          open.erase(producer);
          int64_t stable = placed.last + 1;
          for (const auto& [other, offset] : open) stable = std::min(stable, offset);
          ended.push_back({Aborted(producer, first, placed.last, stable),
                           placed.batch.kind == TxnBatch::Kind::kAbort});
        }
      }
    }
    return ended;
  }
  std::vector<AbortedTransaction> AbortedIn(int64_t from, int64_t upto) const {
    std::vector<AbortedTransaction> found;
    for (const Span& span : Ended()) {
      const bool overlaps =
          span.entry.last_offset >= Offset(from) && span.entry.first_offset < Offset(upto);
      if (span.aborted && overlaps) found.push_back(span.entry);
    }
    return found;
  }
  // `watched_from`: markers below it are not watched any more, whatever the high watermark.
  int64_t Stable(int64_t high_watermark, int64_t watched_from) const {
    std::map<int64_t, int64_t> open;
    int64_t stable = high_watermark;
    for (const Placed& placed : batches_) {
      if (placed.batch.kind == TxnBatch::Kind::kData)
        open.try_emplace(placed.batch.producer, placed.base);
      else if (placed.batch.kind != TxnBatch::Kind::kPlain)
        open.erase(placed.batch.producer);
    }
    for (const auto& [producer, first] : open) stable = std::min(stable, first);
    for (const Span& span : Ended()) {
      const int64_t marker = span.entry.last_offset.value();
      if (marker >= high_watermark && marker >= watched_from)
        stable = std::min(stable, span.entry.first_offset.value());
    }
    return stable;
  }

 private:
  std::vector<Placed> batches_;
};

class LogTransactionsRandomTest : public LogTransactionsTest {
 protected:
  TxnBatch AnyBatch() {
    TxnBatch batch;
    batch.producer = static_cast<int64_t>(random_.Below(5));
    batch.kind = static_cast<TxnBatch::Kind>(random_.Below(4));
    const bool data = batch.kind == TxnBatch::Kind::kData || batch.kind == TxnBatch::Kind::kPlain;
    if (data) batch.records = static_cast<int>(random_.Between(1, 4));
    if (data) batch.value_bytes = random_.Below(80);
    return batch;
  }
  void AppendOne() {
    const TxnBatch batch = AnyBatch();
    Write(batch);
    naive_.Append(batch);
  }
  void AppendSome() {
    std::string bytes;
    Offset base(naive_.end());
    for (int64_t i = random_.Between(1, 12); i > 0; --i) {
      const TxnBatch batch = AnyBatch();
      bytes += Encode(batch, base, clock_.WallMs(), LeaderEpoch(0));
      naive_.Append(batch);
      base = base + batch.records;
    }
    ASSERT_TRUE(log_->AppendAsFollower(bytes, LeaderEpoch(0)).ok());
  }
  void Truncate() {
    const int64_t asked = random_.Between(std::max(start_, naive_.end() - 30), naive_.end());
    const int64_t cut = naive_.CutAt(asked);
    if (cut < start_ || asked == naive_.end()) return;
    ASSERT_TRUE(log_->TruncateTo(Offset(asked)).ok());
    naive_.TruncateTo(asked);
    high_watermark_ = std::min(high_watermark_, naive_.end());
    flushed_ = naive_.end();
  }
  void Advance() {
    Flush();
    flushed_ = naive_.end();
    start_ = random_.Between(start_, naive_.end());
    high_watermark_ = std::max(high_watermark_, start_);
    ASSERT_TRUE(log_->AdvanceLogStart(Offset(start_)).ok());
  }
  LogOptions Reopening(bool clean) {
    LogOptions options = Options();
    options.recovery_point = Offset(std::max(flushed_, start_));
    options.log_start_offset = Offset(start_);
    options.clean = clean;
    return options;
  }
  void Restart() {
    const uint64_t how = random_.Below(3);
    if (how == 0) {
      ASSERT_TRUE(log_->Close().ok());
      flushed_ = naive_.end();
    }
    log_.reset();
    if (how == 2)
      fs_.Crash(random_);
    else
      fs_.KillProcess();
    LogOptions options = Reopening(how == 0);
    options.cut_unsynced_damage = how == 2;
    options.host_stayed_up = how == 1;
    options.checked_tail_bytes = 0;
    Open(std::move(options));
    if (how == 2) {
      const int64_t end = log_->log_end_offset().value();
      ASSERT_GE(end, flushed_);
      naive_.TruncateTo(end);
      ASSERT_EQ(naive_.end(), end);
    }
    // Markers from before the restart are known to be durable decisions; only open transactions
    // hold the stable end.
    high_watermark_ = naive_.end();
  }
  void CompareAll() {
    high_watermark_ = random_.Between(high_watermark_, naive_.end());
    ASSERT_EQ(Stable(high_watermark_), std::max(start_, naive_.Stable(high_watermark_, 0)));
    const int64_t from = random_.Between(start_, naive_.end());
    const int64_t upto = random_.Between(from, naive_.end());
    if (from == upto) return;
    ASSERT_EQ(AbortedIn(from, upto), naive_.AbortedIn(from, upto)) << from << " to " << upto;
    CompareRead(from, upto);
  }
  void CompareRead(int64_t from, int64_t upto) {
    const auto read = log_->Read(Offset(from), random_.Between(1, 800), Offset(upto), true);
    ASSERT_TRUE(read.ok());
    const auto batches = testing::BatchesIn(testing::BytesOf(*read));
    if (batches.empty()) return;
    const auto aborted = log_->AbortedInRead({Offset(from), Offset(upto)}, read->size_bytes);
    ASSERT_TRUE(aborted.ok());
    for (const AbortedTransaction& one : naive_.AbortedIn(from, batches.back().last + 1))
      ASSERT_THAT(*aborted, ::testing::Contains(one));
  }
  void Step() {
    switch (random_.Below(24)) {
      case 0: return Restart();
      case 1: return Truncate();
      case 2:
        Flush();
        flushed_ = naive_.end();
        return;
      case 3: return random_.Chance(1, 3) ? Advance() : AppendOne();
      case 4:
      case 5:
      case 6: return AppendSome();
      default: return AppendOne();
    }
  }

  Random random_{1};
  NaiveTransactions naive_;
  int64_t start_ = 0, high_watermark_ = 0, flushed_ = 0;
};

TEST_F(LogTransactionsRandomTest, AgreesWithTheNaiveTwin) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    random_ = Random(seed);
    naive_ = NaiveTransactions();
    start_ = high_watermark_ = flushed_ = 0;
    log_.reset();
    ASSERT_TRUE(fs_.RemoveAll(testing::kLogDirectory).ok());
    ASSERT_TRUE(fs_.SyncFileSystem("/").ok());
    config_.segment_bytes = random_.Between(300, 5000);
    config_.index_interval_bytes = static_cast<int32_t>(random_.Between(0, 600));
    Open();
    for (int step = 0; step < 250 && !HasFatalFailure(); ++step) {
      Step();
      if (!HasFatalFailure()) CompareAll();
    }
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace sluice::storage
