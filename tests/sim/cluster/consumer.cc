#include "tests/sim/cluster/consumer.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "kafka/record_batch.h"

namespace sluice::sim {

using kafka::ErrorCode;

namespace {

constexpr int16_t kFetchVersion = 17;
constexpr int16_t kListOffsetsVersion = 8;
constexpr int32_t kWaitMs = 300;
constexpr int64_t kPauseMsMax = 50;
constexpr int64_t kLatest = -1;
constexpr int64_t kEarliest = -2;

history::Value ValueOf(const kafka::Record& record) {
  history::Value value = -1;
  const std::string_view text = record.value.value_or("");
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

Consumer::Consumer(World& world, NodeId self, std::vector<NodeId> nodes, Log& log,
                   history::Place place)
    : KafkaClient(world, self, std::move(nodes), log),
      place_(std::move(place)),
      client_(log.next_client++) {
  PollElsewhere();
}

void Consumer::PollAfter(int64_t delay_ms) {
  Later(delay_ms, [this] {
    if (!quiet_) Poll();
  });
}

void Consumer::PollElsewhere() {
  Later(random_.Between(10, 100), [this] { Refresh([this] { PollAfter(0); }); });
}

void Consumer::Poll() {
  const KnownPartition* leader = Find(place_);
  if (leader == nullptr) return PollElsewhere();
  if (too_low_) {
    AskOffset(*leader, kEarliest, &Consumer::OnStart);
  } else if (random_.Chance(1, 5)) {
    AskOffset(*leader, kLatest, &Consumer::OnEnd);
  } else {
    Fetch(*leader);
  }
}

void Consumer::Fetch(const KnownPartition& leader) {
  kafka::FetchRequest request;
  request.max_wait_ms = kWaitMs;
  request.min_bytes = 1;
  request.max_bytes = 1 << 20;
  request.session_id = 0;
  request.session_epoch = -1;
  auto& topic = request.topics.emplace_back();
  topic.topic_id = topics_.at(place_.topic).id;
  auto& partition = topic.partitions.emplace_back();
  partition.partition = place_.partition.value();
  partition.current_leader_epoch = leader.leader_epoch;
  partition.last_fetched_epoch = last_epoch_;
  partition.fetch_offset = position_;
  partition.partition_max_bytes = static_cast<int32_t>(random_.Between(100, 4000));
  To(leader.leader)
      .Call<kafka::FetchRequest, kafka::FetchResponse>(
          request, kFetchVersion, kRequestTimeoutMs,
          [this, begin_us = now_us()](const Result<kafka::FetchResponse>& response) {
            OnFetched(begin_us, response);
          });
}

void Consumer::OnFetched(int64_t begin_us, const Result<kafka::FetchResponse>& response) {
  if (!response.ok() || response->error_code != 0 || response->responses.empty())
    return PollElsewhere();
  const auto& data = response->responses.front().partitions.front();
  if (data.diverging_epoch.end_offset >= 0)
    OnDiverged(data.diverging_epoch.epoch, data.diverging_epoch.end_offset);
  if (data.error_code == kafka::WireError(ErrorCode::kOffsetOutOfRange)) {
    too_low_ = log_.records_expire && data.log_start_offset > position_;
    if (!too_low_) Breach("is told that its position lies outside the partition");
  }
  if (data.error_code != 0) return PollElsewhere();
  if (data.records.size_bytes() > 0) TakeRecords(begin_us, data.records.bytes());
  PollAfter(random_.Between(0, kPauseMsMax));
}

// Reads on from where its history and the leader's part.
void Consumer::OnDiverged(int32_t epoch, int64_t end_offset) {
  if (!log_.losses_known) return Breach("is told that its records are not those of the partition");
  told_of_loss_ = true;
  sought_ = true;
  position_ = std::min(position_, end_offset);
  last_epoch_ = epoch;
}

void Consumer::TakeRecords(int64_t begin_us, std::string_view bytes) {
  history::Poll poll{
      .from = Offset(position_), .to = Offset(position_), .sought = sought_, .records = {}};
  kafka::BatchIterator batches(bytes);
  for (;;) {
    const auto batch = batches.Next();
    if (!batch.ok()) return Breach("was given what is no batch: " + batch.status().ToString());
    if (!batch->has_value()) break;
    kafka::RecordIterator records(**batch, (*batch)->records());
    for (kafka::Record record; records.Next(record);) {
      if (record.offset.value() < position_) continue;  // of a batch that began before
      poll.records.push_back({record.offset, ValueOf(record)});
      position_ = record.offset.value() + 1;
    }
    last_epoch_ = (*batch)->partition_leader_epoch().value();
  }
  if (poll.records.empty()) return;
  poll.to = Offset(position_);
  sought_ = false;
  log_.records_read += poll.records.size();
  world_.Trace("read", static_cast<uint64_t>(position_));
  history::Operation operation = NewOperation(begin_us);
  operation.what = std::move(poll);
  log_.history.operations.push_back(std::move(operation));
}

history::Operation Consumer::NewOperation(int64_t begin_us) {
  history::Operation operation;
  operation.client = client_;
  operation.begin_us = begin_us;
  operation.end_us = now_us();
  operation.place = place_;
  return operation;
}

void Consumer::ListOffsets(const KnownPartition& leader, int64_t which,
                           std::function<void(const ListOffsetsAnswer*)> answered) {
  kafka::ListOffsetsRequest request;
  request.replica_id = -1;
  auto& topic = request.topics.emplace_back();
  topic.name = place_.topic;
  auto& partition = topic.partitions.emplace_back();
  partition.partition_index = place_.partition.value();
  partition.current_leader_epoch = leader.leader_epoch;
  partition.timestamp = which;
  To(leader.leader)
      .Call<kafka::ListOffsetsRequest, kafka::ListOffsetsResponse>(
          request, kListOffsetsVersion, kRequestTimeoutMs,
          [answered = std::move(answered)](const Result<kafka::ListOffsetsResponse>& response) {
            answered(response.ok() ? &response->topics.at(0).partitions.at(0) : nullptr);
          });
}

void Consumer::AskOffset(const KnownPartition& leader, int64_t which, Told told) {
  ListOffsets(leader, which, [this, begin_us = now_us(), told](const ListOffsetsAnswer* answer) {
    if (answer == nullptr || answer->error_code != 0) return PollElsewhere();
    (this->*told)(begin_us, answer->offset);
    PollAfter(0);
  });
}

void Consumer::AskEndOf(NodeId node) {
  ListOffsets({.leader = node, .leader_epoch = -1}, kLatest,
              [this, begin_us = now_us()](const ListOffsetsAnswer* answer) {
                if (answer != nullptr && answer->error_code == 0) OnEnd(begin_us, answer->offset);
              });
}

void Consumer::OnEnd(int64_t begin_us, int64_t offset) {
  end_ = offset;
  end_ms_ = begin_us / 1000;
  history::Operation operation = NewOperation(begin_us);
  operation.what = history::AskEnd{Offset(offset)};
  log_.history.operations.push_back(std::move(operation));
}

void Consumer::OnStart(int64_t, int64_t offset) {
  too_low_ = false;
  sought_ = true;
  position_ = std::max(position_, offset);
}

void Consumer::Breach(const std::string& what) {
  log_.breaches.push_back("the reader of " + place_.topic + "-" +
                          std::to_string(place_.partition.value()) + " at " +
                          std::to_string(position_) + " " + what);
}

}  // namespace sluice::sim
