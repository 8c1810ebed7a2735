#pragma once
// AsioPeerConnector: connections to other brokers for replication, over TCP. One loop serves all
// peers; each call's answer is decoded there (records stay views of the frame that was read) and
// posted to the caller's loop: if that is the same, no other thread has to be woken. Owned by the
// composition root, which keeps the loop until all clients are gone.
//
// Thread rule: as PeerConnector says. Once the loop has stopped nothing calls back.

#include <cstdint>
#include <memory>
#include <string>

#include "broker/net/net_metrics.h"
#include "broker/net/network_loop.h"
#include "broker/replica/peer_client.h"

namespace sluice::broker {

struct PeerConnectorOptions {
  std::string client_id;          // "broker-2-fetcher": what the leader's log calls this connection
  NetMetrics* metrics = nullptr;  // not owned
  int32_t response_bytes_max = 1 << 30;  // a longer answer breaks the connection
  int socket_receive_bytes = -1;  // replica.socket.receive.buffer.bytes; -1 = the kernel tunes it
};

class AsioPeerConnector final : public PeerConnector {
 public:
  // The loop is not owned.
  AsioPeerConnector(PeerConnectorOptions options, NetworkLoop& loop);
  std::shared_ptr<PeerClient> Connect(const std::string& host, int port, EventLoop& loop) override;

 private:
  struct Network;
  std::shared_ptr<Network> network_;
};

}  // namespace sluice::broker
