#include "broker/parked_requests.h"

#include <algorithm>
#include <utility>

namespace sluice::broker {

void ParkedRequests::Add(const std::shared_ptr<ParkedRequest>& request) {
  if (abandoned_) return request->Abandon();
  // Finished ones are looked for only when their number may have doubled.
  if (requests_.size() >= prune_at_) Prune();
  requests_.push_back(request);
}

void ParkedRequests::Prune() {
  std::erase_if(requests_, [](const std::weak_ptr<ParkedRequest>& parked) {
    const auto request = parked.lock();
    return request == nullptr || request->finished();
  });
  prune_at_ = std::max(kPruneAtMin, 2 * requests_.size());
}

void ParkedRequests::AbandonAll() {
  abandoned_ = true;
  for (const auto& parked : std::exchange(requests_, {})) {
    if (const auto request = parked.lock()) request->Abandon();
  }
}

}  // namespace sluice::broker
