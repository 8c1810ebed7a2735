#pragma once
// Dispatcher: the table of served APIs, and the way of a frame through it: header, version check,
// handler. It is the only place that decides what an unknown key or version gets: a closed
// connection, but for ApiVersions, whose version 0 answer every client understands.
//
// Thread rule: immutable after construction; Dispatch from any thread.

#include <memory>
#include <span>
#include <string_view>

#include "broker/api/broker_services.h"
#include "broker/api/handler.h"

namespace sluice::broker {

// In the order of their keys. What is not here is neither served nor advertised.
std::span<const ApiHandler* const> ServedApis();
// Null when the key is not served.
const ApiHandler* FindServedApi(int16_t key);

// Whether `request`, a frame without its length, asks for what changes from one moment to the next:
// who leads, who coordinates. An answer that waits behind an earlier one is old when it leaves, and
// takes a client back to where it came from; librdkafka 2.0 then may stay there, with the leader
// that it knows and another broker to send to. Kafka looks at one request of a connection at a
// time.
bool AsksForTheMoment(std::string_view request);

class Dispatcher {
 public:
  // `services` must outlive the dispatcher and all requests.
  explicit Dispatcher(BrokerServices& services);
  // `frame` is a request without its length. True when the connection shall wait for this reply
  // before it looks at the next request.
  bool Dispatch(SharedBytes frame, const std::shared_ptr<ConnectionInfo>& connection,
                ReplyCallback reply) const;

 private:
  BrokerServices& services_;
};

}  // namespace sluice::broker
