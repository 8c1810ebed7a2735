#pragma once
// Consumer: reads one partition from some offset on, and asks now and then where it ends.
//
// Thread rule: one thread, as all of the simulator.

#include "kafka/messages/fetch.h"
#include "kafka/messages/list_offsets.h"
#include "tests/sim/cluster/client.h"

namespace sluice::sim {

class Consumer final : public KafkaClient {
 public:
  Consumer(World& world, NodeId self, std::vector<NodeId> nodes, Log& log, history::Place place);
  void Quiesce() { quiet_ = true; }
  // Asks this node where the partition ends, beside all else, as one does who has not heard of any
  // leader since.
  void AskEndOf(NodeId node);
  // Has read everything up to the end that was told last, at `since_ms` or later.
  bool caught_up(int64_t since_ms) const { return end_ms_ >= since_ms && position_ >= end_; }
  int64_t position() const { return position_; }
  // That what it has read is gone.
  bool told_of_loss() const { return told_of_loss_; }

 private:
  void Poll();
  void Fetch(const KnownPartition& leader);
  void OnFetched(int64_t begin_us, const Result<kafka::FetchResponse>& response);
  void TakeRecords(int64_t begin_us, std::string_view bytes);
  void OnDiverged(int32_t epoch, int64_t end_offset);
  using Told = void (Consumer::*)(int64_t begin_us, int64_t offset);
  using ListOffsetsAnswer = kafka::ListOffsetsResponse::ListOffsetsPartitionResponse;
  // `answered` gets nullptr when nobody answers.
  void ListOffsets(const KnownPartition& leader, int64_t which,
                   std::function<void(const ListOffsetsAnswer*)> answered);
  void AskOffset(const KnownPartition& leader, int64_t which, Told told);
  void OnEnd(int64_t begin_us, int64_t offset);
  void OnStart(int64_t begin_us, int64_t offset);
  void PollAfter(int64_t delay_ms);
  void PollElsewhere();
  void Breach(const std::string& what);
  history::Operation NewOperation(int64_t begin_us);

  const history::Place place_;
  const int32_t client_;
  int64_t position_ = 0;
  int32_t last_epoch_ = -1;
  int64_t end_ = 0;
  int64_t end_ms_ = -1;
  bool quiet_ = false;
  bool sought_ = false;  // the position is not where the last poll ended
  bool too_low_ = false;
  bool told_of_loss_ = false;
};

}  // namespace sluice::sim
