#pragma once
// RepeatedLine: what goes wrong again and again until somebody does something about it, a full disk
// say, and would fill the log meanwhile: the first time is told, then once a minute how often it
// was, and that it is over.
//
//   if (const auto often = line_.Failed(now_ms)) LOG(WARNING) << "cannot save: " << status <<
//   *often;
//   ...
//   LOG_IF(INFO, line_.Over()) << "it can be saved again";
//
// Thread rule: one owner.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace sluice {

class RepeatedLine {
 public:
  static constexpr int64_t kIntervalMs = 60'000;

  // Where a line is due: how it ends.
  std::optional<std::string> Failed(int64_t now_ms) {
    ++count_;
    if (told_ms_.has_value() && now_ms - *told_ms_ < kIntervalMs) return std::nullopt;
    told_ms_ = now_ms;
    const uint64_t count = std::exchange(count_, 0);
    return count == 1 ? "" : " (" + std::to_string(count) + " times since the last line)";
  }
  // Whether it had failed before.
  bool Over() {
    count_ = 0;
    return std::exchange(told_ms_, std::nullopt).has_value();
  }

 private:
  std::optional<int64_t> told_ms_;
  uint64_t count_ = 0;  // since then
};

}  // namespace sluice
