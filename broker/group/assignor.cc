#include "broker/group/assignor.h"

#include "broker/group/range_assignor.h"
#include "broker/group/uniform_assignor.h"

namespace sluice::broker {

const Assignor* FindAssignor(std::string_view name) {
  static const UniformAssignor uniform;
  static const RangeAssignor range;
  if (name == uniform.name()) return &uniform;
  if (name == range.name()) return &range;
  return nullptr;
}

}  // namespace sluice::broker
