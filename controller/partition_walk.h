#pragma once
// PartitionWalk: a walk through all partitions in the order of their names, in steps that do not
// keep the controller's loop. The order depends on nothing but the image, which may be another one
// at each step.
//
//   walk.Begin();
//   walk.Go(image, [&](const metadata::TopicImage& topic, size_t index) { ...; return go_on; });
//
// Thread rule: one owner (the controller's loop).

#include <functional>
#include <string>

#include "metadata/image.h"

namespace sluice::controller {

class PartitionWalk {
 public:
  static constexpr size_t kLookedAtMax = 20000;  // partitions in a step

  // From the first one, also while a walk is under way.
  void Begin();
  void End() { walking_ = false; }
  bool under_way() const { return walking_; }

  // One step: `visit` is called until it says false, and begins with that partition next time.
  using Visit = std::function<bool(const metadata::TopicImage& topic, size_t index)>;
  void Go(const metadata::Image& image, const Visit& visit);

 private:
  bool walking_ = false;
  // Where it goes on.
  std::string topic_;
  size_t index_ = 0;
};

}  // namespace sluice::controller
