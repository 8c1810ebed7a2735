#include "tests/sim/cluster/producer.h"

#include <algorithm>
#include <utility>

#include "kafka/messages/init_producer_id.h"
#include "kafka/record_batch_builder.h"

namespace sluice::sim {

using history::Outcome;
using kafka::ErrorCode;

namespace {

constexpr int16_t kProduceVersion = 13;
constexpr int16_t kInitProducerIdVersion = 4;
constexpr int64_t kRetryMsMax = 100;

}  // namespace

Producer::Producer(World& world, NodeId self, std::vector<NodeId> nodes, Log& log,
                   ProducerOptions options)
    : KafkaClient(world, self, std::move(nodes), log), options_(std::move(options)) {
  for (const history::Place& place : options_.places) {
    streams_.push_back(std::make_unique<Stream>(Stream{.place = place}));
    Next(*streams_.back());
  }
}

bool Producer::idle() const {
  return std::all_of(streams_.begin(), streams_.end(),
                     [](const auto& stream) { return !stream->batch.has_value(); });
}

void Producer::Next(Stream& stream) {
  Later(random_.Between(0, options_.pause_ms_max), [this, &stream] {
    if (!quiet_) Begin(stream);
  });
}

void Producer::Begin(Stream& stream) {
  if (stream.producer_id < 0) return AskForId(stream);
  kafka::RecordBatchBuilder builder({.producer_id = ProducerId(stream.producer_id),
                                     .producer_epoch = 0,
                                     .base_sequence = stream.sequence});
  Batch batch;
  batch.begin_ms = world_.clock().SteadyMs();
  batch.records = static_cast<int>(random_.Between(1, options_.records_max));
  for (int i = 0; i < batch.records; ++i) {
    const history::Value value = log_.next_value++;
    builder.Append({.timestamp_ms = world_.clock().WallMs(), .value = std::to_string(value)});
    history::Operation operation;
    operation.client = stream.client;
    operation.begin_us = now_us();
    operation.outcome = Outcome::kUnknown;
    operation.place = stream.place;
    operation.what = history::Send{.value = value};
    batch.operations.push_back(log_.history.operations.size());
    log_.history.operations.push_back(std::move(operation));
  }
  batch.bytes = *builder.Build();
  stream.batch = std::move(batch);
  SendBatch(stream);
}

void Producer::AskForId(Stream& stream) {
  kafka::InitProducerIdRequest request;
  request.transactional_id.reset();
  To(AnyNode()).Call<kafka::InitProducerIdRequest, kafka::InitProducerIdResponse>(
      request, kInitProducerIdVersion, kRequestTimeoutMs,
      [this, &stream](const Result<kafka::InitProducerIdResponse>& response) {
        if (response.ok() && response->error_code == 0) {
          stream.producer_id = response->producer_id;
          stream.sequence = 0;
          stream.client = log_.next_client++;
        }
        Next(stream);
      });
}

void Producer::SendBatch(Stream& stream) {
  const KnownPartition* partition = Find(stream.place);
  if (partition == nullptr) return Retry(stream);
  Transmit(stream, partition->leader, topics_.at(stream.place.topic).id);
}

void Producer::Transmit(Stream& stream, NodeId leader, const Uuid& topic) {
  kafka::ProduceRequest request;
  request.acks = options_.acks;
  request.timeout_ms = kRequestTimeoutMs / 2;
  auto& data = request.topic_data.emplace_back();
  data.topic_id = topic;
  auto& partition = data.partition_data.emplace_back();
  partition.index = stream.place.partition.value();
  const auto bytes = std::make_shared<std::string>(stream.batch->bytes);
  partition.records = kafka::Records::View({bytes, *bytes});
  To(leader).Call<kafka::ProduceRequest, kafka::ProduceResponse>(
      request, kProduceVersion, kRequestTimeoutMs,
      [this, &stream](const Result<kafka::ProduceResponse>& response) {
        OnAnswer(stream, response);
      });
}

void Producer::OnAnswer(Stream& stream, const Result<kafka::ProduceResponse>& response) {
  if (!response.ok()) return Retry(stream);
  const auto& answer = response->responses.at(0).partition_responses.at(0);
  const auto error = static_cast<ErrorCode>(answer.error_code);
  world_.Trace("produced", static_cast<uint64_t>(answer.base_offset + 1));
  if (error == ErrorCode::kNone) return Acknowledge(stream, answer.base_offset);
  if (error == ErrorCode::kDuplicateSequenceNumber) return Acknowledge(stream, -1);
  // An error that the first attempt gets says that nothing was written by it, but a former attempt
  // may have been. Those that are not known are given up at once.
  const bool again = kafka::ErrorIsRetriable(error) || error == ErrorCode::kNotEnoughReplicas ||
                     error == ErrorCode::kNotEnoughReplicasAfterAppend;
  if (again) return Retry(stream);
  // Everything before this batch was acknowledged, so that no leader may miss it.
  if (error == ErrorCode::kOutOfOrderSequenceNumber || error == ErrorCode::kUnknownProducerId) {
    log_.breaches.push_back(
        "a leader of " + stream.place.topic + "-" + std::to_string(stream.place.partition.value()) +
        " does not know the batches before sequence " + std::to_string(stream.sequence) +
        " of client " + std::to_string(stream.client) + ", which were acknowledged");
  }
  GiveUp(stream);
}

void Producer::Acknowledge(Stream& stream, int64_t base_offset) {
  for (size_t i = 0; i < stream.batch->operations.size(); ++i) {
    history::Operation& operation = log_.history.operations[stream.batch->operations[i]];
    operation.outcome = Outcome::kOk;
    operation.end_us = now_us();
    if (base_offset >= 0) {
      std::get<history::Send>(operation.what).offset =
          Offset(base_offset + static_cast<int64_t>(i));
    }
  }
  log_.acknowledged += static_cast<uint64_t>(stream.batch->records);
  stream.sequence += stream.batch->records;
  stream.batch.reset();
  Next(stream);
}

void Producer::GiveUp(Stream& stream) {
  ++log_.given_up;
  stream.batch.reset();
  stream.producer_id = -1;
  Next(stream);
}

void Producer::Retry(Stream& stream) {
  if (world_.clock().SteadyMs() - stream.batch->begin_ms > kGiveUpMs) return GiveUp(stream);
  Later(random_.Between(10, kRetryMsMax),
        [this, &stream] { Refresh([this, &stream] { SendBatch(stream); }); });
}

}  // namespace sluice::sim
