#pragma once
// BrokerLifecycle: this broker's standing with the controller: registration, heartbeats, fencing,
// the lease by which it may lead, and the controlled shutdown.
//
//   kRegistering --registered--> kStarting --answer: not fenced--> kRunning --BeginShutdown-->
//   kShuttingDown --may go, or too late--> kEnded
//        ^                          |  ^                             |  |
//        |                          |  +-------answer: fenced-------+  |
//        +----answer: epoch unknown-+----------------------------------+          (BeginShutdown
//        while kRegistering ends at once)
//
// Invariants: 1. At most one registration or heartbeat is under way.  2. The lease starts no later
// than the controller's confirmed round: it is counted from when the heartbeat was sent, minus the
// age that the answer tells.  3. A heartbeat says ready only when the broker has applied its own
// registration and its log directories hold that epoch: who is in service may be in an ISR, and no
// older copy of its disk must pass for this one.
//
// Thread rule: Start, Stop from the owner, not on the loop; BeginShutdown and the accessors from
// any thread; all else on the loop, which should be its own: a late heartbeat costs leadership.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "broker/broker_state.h"
#include "broker/controller_client.h"
#include "broker/metadata_cache.h"
#include "proto/metadata.pb.h"
#include "rpc/gate.h"
#include "storage/directory_state.h"

namespace sluice::broker {

struct BrokerLifecycleOptions {
  BrokerState* state = nullptr;  // none of these is owned; all outlive the lifecycle
  MetadataCache* metadata = nullptr;
  ControllerClient* controller = nullptr;
  EventLoop* loop = nullptr;
  sluice::metadata::RegisterBrokerRecord registration;
  std::vector<storage::TopicPartition> damaged;    // logs found damaged beyond their torn tails
  int64_t previous_broker_epoch = -1;              // from the clean-shutdown marker; -1 without one
  int64_t kept_broker_epoch = -1;                  // from broker-epoch; -1 without the file
  std::vector<storage::DirectoryPtr> directories;  // of a broker with several; else empty
  std::vector<storage::DirectoryPtr> disks;        // all, be it only one
  // Writes the epoch of a registration into the log directories; `kept` may run on any thread.
  std::function<void(BrokerEpoch, std::function<void()> kept)> keep_epoch;
  int64_t heartbeat_interval_ms = 100;
  // What of this broker is stuck, empty when nothing is: asked on the loop before each heartbeat,
  // and while it says something none is sent, so that others lead. Null: nothing ever is.
  std::function<std::string()> what_is_stuck;
  int64_t shutdown_timeout_ms = 5000;
  std::function<void(NodeId)> on_leader;  // told on the loop which controller answered
  // Told once, on the loop, when the controllers are of another cluster than the log directory and
  // this process never was in theirs: trying again cannot help.
  std::function<void(const Status&)> on_refused;
};

class BrokerLifecycle {
 public:
  enum class Stage { kRegistering, kStarting, kRunning, kShuttingDown, kEnded };

  // Adds itself to the metadata cache's listeners: create it after those that must have seen an
  // image before it counts as applied.
  explicit BrokerLifecycle(BrokerLifecycleOptions options);
  ~BrokerLifecycle();

  void Start();
  // Asks the controller to move this broker's leaders away. `done` runs on the loop once that is
  // so, or after the timeout (false). Once only.
  void BeginShutdown(std::function<void(bool moved)> done);
  // Nothing of it runs afterwards. Idempotent.
  void Stop();

  Stage stage() const { return stage_; }
  // A registration was sent and has not succeeded as far as this broker knows: the controllers may
  // have it under an epoch that is not known here.
  bool registration_open() const { return registration_open_; }
  // Why the last registration or heartbeat did not succeed; empty when it did.
  std::string last_error() const;

 private:
  void OnImage(const sluice::metadata::Image& image);
  void Register();
  void AddDirectories(controller::RegisterBrokerRequest& request) const;
  void OnRegistered(Result<controller::RegisterBrokerResponse> response);
  void KeepEpoch(int64_t epoch);
  bool RefusedForEver(const controller::Outcome& outcome) const;
  void RegisterAgain(const std::string& why);
  bool Stuck();
  void Heartbeat();
  void AddDamaged(controller::HeartbeatRequest& request) const;
  void AddLogEnds(controller::HeartbeatRequest& request) const;
  void OnHeartbeat(int64_t sent_ms, Result<controller::HeartbeatResponse> response);
  void Accept(int64_t sent_ms, const controller::HeartbeatResponse& response);
  void SchedulePulse(int64_t delay_ms);
  void Pulse();
  void EndShutdown(bool moved);
  void SetError(std::string error);
  int64_t now_ms() const { return options_.loop->clock().SteadyMs(); }

  BrokerLifecycleOptions options_;
  std::shared_ptr<rpc::Gate> gate_ = std::make_shared<rpc::Gate>();
  std::atomic<Stage> stage_ = Stage::kRegistering;
  std::atomic<int64_t> applied_index_ = -1;  // images up to here have reached every listener
  std::atomic<bool> registration_open_ = false;
  bool under_way_ = false;
  bool pulse_again_ = false;  // at once when that one is answered
  int64_t kept_epoch_ = -1;   // that the log directories hold
  EventLoop::TimerId pulse_timer_ = 0;
  int64_t last_answer_ms_ = -1;
  int64_t shutdown_began_ms_ = -1;
  std::function<void(bool)> shutdown_done_;
  mutable std::mutex mutex_;  // guards last_error_
  std::string last_error_;
};

}  // namespace sluice::broker
