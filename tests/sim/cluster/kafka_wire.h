#pragma once
// KafkaConnection: a connection over which a client, or a follower, speaks Kafka's protocol with a
// node: whole frames, decoded and encoded by the real codecs, to the real dispatcher. PeerWire:
// what fetchers use.
//
// Thread rule: one thread, as all of the simulator.

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker/api/handler.h"
#include "broker/replica/peer_client.h"
#include "kafka/messages/request_header.h"
#include "kafka/messages/response_header.h"
#include "kafka/wire_reader.h"
#include "kafka/wire_writer.h"
#include "tests/sim/cluster/world.h"

namespace sluice::sim {

class KafkaConnection {
 public:
  KafkaConnection(World& world, NodeId from, NodeId to);
  // Closes it; what is under way is answered to nobody.
  ~KafkaConnection();

  // `done` runs once, unless the connection goes first. kTimeout and kUnavailable close it, for
  // an answer that is late would be taken for another one's, and fail whatever else is under way.
  // `sent` runs when the answer leaves the process, whoever hears of it.
  template <typename Request, typename Response>
  void Call(const Request& request, int16_t version, int64_t timeout_ms,
            std::function<void(Result<Response>)> done,
            std::function<void(Process&, const Response&)> sent = nullptr) {
    FrameSent on_sent;
    if (sent != nullptr) {
      on_sent = [version, sent = std::move(sent)](Process& process, const std::string& frame) {
        const Result<Response> response = Decode<Response>(frame, version);
        if (response.ok()) sent(process, *response);
      };
    }
    Exchange(
        Encode(request, version), timeout_ms,
        [version, done = std::move(done)](Result<std::string> frame) {
          if (!frame.ok()) return done(frame.status());
          done(Decode<Response>(*std::move(frame), version));
        },
        std::move(on_sent));
  }
  bool closed() const { return closed_; }

 private:
  class CallOf;

  template <typename Request>
  static std::string Encode(const Request& request, int16_t version) {
    kafka::WireWriter writer;
    kafka::RequestHeader header;
    header.request_api_key = Request::kApiKey;
    header.request_api_version = version;
    header.client_id = "sim";
    header.Encode(writer, kafka::RequestHeaderVersion(Request::kApiKey, version));
    request.Encode(writer, version);
    CHECK(writer.status().ok()) << writer.status().ToString();
    return Flatten(writer.Finish()).value();
  }
  // Records in it stay views of the frame.
  template <typename Response>
  static Result<Response> Decode(std::string frame, int16_t version) {
    const auto owned = std::make_shared<std::string>(std::move(frame));
    kafka::WireReader reader(std::string_view(*owned).substr(sizeof(int32_t)), owned);
    kafka::ResponseHeader header;
    SLUICE_RETURN_IF_ERROR(
        header.Decode(reader, kafka::ResponseHeaderVersion(Response::kApiKey, version)));
    Response response;
    SLUICE_RETURN_IF_ERROR(response.Decode(reader, version));
    return response;
  }

  using FrameSent = std::function<void(Process&, const std::string& frame)>;
  void Exchange(std::string frame, int64_t timeout_ms,
                std::function<void(Result<std::string>)> done, FrameSent sent);
  void Close();

  World& world_;
  const NodeId from_;
  const NodeId to_;
  const Lane lane_;
  const std::shared_ptr<broker::ConnectionInfo> info_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::vector<std::shared_ptr<CallOf>> calls_;  // under way
  bool closed_ = false;
};

class PeerWire final : public broker::PeerConnector {
 public:
  PeerWire(World& world, NodeId self) : world_(world), self_(self) {}
  std::shared_ptr<broker::PeerClient> Connect(const std::string& host, int port,
                                              EventLoop& loop) override;

 private:
  World& world_;
  const NodeId self_;
};

}  // namespace sluice::sim
