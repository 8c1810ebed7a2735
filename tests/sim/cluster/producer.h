#pragma once
// Producer: an idempotent producer, acks=all. To each partition one batch is under way at a time;
// it is sent again, under its sequence number, until it is acknowledged or the client gives it up.
// Then nobody knows what became of it, and the producer goes on under another id, as a new client.
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
};

class Producer final : public KafkaClient {
 public:
  Producer(World& world, NodeId self, std::vector<NodeId> nodes, Log& log, ProducerOptions options);
  // Sends nothing new from now on.
  void Quiesce() { quiet_ = true; }
  bool idle() const;

 private:
  static constexpr int64_t kGiveUpMs = 10'000;

  struct Batch {
    std::string bytes;
    int records = 0;
    int64_t begin_ms = 0;
    std::vector<size_t> operations;  // in the history
  };
  struct Stream {
    history::Place place;
    int32_t client = 0;
    int64_t producer_id = -1;
    int32_t sequence = 0;
    std::optional<Batch> batch;
  };

  void Begin(Stream& stream);
  void AskForId(Stream& stream);
  void SendBatch(Stream& stream);
  void Transmit(Stream& stream, NodeId leader, const Uuid& topic);
  void OnAnswer(Stream& stream, const Result<kafka::ProduceResponse>& response);
  void Acknowledge(Stream& stream, int64_t base_offset);
  void GiveUp(Stream& stream);
  void Next(Stream& stream);
  void Retry(Stream& stream);

  const ProducerOptions options_;
  std::vector<std::unique_ptr<Stream>> streams_;
  bool quiet_ = false;
};

}  // namespace sluice::sim
