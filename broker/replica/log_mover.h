#pragma once
// LogMover: moves logs between the log directories of this broker, as operators ask. Each move goes
// in small steps on the background loop, side by side: copy what the log has; when little is left
// tell the controller of the new directory; when the metadata has it, let the copy take the log's
// place (docs/decisions/0018-moves-between-disks.md). Owned by ReplicaManager.
//
// In this order, since the metadata must not name a directory that the log has left: a broker that
// starts without the other one would make the replica anew there, empty.
//
// Thread rule: Begin and Stop from any thread, with no lock held; steps on the loop. Order of locks
// in docs/THREADS.md.

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/event_loop.h"
#include "broker/metadata_cache.h"
#include "broker/replica/directory_assigner.h"
#include "broker/replica/log_move.h"

namespace sluice::broker {

class LogMover : public std::enable_shared_from_this<LogMover> {
 public:
  struct Options {
    storage::LogDirectories* logs = nullptr;  // none of these is owned; all outlive the mover
    const MetadataCache* metadata = nullptr;
    const BrokerState* state = nullptr;
    const Clock* clock = nullptr;
    EventLoop* loop = nullptr;
    std::shared_ptr<const PartitionContext> context;
    std::shared_ptr<DirectoryAssigner> assigner;
    std::function<storage::Flusher&(const storage::DirectoryState&)> flusher_of;
    // Runs the second while nobody opens or removes the replica; not if it is gone.
    std::function<void(const std::shared_ptr<Partition>&, const std::function<void()>&)>
        exclusively;
  };
  explicit LogMover(Options options) : options_(std::move(options)) {}

  // A move elsewhere that is under way is given up. kKafkaStorageError: the replica, or the
  // directory, is offline.
  kafka::ErrorCode Begin(const std::shared_ptr<Partition>& partition,
                         const storage::DirectoryPtr& target);
  // What is under way goes on with the next start of the broker, from its beginning.
  void Stop();

 private:
  struct Running {
    std::shared_ptr<LogMove> move;
    std::atomic<bool> given_up{false};
    // The loop's only, as all below.
    bool ended = false;
    bool told = false;    // the controller, perhaps
    int64_t told_ms = 0;  // steady
    bool holds_flushes = false;
  };
  using RunningPtr = std::shared_ptr<Running>;

  void Schedule(const RunningPtr& running, int64_t wait_ms);
  void Step(const RunningPtr& running);
  // How long to wait for the next step; nullopt: it has ended.
  std::optional<int64_t> Advance(Running& running, PartitionEffects& effects);
  std::optional<int64_t> CaughtUp(Running& running, PartitionEffects& effects);
  std::optional<int64_t> TrySwap(Running& running, PartitionEffects& effects);
  void GiveUp(Running& running, const Status& why, PartitionEffects& effects);
  bool MetadataHasIt(const LogMove& move) const;

  const Options options_;
  std::mutex step_mutex_;  // held through each step
  bool stopped_ = false;   // guarded by step_mutex_
  std::mutex mutex_;       // guards moves_
  std::map<PartitionKey, RunningPtr> moves_;
};

}  // namespace sluice::broker
