#pragma once
// ProducerIdAllocator: hands out producer ids from blocks of 1000 that the controller reserved for
// this broker, fetching the next block ahead of need.
//
// Thread rule: thread-safe; `done` runs on the calling thread or on the controller client's.

#include <deque>
#include <functional>
#include <mutex>

#include "broker/broker_state.h"
#include "broker/controller_client.h"

namespace sluice::broker {

class ProducerIdAllocator {
 public:
  // Neither is owned.
  ProducerIdAllocator(const BrokerState& state, ControllerClient& controller)
      : state_(state), controller_(controller) {}
  // A fresh id, or the Status that says why none could be had.
  void Allocate(std::function<void(Result<ProducerId>)> done);

 private:
  void FetchBlock();
  void OnBlock(Result<controller::AllocateProducerIdsResponse> response);

  const BrokerState& state_;
  ControllerClient& controller_;
  std::mutex mutex_;  // guards all below; never held while calling out
  int64_t next_ = 0;
  int64_t end_ = 0;
  int64_t spare_next_ = 0;  // the block after, once it has come
  int64_t spare_end_ = 0;
  bool fetching_ = false;
  std::deque<std::function<void(Result<ProducerId>)>> waiting_;
};

}  // namespace sluice::broker
