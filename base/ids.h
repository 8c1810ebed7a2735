#pragma once
// Strong types for the numbers that mean something: an Offset is no LeaderEpoch and no NodeId, and
// the compiler says so. Plain integers appear only where bytes are parsed or printed.
//
// Thread rule: values.

#include <compare>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>

namespace sluice {

// An integer with a meaning. Tag makes each one its own type; comparison and printing are the
// integer's.
template <typename Tag, typename Rep>
class StrongId {
 public:
  using rep = Rep;
  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }
  friend constexpr auto operator<=>(StrongId, StrongId) = default;
  friend std::ostream& operator<<(std::ostream& out, StrongId id) { return out << +id.value_; }

 private:
  Rep value_ = 0;
};

// A StrongId that counts positions: it can be moved by a distance, and two of them have a distance.
template <typename Tag, typename Rep>
class StrongOrdinal : public StrongId<Tag, Rep> {
 public:
  using StrongId<Tag, Rep>::StrongId;
  friend constexpr StrongOrdinal operator+(StrongOrdinal a, Rep n) {
    return StrongOrdinal(a.value() + n);
  }
  friend constexpr StrongOrdinal operator-(StrongOrdinal a, Rep n) {
    return StrongOrdinal(a.value() - n);
  }
  friend constexpr Rep operator-(StrongOrdinal a, StrongOrdinal b) { return a.value() - b.value(); }
  StrongOrdinal& operator++() { return *this = *this + 1; }
};

using NodeId = StrongId<struct NodeIdTag, int32_t>;  // a controller or broker; -1 = none
using PartitionIndex = StrongId<struct PartitionIndexTag, int32_t>;
using ProducerId = StrongId<struct ProducerIdTag, int64_t>;  // -1 = not idempotent
using Offset = StrongOrdinal<struct OffsetTag, int64_t>;     // position of a record in a partition
using LeaderEpoch = StrongOrdinal<struct LeaderEpochTag, int32_t>;  // -1 = unknown
using PartitionEpoch = StrongOrdinal<struct PartitionEpochTag, int32_t>;
using BrokerEpoch =
    StrongOrdinal<struct BrokerEpochTag, int64_t>;            // Raft index of the registration
using Term = StrongOrdinal<struct TermTag, int64_t>;          // of the Raft quorum
using LogIndex = StrongOrdinal<struct LogIndexTag, int64_t>;  // of the Raft log; equals its offset

inline constexpr NodeId kNoNode{-1};
inline constexpr LeaderEpoch kNoEpoch{-1};
inline constexpr ProducerId kNoProducer{-1};

}  // namespace sluice

template <typename Tag, typename Rep>
struct std::hash<sluice::StrongId<Tag, Rep>> {
  size_t operator()(sluice::StrongId<Tag, Rep> id) const { return std::hash<Rep>()(id.value()); }
};
template <typename Tag, typename Rep>
struct std::hash<sluice::StrongOrdinal<Tag, Rep>> {
  size_t operator()(sluice::StrongOrdinal<Tag, Rep> id) const {
    return std::hash<Rep>()(id.value());
  }
};
