// When it is committed that a broker is unfenced, its own metadata tell it that it was fenced, or
// registered, last: with an older image it would go on as leader of epochs that are over.
//
// It compares at the commit. The controller decides earlier, by the heartbeat that it answers: of a
// broker that it lets in too early and that learns of the fencing before the commit nothing is
// seen, nor of one whose process has ended or registered anew by then, nor of what lies between
// two snapshots (metadata_trail.h).
#include <map>

#include "tests/sim/cluster/checks/all_checks.h"
#include "tests/sim/cluster/checks/metadata_trail.h"
#include "tests/sim/cluster/cluster.h"

namespace sluice::sim {
namespace {

class Unfencing final : public Check {
 public:
  std::string AfterInstant(Cluster& cluster) override {
    return trail_.Follow(
        cluster, [&](const metadata::Image& before, const metadata::Image& after) -> std::string {
          for (const NodeId id : cluster.ids()) {
            const std::string wrong = Look(cluster, id, before, after);
            if (!wrong.empty()) return wrong;
          }
          return "";
        });
  }

 private:
  std::string Look(Cluster& cluster, NodeId id, const metadata::Image& before,
                   const metadata::Image& after) {
    const metadata::BrokerImage* then = before.FindBroker(id);
    const metadata::BrokerImage* now = after.FindBroker(id);
    if (now == nullptr) return "";
    const bool anew = then == nullptr || then->epoch != now->epoch;
    if (now->fenced && (anew || !then->fenced)) fenced_at_[id] = after.last_index;
    if (now->fenced || (!anew && !then->fenced)) return "";
    const auto process = cluster.process(id);
    // Of one that has ended since nobody can tell any more.
    if (process == nullptr || process->broker_state().broker_epoch != now->epoch.value()) return "";
    const LogIndex knows = process->metadata().Current()->last_index;
    if (knows >= fenced_at_[id]) return "";
    return "broker " + std::to_string(id.value()) + " is unfenced, and knows the metadata up to " +
           std::to_string(knows.value()) + ": it was fenced at " +
           std::to_string(fenced_at_[id].value());
  }

  MetadataTrail trail_;
  std::map<NodeId, LogIndex> fenced_at_;
};

}  // namespace

std::unique_ptr<Check> NewUnfencingCheck() { return std::make_unique<Unfencing>(); }

}  // namespace sluice::sim
