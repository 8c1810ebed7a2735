#pragma once
// What the network and the API handlers say to each other: a request with its context goes in, one
// Reply comes back through a callback. Nothing here knows sockets, so that handlers run unchanged
// in tests and in the simulator.
//
// Thread rule: a handler is called on the connection's reactor; its ReplyCallback runs exactly
// once, from any thread. ConnectionInfo is written on the reactor only.

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "base/ids.h"
#include "base/output_chain.h"
#include "base/status.h"
#include "broker/parked_requests.h"
#include "kafka/api_keys.h"
#include "kafka/messages/response_header.h"
#include "kafka/wire_reader.h"
#include "kafka/wire_writer.h"

namespace sluice::broker {

struct BrokerServices;

// One per connection, shared by its requests.
struct ConnectionInfo {
  std::string listener;      // "PLAINTEXT": which endpoints of the brokers a client sees
  std::string peer_address;  // "127.0.0.1:53211"
  ParkedRequests parked;     // the reactor's thread only

  bool is_librdkafka = false;  // or built on it, as it says in ApiVersions

  // Who it is and what it was told, for lost_leaders.h.
  bool is_client = false;             // it asked for metadata, or to write or read
  bool is_replica = false;            // it fetches for another broker
  bool is_member = false;             // it asked for something of a group
  std::set<NodeId> told_leaders;      // by answers to Metadata
  int64_t asked_metadata_ms = -1;     // the last time
  int64_t waited_for_leader_ms = -1;  // the last time that the answer waited for who is to lead
};

struct RequestContext {
  kafka::ApiKey api_key{};
  int16_t version = 0;
  int32_t correlation_id = 0;
  std::string client_id;  // empty when null
  std::shared_ptr<ConnectionInfo> connection;
};

// When a connection closes by itself once nothing is under way on it, in ms after an answer.
struct IdleClose {
  int64_t from_ms = 0;
  int64_t until_ms = 0;  // if that is not so until then, it stays; 0: it stays anyhow
};

struct Reply {
  enum class Kind {
    kSend,     // write `frame`
    kNothing,  // acks=0: the client expects no answer
    kClose,    // close the connection once earlier answers are written; `reason` is logged
  };
  Kind kind = Kind::kNothing;
  OutputChain frame;  // with its length in front
  std::string reason;
  IdleClose idle_close;

  static Reply Send(OutputChain frame) { return {Kind::kSend, std::move(frame), "", {}}; }
  static Reply Nothing() { return {}; }
  static Reply Close(std::string reason) { return {Kind::kClose, {}, std::move(reason), {}}; }
};
using ReplyCallback = std::function<void(Reply)>;

// The whole frame of a response: length, header, body. Fails when the version cannot carry what the
// response says.
template <typename Response>
Result<OutputChain> EncodeResponseFrame(const Response& response, int32_t correlation_id,
                                        int16_t version) {
  kafka::WireWriter writer;
  writer.BeginFrame();
  kafka::ResponseHeader header;
  header.correlation_id = correlation_id;
  header.Encode(writer, kafka::ResponseHeaderVersion(Response::kApiKey, version));
  response.Encode(writer, version);
  if (!writer.status().ok()) return writer.status();
  return writer.Finish();
}

// How a typed handler answers. Copies share the one callback.
template <typename Response>
class Responder {
 public:
  Responder(const RequestContext& context, ReplyCallback reply)
      : version_(context.version),
        correlation_id_(context.correlation_id),
        reply_(std::move(reply)) {}

  void Send(const Response& response, IdleClose idle_close = {}) const {
    Result<OutputChain> frame = EncodeResponseFrame(response, correlation_id_, version_);
    // A response that its own version cannot carry is our fault: the client gets a closed
    // connection, never wrong bytes.
    Reply reply =
        frame.ok() ? Reply::Send(*std::move(frame)) : Reply::Close(frame.status().message());
    reply.idle_close = idle_close;
    reply_(std::move(reply));
  }
  void SendNothing() const { reply_(Reply::Nothing()); }
  void Close(std::string reason) const { reply_(Reply::Close(std::move(reason))); }

 private:
  int16_t version_;
  int32_t correlation_id_;
  ReplyCallback reply_;
};

// A row of the dispatch table. Each API file defines one, with the versions it serves in one line.
struct ApiHandler {
  kafka::ApiKey key;
  int16_t version_min;
  int16_t version_max;
  // An exclusive request is answered before the next one of its connection is looked at: Kafka's
  // order for changes to the cluster.
  bool exclusive;
  void (*handle)(BrokerServices&, RequestContext, kafka::WireReader&, ReplyCallback);
};

// Makes a table function of a typed handler. Malformed bodies close the connection, as in Kafka.
template <typename Request, typename Response,
          void (*kHandle)(BrokerServices&, const RequestContext&, Request,
                          const Responder<Response>&)>
void DecodeAndHandle(BrokerServices& services, RequestContext context, kafka::WireReader& body,
                     ReplyCallback reply) {
  Request request;
  if (const Status decoded = request.Decode(body, context.version); !decoded.ok()) {
    reply(Reply::Close(decoded.message()));
    return;
  }
  const Responder<Response> responder(context, std::move(reply));
  kHandle(services, context, std::move(request), responder);
}

// A row of the table: const ApiHandler kFetchApi = Serve<FetchRequest, FetchResponse,
// &HandleFetch>(4, 18);
template <typename Request, typename Response,
          void (*kHandle)(BrokerServices&, const RequestContext&, Request,
                          const Responder<Response>&)>
constexpr ApiHandler Serve(int16_t version_min, int16_t version_max, bool exclusive = false) {
  return {static_cast<kafka::ApiKey>(Request::kApiKey), version_min, version_max, exclusive,
          &DecodeAndHandle<Request, Response, kHandle>};
}

}  // namespace sluice::broker
