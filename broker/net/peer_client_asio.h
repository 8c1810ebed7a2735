#pragma once
// AsioPeerConnector: connections to other brokers for replication, over TCP. One network thread
// serves all peers; each call's answer is decoded there (records stay views of the frame that was
// read) and posted to the caller's loop. Owned by the composition root, which keeps it until the
// replica manager is gone.
//
// Thread rule: as PeerConnector says; the destructor fails what is under way without calling back.

#include <cstdint>
#include <memory>
#include <string>

#include "broker/net/net_metrics.h"
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
  explicit AsioPeerConnector(PeerConnectorOptions options);
  ~AsioPeerConnector() override;
  std::shared_ptr<PeerClient> Connect(const std::string& host, int port, EventLoop& loop) override;

 private:
  struct Network;
  std::shared_ptr<Network> network_;
};

}  // namespace sluice::broker
