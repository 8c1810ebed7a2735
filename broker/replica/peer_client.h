#pragma once
// PeerClient: a broker's connection to another broker for replication, speaking Kafka's Fetch.
// broker/net has the real one; the simulator and tests give their own.
//
// Thread rule: Fetch from the replica loop; `done` is posted to that loop.

#include <functional>
#include <memory>
#include <string>

#include "base/event_loop.h"
#include "base/status.h"
#include "kafka/messages/fetch.h"

namespace sluice::broker {

class PeerClient {
 public:
  virtual ~PeerClient() = default;
  // At most one call at a time. A broken connection fails the call; the next call dials again.
  virtual void Fetch(const kafka::FetchRequest& request, int64_t timeout_ms,
                     std::function<void(Result<kafka::FetchResponse>)> done) = 0;
};

class PeerConnector {
 public:
  virtual ~PeerConnector() = default;
  // A client for host:port whose callbacks go to `loop`. Dials at the first Fetch.
  virtual std::shared_ptr<PeerClient> Connect(const std::string& host, int port,
                                              EventLoop& loop) = 0;
};

}  // namespace sluice::broker
