#include "tests/sim/cluster/producer.h"

#include <algorithm>
#include <utility>

#include "kafka/messages/init_producer_id.h"
#include "kafka/record_batch_builder.h"
#include "tests/sim/cluster/acknowledgement.h"

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
    streams_.push_back(std::make_unique<Stream>());
    streams_.back()->place = place;
    streams_.back()->client = log_.next_client++;
    Next(*streams_.back());
  }
}

bool Producer::idle() const {
  return std::all_of(streams_.begin(), streams_.end(), [](const auto& stream) {
    return stream->batches.empty() && stream->allowed == 0;
  });
}

void Producer::Allow(int64_t batches) {
  for (const auto& stream : streams_) {
    stream->allowed += batches;
    Next(*stream);
  }
}

void Producer::Quiesce() {
  quiet_ = true;
  for (const auto& stream : streams_) stream->allowed = 0;
}

void Producer::StartOver() {
  for (const auto& stream : streams_) GiveUp(*stream);
}

void Producer::SendAhead() {
  for (const auto& stream : streams_) {
    Fill(*stream);
    const int32_t second = stream->next_sequence;
    Fill(*stream);
    if (!Transmit(*stream, second)) Retry(*stream);
  }
}

bool Producer::UnderWay(const Stream& stream) {
  return std::any_of(stream.batches.begin(), stream.batches.end(),
                     [](const auto& batch) { return batch.second.under_way; });
}

void Producer::Next(Stream& stream) {
  if (std::exchange(stream.timer, true)) return;
  Later(random_.Between(0, options_.pause_ms_max), [this, &stream] {
    stream.timer = false;
    if (!quiet_) Begin(stream);
  });
}

void Producer::Begin(Stream& stream) {
  if (options_.asked_for_each && stream.allowed == 0) return;
  if (options_.idempotent && stream.producer_id < 0) return AskForId(stream);
  // Of the window that the broker remembers, so that a batch sent again is known there. A leader
  // takes any sequence of a producer that it does not know, as Kafka's does: were the first batch
  // refused and the second not, the first would come too late for ever.
  const int window = stream.known ? options_.in_flight_max : 1;
  if (stream.again || std::ssize(stream.batches) >= window) return;
  if (options_.asked_for_each) --stream.allowed;
  const int32_t sequence = stream.next_sequence;
  Fill(stream);
  if (!Transmit(stream, sequence)) Retry(stream);
  Next(stream);
}

void Producer::Fill(Stream& stream) {
  kafka::RecordBatchBuilder builder =
      options_.idempotent
          ? kafka::RecordBatchBuilder({.producer_id = ProducerId(stream.producer_id),
                                       .producer_epoch = 0,
                                       .base_sequence = stream.next_sequence})
          : kafka::RecordBatchBuilder({});
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
  const int32_t sequence = stream.next_sequence;
  stream.next_sequence += batch.records;
  stream.batches.emplace(sequence, std::move(batch));
}

void Producer::AskForId(Stream& stream) {
  kafka::InitProducerIdRequest request;
  request.transactional_id.reset();
  To(AnyNode()).Call<kafka::InitProducerIdRequest, kafka::InitProducerIdResponse>(
      request, kInitProducerIdVersion, kRequestTimeoutMs,
      [this, &stream](const Result<kafka::InitProducerIdResponse>& response) {
        if (response.ok() && response->error_code == 0) {
          stream.producer_id = response->producer_id;
          stream.next_sequence = 0;
          stream.client = log_.next_client++;
        }
        Next(stream);
      });
}

// False: nobody is known to lead, or another one than has those under way. Were a later batch to
// come there before an earlier one, a leader that knows nothing of the producer would take it.
bool Producer::Transmit(Stream& stream, int32_t sequence) {
  const KnownPartition* partition = Find(stream.place);
  if (partition == nullptr) return false;
  if (UnderWay(stream) && partition->leader != stream.leader) return false;
  stream.leader = partition->leader;
  Batch& batch = stream.batches.at(sequence);
  batch.under_way = true;
  ++batch.attempts;
  kafka::ProduceRequest request;
  request.acks = options_.acks;
  request.timeout_ms = kRequestTimeoutMs / 2;
  auto& data = request.topic_data.emplace_back();
  data.topic_id = topics_.at(stream.place.topic).id;
  auto& records = data.partition_data.emplace_back();
  records.index = stream.place.partition.value();
  const auto bytes = std::make_shared<std::string>(batch.bytes);
  records.records = kafka::Records::View({bytes, *bytes});
  Acknowledgement asked{.place = stream.place, .topic_id = data.topic_id, .acks = options_.acks};
  asked.last_offset = batch.records - 1;
  To(stream.leader)
      .Call<kafka::ProduceRequest, kafka::ProduceResponse>(
          request, kProduceVersion, kRequestTimeoutMs,
          [this, &stream, generation = stream.generation,
           sequence](const Result<kafka::ProduceResponse>& response) {
            OnAnswer(stream, generation, sequence, response);
          },
          // By then the client may be gone, but not the log.
          [&log = log_, asked](Process& process, const kafka::ProduceResponse& response) {
            NoteAcknowledgement(process, asked, response, log);
          });
  return true;
}

