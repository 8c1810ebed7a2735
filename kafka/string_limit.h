#pragma once
// The longest string of Kafka's formats: the size of one is a signed 16-bit number in most of them,
// in the records of __consumer_offsets too, and newer formats keep to it. Whoever takes strings
// from elsewhere than Kafka's wire refuses longer ones before they get to a record or an answer.
//
// Thread rule: a constant.

#include <cstddef>

namespace sluice::kafka {

inline constexpr size_t kStringBytesMax = 32767;

}  // namespace sluice::kafka
