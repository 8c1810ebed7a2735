#pragma once
// Dispatcher: the table of served APIs, and the way of a frame through it: header, version check,
// handler. It is the only place that decides what an unknown key or version gets: a closed
// connection, but for ApiVersions, whose version 0 answer every client understands.
//
// Thread rule: immutable after construction; Dispatch from any thread.

#include <memory>
#include <span>

#include "broker/api/broker_services.h"
#include "broker/api/handler.h"

namespace sluice::broker {

// In the order of their keys. What is not here is neither served nor advertised.
std::span<const ApiHandler* const> ServedApis();
// Null when the key is not served.
const ApiHandler* FindServedApi(int16_t key);

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
