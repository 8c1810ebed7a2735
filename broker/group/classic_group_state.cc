#include "broker/group/classic_group_state.h"

#include <array>

namespace sluice::broker {
namespace {

constexpr uint8_t Bit(ClassicGroupState state) { return 1u << static_cast<uint8_t>(state); }

using enum ClassicGroupState;

struct Row {
  std::string_view name;
  uint8_t after;  // bits of the states that it may follow
};

// By the enum's values.
constexpr std::array<Row, 5> kStates = {{
    {"Empty", Bit(kPreparingRebalance)},
    {"PreparingRebalance", Bit(kEmpty) | Bit(kCompletingRebalance) | Bit(kStable)},
    {"CompletingRebalance", Bit(kPreparingRebalance)},
    {"Stable", Bit(kCompletingRebalance)},
    {"Dead", Bit(kEmpty) | Bit(kPreparingRebalance) | Bit(kCompletingRebalance) | Bit(kStable)},
}};

const Row& RowOf(ClassicGroupState state) { return kStates[static_cast<uint8_t>(state)]; }

}  // namespace

std::string_view ClassicGroupStateName(ClassicGroupState state) { return RowOf(state).name; }

bool MayFollow(ClassicGroupState from, ClassicGroupState to) {
  return (RowOf(to).after & Bit(from)) != 0;
}

}  // namespace sluice::broker
