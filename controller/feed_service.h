#pragma once
// FeedService: the Feed service of proto/controller.proto: to each subscriber a snapshot when it
// needs one, then every committed entry, and a word of progress now and then. A stream has a cursor
// into the FeedLog and no queue of its own: one that reads too slowly finds its entries gone and
// gets a snapshot instead.
//
// Thread rule: gRPC's threads and the controller's loop; the streams lock themselves. Stop ends all
// streams; the server is stopped after it and before the service goes.

#include <functional>
#include <memory>

#include "base/event_loop.h"
#include "controller/feed_log.h"

namespace grpc {
class Service;
}

namespace sluice::controller {

struct FeedServiceOptions {
  std::string cluster_id;
  int64_t progress_interval_ms = 500;
  // A subscriber's connection is gone: it may have died. Called on gRPC's threads.
  std::function<void(NodeId)> on_lost;
};

class FeedService {
 public:
  // `feed` and `loop` are not owned and outlive the service.
  FeedService(FeedServiceOptions options, FeedLog& feed, EventLoop& loop);
  ~FeedService();
  grpc::Service* service();
  // Ends every stream and accepts no more. Idempotent.
  void Stop();
  size_t streams() const;

  class Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace sluice::controller