void Producer::OnAnswer(Stream& stream, uint64_t generation, int32_t sequence,
                        const Result<kafka::ProduceResponse>& response) {
  const auto found = stream.batches.find(sequence);
  if (generation != stream.generation || found == stream.batches.end()) return;
  found->second.under_way = false;
  if (!response.ok()) return OnRefusal(stream, sequence, ErrorCode::kNetworkException);
  const auto& answer = response->responses.at(0).partition_responses.at(0);
  const auto error = static_cast<ErrorCode>(answer.error_code);
  world_.Trace("produced", static_cast<uint64_t>(answer.base_offset + 1));
  if (error == ErrorCode::kNone) return Acknowledge(stream, sequence, answer.base_offset);
  if (error == ErrorCode::kDuplicateSequenceNumber) return Acknowledge(stream, sequence, -1);
  OnRefusal(stream, sequence, error);
}

void Producer::OnRefusal(Stream& stream, int32_t sequence, ErrorCode error) {
  last_refusal_ = error;
  if (!options_.idempotent) return GiveUp(stream);
  const bool first = stream.batches.begin()->first == sequence;
  const bool forgotten =
      error == ErrorCode::kOutOfOrderSequenceNumber || error == ErrorCode::kUnknownProducerId;
  // Everything before this batch was acknowledged, so that no leader may miss it. But one that has
  // this batch and later ones, and was started since, knows the last of them only, as Kafka's does.
  const bool known = stream.batches.at(sequence).attempts == 1 || options_.in_flight_max == 1;
  if (forgotten && first && known && !options_.topic_may_go) {
    log_.breaches.push_back(
        "a leader of " + stream.place.topic + "-" + std::to_string(stream.place.partition.value()) +
        " does not know the batches before sequence " + std::to_string(sequence) + " of client " +
        std::to_string(stream.client) + ", which were acknowledged");
  }
  // An error that the first attempt gets says that nothing was written by it, but a former attempt
  // may have been. Those that are not known are given up at once.
  const bool again = kafka::ErrorIsRetriable(error) || error == ErrorCode::kNotEnoughReplicas ||
                     error == ErrorCode::kNotEnoughReplicasAfterAppend || (forgotten && !first);
  if (!again) return GiveUp(stream);
  Retry(stream);
}

void Producer::Acknowledge(Stream& stream, int32_t sequence, int64_t base_offset) {
  const Batch& batch = stream.batches.at(sequence);
  // What only its leader has may go with it: the judge is told nothing.
  const bool promised = options_.acks == -1;
  for (size_t i = 0; promised && i < batch.operations.size(); ++i) {
    history::Operation& operation = log_.history.operations[batch.operations[i]];
    operation.outcome = Outcome::kOk;
    operation.end_us = now_us();
    if (base_offset >= 0) {
      std::get<history::Send>(operation.what).offset =
          Offset(base_offset + static_cast<int64_t>(i));
    }
  }
  if (promised) log_.acknowledged += static_cast<uint64_t>(batch.records);
  stream.batches.erase(sequence);
  stream.known = true;
  if (stream.again) return Retry(stream);
  Next(stream);
}

void Producer::GiveUp(Stream& stream) {
  for (const auto& [sequence, batch] : stream.batches)
    log_.given_up += static_cast<uint64_t>(batch.records);
  stream.batches.clear();
  stream.producer_id = -1;
  stream.known = false;
  ++stream.generation;
  stream.again = false;
  Next(stream);
}

// What failed is sent again, in its order, when nothing is under way any more.
void Producer::Retry(Stream& stream) {
  stream.again = true;
  if (UnderWay(stream)) return;
  if (stream.batches.empty()) {
    stream.again = false;
    return Next(stream);
  }
  if (world_.clock().SteadyMs() - stream.batches.begin()->second.begin_ms > kGiveUpMs)
    return GiveUp(stream);
  Later(random_.Between(10, kRetryMsMax), [this, &stream, generation = stream.generation] {
    Refresh([this, &stream, generation] {
      if (generation == stream.generation) Resend(stream);
    });
  });
}

void Producer::Resend(Stream& stream) {
  if (!stream.again || UnderWay(stream)) return;
  stream.again = false;
  std::vector<int32_t> sequences;
  for (const auto& [sequence, batch] : stream.batches) sequences.push_back(sequence);
  for (const int32_t sequence : sequences) {
    if (!Transmit(stream, sequence)) return Retry(stream);
  }
  Next(stream);
}

}  // namespace sluice::sim
