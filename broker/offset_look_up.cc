#include "broker/offset_look_up.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "base/output_chain.h"
#include "kafka/record_batch.h"

namespace sluice::broker {
namespace {

constexpr int64_t kLatest = -1, kEarliest = -2;
constexpr size_t kReadBytes = 64 << 10;
constexpr size_t kPlainBytesMax = 64 << 20;
// Batches that compaction emptied may stand before the next record.
constexpr int kReadsMax = 16;
// Reads at once, so that they do not hold up what else the loop has to do.
constexpr size_t kQuestionsAtOnce = 16;

struct LookUp {
  ReplicaManager& replicas;
  EventLoop& background;
  std::vector<OffsetQuestion> questions;
  std::vector<OffsetAnswer> answers;
  OffsetAnswers done;
};

void ReadTimes(const std::shared_ptr<LookUp>& look_up, size_t from) {
  const size_t end = std::min(look_up->questions.size(), from + kQuestionsAtOnce);
  for (size_t i = from; i < end; ++i) {
    const OffsetQuestion& question = look_up->questions[i];
    OffsetAnswer& answer = look_up->answers[i];
    if (!question.offset.has_value() || answer.error != kafka::ErrorCode::kNone) continue;
    const Offset at = std::max(*question.offset, answer.log_start);
    if (at < answer.log_end)
      answer.record_time_ms = FirstRecordTime(look_up->replicas, question.key, at);
  }
  if (end == look_up->questions.size()) return look_up->done(std::move(look_up->answers));
  look_up->background.Post([look_up, end] { ReadTimes(look_up, end); });
}

void TakeOffsets(LookUp& look_up, const std::vector<ListOffsetsResult>& found) {
  size_t at = 0;
  for (const OffsetQuestion& question : look_up.questions) {
    OffsetAnswer& answer = look_up.answers.emplace_back();
    const ListOffsetsResult& start = found[at++];
    const ListOffsetsResult& end = found[at++];
    answer.log_start = start.found.offset;
    answer.log_end = end.found.offset;
    answer.error = start.error != kafka::ErrorCode::kNone ? start.error : end.error;
    if (!question.time_ms.has_value()) continue;
    const ListOffsetsResult& by_time = found[at++];
    if (answer.error == kafka::ErrorCode::kNone) answer.error = by_time.error;
    if (by_time.found.offset >= Offset(0)) answer.time_offset = by_time.found.offset;
  }
}

// Whether `batch` has a record at `from` or above; its time then is `time_ms`.
bool FindRecord(const kafka::RecordBatchView& batch, Offset from, int64_t& time_ms) {
  if (batch.last_offset() < from || batch.is_control()) return false;
  std::string storage;
  const Result<std::string_view> plain = kafka::PlainRecords(batch, kPlainBytesMax, storage);
  if (!plain.ok()) return false;
  kafka::RecordIterator records(batch, *plain);
  kafka::Record record;
  while (records.Next(record)) {
    if (record.offset < from) continue;
    time_ms = record.timestamp_ms;
    return true;
  }
  return false;
}

}  // namespace

std::optional<int64_t> FirstRecordTime(ReplicaManager& replicas, const PartitionKey& key,
                                       Offset from) {
  Offset at = from;
  for (int i = 0; i < kReadsMax; ++i) {
    LocalRead read = replicas.ReadLocal(key, at, kReadBytes);
    if (read.error != kafka::ErrorCode::kNone || read.size_bytes == 0) return std::nullopt;
    OutputChain chain;
    for (FileSlice& slice : read.records) chain.Add(std::move(slice));
    const Result<std::string> bytes = Flatten(chain);
    if (!bytes.ok()) return std::nullopt;
    kafka::BatchIterator batches(*bytes);
    const Offset before = at;
    while (true) {
      const auto batch = batches.Next();
      if (!batch.ok()) return std::nullopt;
      if (!batch->has_value()) break;
      int64_t time_ms = 0;
      if (FindRecord(**batch, from, time_ms)) return time_ms;
      at = std::max(at, (*batch)->next_offset());
    }
    if (at == before) return std::nullopt;
  }
  return std::nullopt;
}

void LookUpOffsets(ReplicaManager& replicas, EventLoop& background,
                   std::vector<OffsetQuestion> questions, OffsetAnswers done) {
  std::vector<ListOffsetsEntry> entries;
  for (const OffsetQuestion& question : questions) {
    entries.push_back({.key = question.key, .timestamp_ms = kEarliest});
    entries.push_back({.key = question.key, .timestamp_ms = kLatest});
    if (question.time_ms.has_value())
      entries.push_back({.key = question.key, .timestamp_ms = *question.time_ms});
  }
  auto look_up = std::make_shared<LookUp>(
      LookUp{replicas, background, std::move(questions), {}, std::move(done)});
  replicas.ListOffsets(std::move(entries), nullptr,
                       [look_up](const std::vector<ListOffsetsResult>& found) {
                         TakeOffsets(*look_up, found);
                         look_up->background.Post([look_up] { ReadTimes(look_up, 0); });
                       });
}

}  // namespace sluice::broker
