#include "controller/full_directories.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "controller/decision.h"

namespace sluice::controller {

void FullDirectories::Note(const metadata::Image& image, const HeartbeatRequest& request) {
  const NodeId id(request.sender().node_id());
  if (request.full_log_dirs().empty() && !told_.contains(id)) return;
  const metadata::BrokerImage* broker = image.FindBroker(id);
  if (broker == nullptr) return;
  std::set<Uuid> now;
  for (const std::string& bytes : request.full_log_dirs()) {
    if (!IsUuid(bytes)) continue;
    const Uuid directory = Uuid::FromBytes(bytes);
    if (!directory.IsZero() && broker->HasOnline(directory)) now.insert(directory);
  }
  const std::set<Uuid> before = std::exchange(told_[id], now);
  if (now.empty()) told_.erase(id);
  if (now == before) return;
  ++news_;
  LOG(WARNING) << "broker " << id << " tells of " << now.size() << " full log directories, of "
               << before.size() << " before: in their place others lead and are in sync, where "
               << "there are enough";
}

bool FullDirectories::Has(const metadata::Image& image, const metadata::PartitionImage& partition,
                          NodeId replica) const {
  const auto told = told_.find(replica);
  if (told == told_.end()) return false;
  const Uuid assigned = partition.DirectoryOf(replica);
  if (!assigned.IsZero()) return told->second.contains(assigned);
  const metadata::BrokerImage* broker = image.FindBroker(replica);
  return broker != nullptr && broker->log_directories.empty() &&
         told->second.contains(broker->directory_id);
}

bool FullDirectories::HasAllOf(const metadata::BrokerImage& broker) const {
  const auto told = told_.find(broker.id);
  if (told == told_.end()) return false;
  const auto is_full = [&](const Uuid& directory) { return told->second.contains(directory); };
  if (broker.log_directories.empty()) return is_full(broker.directory_id);
  return std::ranges::all_of(broker.log_directories, is_full);
}

std::function<bool(NodeId)> FullIn(const FullDirectories* full, const metadata::Image& image,
                                   const metadata::PartitionImage& partition) {
  if (full == nullptr || full->empty()) return nullptr;
  return [full, &image, &partition](NodeId node) { return full->Has(image, partition, node); };
}

}  // namespace sluice::controller
