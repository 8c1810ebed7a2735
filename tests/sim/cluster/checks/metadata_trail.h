#pragma once
// MetadataTrail: the committed metadata of a cluster, entry by entry, as whichever controller has
// committed them first, for checks that look at each change.
//
// Thread rule: one thread, as all of the simulator.

#include <functional>
#include <string>

#include "metadata/image.h"

namespace sluice::sim {

class Cluster;

class MetadataTrail {
 public:
  using Step =
      std::function<std::string(const metadata::Image& before, const metadata::Image& after)>;

  // Takes what is new; `step` sees each change. Empty, or what is wrong.
  std::string Follow(Cluster& cluster, const Step& step);
  const metadata::ImagePtr& image() const { return image_; }

 private:
  metadata::ImagePtr image_ = metadata::EmptyImage();
};

}  // namespace sluice::sim
