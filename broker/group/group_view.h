#pragma once
// GroupView: what one partition of __consumer_offsets says, by Kafka's record keys: the last value
// of each, as a compacted log. The committed part is kept in the key-value store on every replica;
// a leader lays the records above the high watermark over it.
//
// Thread rule: as the coordinator's core, on its loop only.

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace sluice::broker {

class GroupView {
 public:
  enum class Upto {
    kHighWatermark,  // what will never be lost: for clients' eyes
    kLogEnd,         // what was appended: for decisions about the next record
  };
  // False ends the iteration.
  using Visitor = std::function<bool(std::string_view key, std::string_view value)>;

  virtual ~GroupView() = default;
  // Fails only when the store does.
  virtual Result<std::optional<std::string>> Get(Upto upto, std::string_view key) const = 0;
  // Entries whose key is at least `from` and begins with `prefix`, in key order; `from` may be
  // empty.
  struct Range {
    std::string_view prefix;
    std::string_view from;
  };
  virtual Status ForEach(Upto upto, const Range& range, const Visitor& visit) const = 0;
};

}  // namespace sluice::broker
