// All controllers and brokers that have applied the metadata up to the same index have the same
// image (by its hash), no process's image goes back, and every image and every change keeps the
// invariants of metadata/invariants.h. A snapshot of each tenth image says what the image says.
#include <map>
#include <utility>

#include "metadata/invariants.h"
#include "metadata/replay.h"
#include "tests/sim/cluster/checks/all_checks.h"
#include "tests/sim/cluster/checks/metadata_trail.h"
#include "tests/sim/cluster/cluster.h"

namespace sluice::sim {
namespace {

class MetadataAgreement final : public Check {
 public:
  std::string AfterInstant(Cluster& cluster) override {
    std::string wrong =
        trail_.Follow(cluster, [this](const metadata::Image& before, const metadata::Image& after) {
          if (const Status sound = metadata::CheckImage(after); !sound.ok()) return sound.message();
          if (const Status sound = metadata::CheckTransition(before, after); !sound.ok())
            return sound.message();
          std::string wrong = Compare(after);
          return wrong.empty() ? CompareSnapshot(after) : wrong;
        });
    for (const NodeId id : cluster.ids()) {
      const auto process = cluster.process(id);
      if (process == nullptr || !wrong.empty()) continue;
      wrong = Look({id, "controller"}, process->controller().committed());
      if (wrong.empty()) wrong = Look({id, "broker"}, process->metadata().Current());
    }
    return wrong;
  }
  void OnProcessChange(NodeId id) override {
    std::erase_if(last_, [id](const auto& entry) { return entry.first.first == id; });
  }

 private:
  using Part = std::pair<NodeId, std::string>;

  std::string CompareSnapshot(const metadata::Image& image) {
    if (image.last_index.value() % 10 != 0) return "";
    const Result<metadata::ImagePtr> again = metadata::FromSnapshot(metadata::ToSnapshot(image));
    if (!again.ok()) return "the snapshot of an image is none: " + again.status().ToString();
    return Compare(**again);
  }
  std::string Compare(const metadata::Image& image) {
    const uint64_t hash = metadata::StateHash(image);
    const auto [known, added] = hashes_.try_emplace(image.last_index, hash);
    return known->second == hash
               ? ""
               : "two images of index " + std::to_string(image.last_index.value()) + " differ";
  }
  std::string Look(const Part& part, const metadata::ImagePtr& image) {
    metadata::ImagePtr& last = last_[part];
    if (image == last || image->last_index < LogIndex(0)) return "";
    const std::string who = "the " + part.second + " of node " + std::to_string(part.first.value());
    if (last != nullptr && image->last_index < last->last_index) return who + " goes back";
    last = image;
    std::string wrong = Compare(*image);
    return wrong.empty() ? "" : who + ": " + wrong;
  }

  MetadataTrail trail_;
  std::map<Part, metadata::ImagePtr> last_;
  std::map<LogIndex, uint64_t> hashes_;
};

}  // namespace

std::unique_ptr<Check> NewMetadataAgreementCheck() { return std::make_unique<MetadataAgreement>(); }

}  // namespace sluice::sim
