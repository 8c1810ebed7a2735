#pragma once
// LogCompactFixture: a compacted Log on a simulated disk: records in by key, runs of the cleaner,
// and what is there afterwards, beside the naive answer.
//
// Thread rule: one thread.

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kafka/record_batch_builder.h"
#include "storage/compaction/compaction_run.h"
#include "storage/compaction/plan.h"
#include "storage/file_names.h"
#include "storage/testing/log_fixture.h"
#include "storage/testing/run_compaction.h"

namespace sluice::storage::testing {

struct Stored {
  int64_t offset;
  std::string key;
  std::optional<std::string> value;
  friend bool operator==(const Stored&, const Stored&) = default;
};

inline std::ostream& operator<<(std::ostream& out, const Stored& record) {
  return out << record.offset << " " << record.key << "=" << record.value.value_or("null");
}

class LogCompactFixture : public LogFixture {
 protected:
  LogCompactFixture() {
    config_.segment_bytes = 600;
    config_.index_interval_bytes = 100;
    config_.cleanup_compact = true;
    config_.cleanup_delete = false;
  }

  struct NewRecord {
    std::string key;
    std::optional<std::string> value;
  };
  Offset Put(const std::vector<NewRecord>& records, int64_t producer = -1, int32_t sequence = -1,
             kafka::Codec codec = kafka::Codec::kNone) {
    kafka::RecordBatchBuilder builder({.codec = codec,
                                       .producer_id = ProducerId(producer),
                                       .producer_epoch = int16_t(producer < 0 ? -1 : 0),
                                       .base_sequence = sequence});
    for (const NewRecord& record : records) {
      builder.Append({.timestamp_ms = clock_.WallMs(), .key = record.key, .value = record.value});
    }
    auto outcome = log_->AppendAsLeader(*builder.Build(), LeaderEpoch(0));
    CHECK(outcome.ok() && outcome->error == kafka::ErrorCode::kNone);
    return outcome->info.first_offset;
  }

  Offset Append(kafka::RecordBatchBuilder& builder) {
    auto outcome = log_->AppendAsLeader(*builder.Build(), LeaderEpoch(0));
    CHECK(outcome.ok() && outcome->error == kafka::ErrorCode::kNone);
    return outcome->info.first_offset;
  }
  void PutTransactional(int64_t producer, int32_t sequence, const std::string& key,
                        const std::string& value) {
    kafka::RecordBatchBuilder builder({.producer_id = ProducerId(producer),
                                       .producer_epoch = 0,
                                       .base_sequence = sequence,
                                       .is_transactional = true});
    builder.Append({.timestamp_ms = clock_.WallMs(), .key = key, .value = value});
    Append(builder);
  }
  Offset Mark(int64_t producer, bool commit) {
    kafka::RecordBatchBuilder builder({.producer_id = ProducerId(producer),
                                       .producer_epoch = 0,
                                       .is_transactional = true,
                                       .is_control = true});
    const char key[] = {0, 0, 0, commit ? char{1} : char{0}};
    builder.Append({.timestamp_ms = clock_.WallMs(),
                    .key = std::string_view(key, 4),
                    .value = std::string_view("\0\0\0\0\0\0", 6)});
    return Append(builder);
  }
  // Offsets of the control batches that still have their record.
  std::vector<Offset> Markers() {
    std::vector<Offset> markers;
    auto read = log_->Read(log_->log_start_offset(), 1 << 30, Offset(INT64_MAX), true);
    CHECK(read.ok());
    const std::string bytes = BytesOf(*read);
    for (std::string_view rest = bytes; !rest.empty();) {
      const auto batch = BatchHeader::Parse(rest);
      if (batch->is_control() && batch->record_count > 0) markers.push_back(batch->base_offset);
      rest.remove_prefix(batch->size_bytes);
    }
    return markers;
  }
  size_t Aborted() {
    auto aborted = log_->AbortedTransactions({log_->log_start_offset(), log_->log_end_offset()});
    CHECK(aborted.ok());
    return aborted->size();
  }

  std::vector<Stored> Contents() {
    auto read = log_->Read(log_->log_start_offset(), 1 << 30, Offset(INT64_MAX), true);
    CHECK(read.ok()) << read.status().ToString();
    const std::string bytes = BytesOf(*read);
    std::vector<Stored> stored;
    kafka::BatchIterator batches(bytes);
    while (true) {
      auto batch = batches.Next();
      CHECK(batch.ok());
      if (!*batch) return stored;
      if ((*batch)->is_control()) continue;
      CHECK((*batch)->CheckCrc().ok());
      std::string storage;
      auto plain = kafka::PlainRecords(**batch, 1 << 20, storage);
      if ((*batch)->record_count() == 0) continue;
      CHECK(plain.ok());
      kafka::RecordIterator records(**batch, *plain);
      kafka::Record record;
      while (records.Next(record)) {
        stored.push_back({record.offset.value(), std::string(*record.key),
                          record.value ? std::optional<std::string>(*record.value) : std::nullopt});
      }
      CHECK(records.status().ok());
    }
  }

  CompactionRun::Options RunOptions() {
    return {.file_system = &fs_,
            .map_bytes_max = map_bytes_,
            .map_load_factor = 0.9,
            .read_bytes = read_bytes_,
            .hasher = KeyHasher(3, 4)};
  }

  // One run to its end, or to the first failure.
  Status Compact() {
    SLUICE_ASSIGN_OR_RETURN(CompactionPlan plan,
                            log_->PlanCompaction(cleaned_upto_, log_->log_end_offset()));
    if (tombstones_stay_from_) plan.tombstones_stay_from = *tombstones_stay_from_;
    CompactionRun run(std::move(plan), RunOptions());
    SLUICE_RETURN_IF_ERROR(RunCompaction(run, *log_, fs_, kLogDirectory));
    cleaned_upto_ = run.cleaned_upto();
    return Status::Ok();
  }

  // What a compaction of all below `upto` leaves: of each key the last record, tombstones too.
  static std::vector<Stored> Naive(std::vector<Stored> all, int64_t upto) {
    std::map<std::string, int64_t> last;
    for (const Stored& record : all) {
      if (record.offset < upto) last[record.key] = record.offset;
    }
    std::erase_if(all, [&](const Stored& record) {
      return record.offset < upto && last[record.key] != record.offset;
    });
    return all;
  }

  size_t SegmentCount() {
    size_t count = 0;
    for (const std::string& name : Files()) count += ParseOffsetFileName(name, kLogSuffix) ? 1 : 0;
    return count;
  }

  std::optional<Offset> cleaned_upto_;
  std::optional<Offset> tombstones_stay_from_;
  uint64_t map_bytes_ = 1 << 20;
  size_t read_bytes_ = 256;
};

}  // namespace sluice::storage::testing
