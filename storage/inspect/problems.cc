#include "storage/inspect/problems.h"

namespace sluice::storage {
namespace {

std::string Text(Offset offset) { return std::to_string(offset.value()); }

}  // namespace

std::string ChecksumProblem(const BatchHeader& batch) {
  return "the batch of offsets " + Text(batch.base_offset) + " to " + Text(batch.last_offset) +
         " fails its checksum";
}

std::optional<std::string> PlaceProblem(const BatchHeader& batch, Offset base, Offset expected) {
  if (batch.base_offset < base) {
    return "a batch begins at offset " + Text(batch.base_offset) + ", below the segment's base " +
           Text(base) + ": the file may be another segment's or another partition's";
  }
  if (batch.base_offset < expected) {
    return "a batch begins at offset " + Text(batch.base_offset) + " where " + Text(expected) +
           " or more is due";
  }
  if (batch.last_offset - base > INT32_MAX) {
    return "a batch ends at offset " + Text(batch.last_offset) +
           ", too far above the segment's base for its indexes";
  }
  return std::nullopt;
}

}  // namespace sluice::storage
