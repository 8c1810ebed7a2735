#pragma once
// Producer: what librdkafka does, as far as brokers can tell. An idempotent one keeps several
// batches to a partition under way, sends them again in order and under their sequence numbers
// until they are acknowledged, or gives up: then nobody knows what became of them, and it goes on
// under another id, as a new client. One that is not idempotent sends each batch once.
//
// Thread rule: one thread, as all of the simulator.

#include <map>
#include <memory>
#include <vector>

#include "kafka/messages/produce.h"
#include "tests/sim/cluster/client.h"

namespace sluice::sim {

struct ProducerOptions {
  std::vector<history::Place> places;
  int64_t pause_ms_max = 200;  // between batches
  int records_max = 3;         // of a batch
  int16_t acks = -1;
  bool idempotent = true;
  int in_flight_max = 1;  // batches to a partition; no more than the five that a broker remembers
  // A topic that is deleted and made anew knows of no batch before.
  bool topic_may_go = false;
  bool asked_for_each = false;  // sends what Allow() says, and no more
};

class Producer final : public KafkaClient {
 public:
  Producer(World& world, NodeId self, std::vector<NodeId> nodes, Log& log, ProducerOptions options);
  // So many batches more, to each partition.
  void Allow(int64_t batches);
  // Sends nothing new from now on.
  void Quiesce();
  // As a new client, under another id.
  void StartOver();
  // A batch to each partition is lost on its way, and the one after it arrives first. Something was
  // acknowledged under the id before, so that a leader can tell.
  void SendAhead();
  kafka::ErrorCode last_refusal() const { return last_refusal_; }
  bool idle() const;

 private:
  static constexpr int64_t kGiveUpMs = 10'000;

  struct Batch {
    std::string bytes;
    int records = 0;
    int64_t begin_ms = 0;
    std::vector<size_t> operations;  // in the history
    bool under_way = false;
    int attempts = 0;
  };
  struct Stream {
    history::Place place;
    int32_t client = 0;
    int64_t producer_id = -1;
    uint64_t generation = 0;  // of the id: answers of an earlier one tell nothing
    int32_t next_sequence = 0;
    bool known = false;                // a batch under this id was acknowledged
    std::map<int32_t, Batch> batches;  // by sequence; those that are not acknowledged
    NodeId leader = kNoNode;           // where those under way went
    bool again = false;                // some have failed: the rest ends first, then all are resent
    bool timer = false;
    int64_t allowed = 0;
  };

  void Next(Stream& stream);
  void Begin(Stream& stream);
  void AskForId(Stream& stream);
  void Fill(Stream& stream);
  bool Transmit(Stream& stream, int32_t sequence);
  void OnAnswer(Stream& stream, uint64_t generation, int32_t sequence,
                const Result<kafka::ProduceResponse>& response);
  // The batch was not taken for now.
  void OnRefusal(Stream& stream, int32_t sequence, kafka::ErrorCode error);
  void Acknowledge(Stream& stream, int32_t sequence, int64_t base_offset);
  void GiveUp(Stream& stream);
  void Retry(Stream& stream);
  void Resend(Stream& stream);
  static bool UnderWay(const Stream& stream);

  const ProducerOptions options_;
  std::vector<std::unique_ptr<Stream>> streams_;
  bool quiet_ = false;
  kafka::ErrorCode last_refusal_ = kafka::ErrorCode::kNone;
};

}  // namespace sluice::sim
