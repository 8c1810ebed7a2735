#pragma once
// ParkedRequests: the requests of one client that wait for something (data, acknowledgements), so
// that they end when the client goes. Owned by the client's connection; the requests belong to
// whoever will wake them.
//
// Thread rule: ParkedRequests on its connection's thread only, so that parking needs no lock. A
// ParkedRequest is called from any thread.

#include <cstddef>
#include <memory>
#include <vector>

namespace sluice::broker {

class ParkedRequest {
 public:
  virtual ~ParkedRequest() = default;
  // Nobody waits for the answer any more: it is given soon, whatever it says.
  virtual void Abandon() = 0;
  // Answered.
  virtual bool finished() const = 0;
};

class ParkedRequests {
 public:
  void Add(const std::shared_ptr<ParkedRequest>& request);
  // The client is gone: abandons all, and all that come later.
  void AbandonAll();
  // How many are remembered; less than twice as many as are parked, and a few.
  size_t size() const { return requests_.size(); }

 private:
  static constexpr size_t kPruneAtMin = 4;

  void Prune();

  std::vector<std::weak_ptr<ParkedRequest>> requests_;
  size_t prune_at_ = kPruneAtMin;
  bool abandoned_ = false;
};

}  // namespace sluice::broker
