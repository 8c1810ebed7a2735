#pragma once
// MetadataClient: keeps this node's image of the cluster up to date. It subscribes to a
// controller's feed, applies what comes and publishes it to the MetadataCache; when the stream
// breaks it subscribes at another controller from where it was. It prefers the active one, whose
// commits it learns a Raft heartbeat earlier than from any other. A copy of the image on disk makes
// a restart fetch only what is new.
//
// Thread rule: Start and Stop from the owner, not on the loop; OnLeader from any thread; everything
// else runs on the loop, but for the copy: it is written on the background loop, for that takes
// long where there are many partitions, and waits for a disk that may hang.

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/file_system.h"
#include "base/repeated_line.h"
#include "broker/broker_state.h"
#include "broker/feed_applier.h"
#include "broker/feed_connector.h"
#include "broker/metadata_cache.h"
#include "rpc/gate.h"
#include "rpc/leader_finder.h"

namespace sluice::broker {

struct MetadataClientOptions {
  // Their gRPC addresses as configured; at least one. Where the image tells of others, those hold.
  metadata::ControllerAddresses controllers;
  const BrokerState* state = nullptr;  // who asks; none of these is owned, all outlive the client
  MetadataCache* cache = nullptr;
  EventLoop* loop = nullptr;
  EventLoop* background_loop = nullptr;
  FileSystem* file_system = nullptr;
  std::string image_path;  // of the copy on disk; empty = keep none
  int64_t save_interval_ms = 60'000;
  // Nothing heard for so long: ask another controller. Controllers send progress far more often.
  int64_t silence_ms_max = 3'000;
  std::function<void(const std::string& address)>
      on_leader;  // told on the loop when the feed names another leader
  // The addresses of the voters, when they are others than before; not from any certain thread.
  std::function<void(const std::vector<std::string>&)> on_controllers;
  // null = by gRPC
  std::shared_ptr<FeedConnector> connector;
};

class MetadataClient {
 public:
  // Loads the copy on disk if there is a fitting one; a damaged one is told in the log and left
  // aside.
  static std::unique_ptr<MetadataClient> Start(MetadataClientOptions options);
  ~MetadataClient();

  // A heartbeat's answer says who leads.
  void OnLeader(NodeId leader);
  // Ends the subscription and saves the image. Nothing of it runs afterwards. Idempotent.
  void Stop();

  // How often the image was fetched anew because it did not agree with the controller's; anything
  // but 0 wants a look.
  int64_t resyncs() const { return resyncs_; }

 private:
  explicit MetadataClient(MetadataClientOptions options);
  void Load();
  void Save(const metadata::Image& image);
  void Subscribe();
  void ResubscribeAfter(int64_t delay_ms);
  void OnMessage(uint64_t generation, const controller::FeedMessage& message);
  void PublishIfNewer(const metadata::ImagePtr& image);
  void OnEnd(uint64_t generation, const std::string& why);
  void SwitchTo(NodeId leader);
  void LearnControllers();
  void LeaveFormerController();
  void CheckSilence();
  void SaveSometimes();
  void SaveInBackground();
  void DropStream();

  MetadataClientOptions options_;
  std::shared_ptr<rpc::Gate> gate_ = std::make_shared<rpc::Gate>();
  FeedApplier applier_;
  metadata::ControllerAddresses controllers_;  // as configured, or as the image tells
  rpc::LeaderFinder finder_;
  std::shared_ptr<FeedSubscription> stream_;
  std::string connected_address_;
  uint64_t generation_ = 0;  // of stream_; what older ones still send is ignored
  int failures_ = 0;         // streams in a row that ended before a message came
  bool from_snapshot_ = false;
  bool behind_ = false;  // the image is older than what the cache shows
  int64_t last_heard_ms_ = 0;
  bool heard_ = false;       // this stream brought something
  std::string unreachable_;  // a controller whose stream brought nothing
  int64_t unreachable_until_ms_ = 0;
  int64_t last_switch_ms_ = -1'000'000;
  NodeId announced_leader_ = kNoNode;
  // The leader, while it is the one that feeds us; set on the loop.
  std::atomic<NodeId> followed_leader_ = kNoNode;
  // Of who saves: the background loop, and the owner before and after all.
  LogIndex saved_index_{-1};
  RepeatedLine not_saved_;
  std::atomic<bool> saving_ = false;  // one is under way, or waits for its turn
  std::atomic<int64_t> resyncs_ = 0;
  bool stopped_ = false;
};

}  // namespace sluice::broker
