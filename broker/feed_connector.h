#pragma once
// FeedConnector: how the metadata client reaches the controllers' feeds.
// broker/feed_connector_grpc.h is the real one; the simulator gives its own.
//
// Thread rule: Subscribe, Cancel and Drain from the owner's one thread at a time; the handlers run
// on the loop.

#include <functional>
#include <memory>
#include <string>

#include "base/event_loop.h"
#include "proto/controller.pb.h"

namespace sluice::broker {

struct FeedHandlers {
  // The next message is read when this one has returned, so that nothing queues up.
  std::function<void(const controller::FeedMessage&)> on_message;
  // Once, and nothing afterwards; also after Cancel.
  std::function<void(const std::string& why)> on_end;
};

class FeedSubscription {
 public:
  virtual ~FeedSubscription() = default;
  // Ends it soon. What is under way may still be told.
  virtual void Cancel() = 0;
};

class FeedConnector {
 public:
  virtual ~FeedConnector() = default;
  // `loop` outlives the subscription: until Drain at least.
  virtual std::shared_ptr<FeedSubscription> Subscribe(const std::string& address,
                                                      controller::SubscribeRequest request,
                                                      EventLoop& loop, FeedHandlers handlers) = 0;
  // After all were cancelled: returns when none of them has anything left to post.
  virtual void Drain() = 0;
};

}  // namespace sluice::broker
