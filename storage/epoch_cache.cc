#include "storage/epoch_cache.h"

#include <algorithm>

#include "storage/checkpoint_file.h"

namespace sluice::storage {

Result<EpochCache> EpochCache::Parse(std::string_view text) {
  SLUICE_ASSIGN_OR_RETURN(const auto lines, ParseCheckpointLines(text, kEpochCheckpointVersion));
  EpochCache cache;
  for (const auto& line : lines) {
    const auto fields = SplitCheckpointLine(line);
    const auto epoch = fields.size() == 2 ? ParseCheckpointNumber(fields[0]) : std::nullopt;
    const auto start = fields.size() == 2 ? ParseCheckpointNumber(fields[1]) : std::nullopt;
    if (!epoch || !start || *epoch > INT32_MAX)
      return Status::Corruption("epoch history has the line \"" + line + "\"");
    const Entry entry{LeaderEpoch(static_cast<int32_t>(*epoch)), Offset(*start)};
    const bool ascends = cache.entries_.empty() || (entry.epoch > cache.entries_.back().epoch &&
                                                    entry.start > cache.entries_.back().start);
    if (!ascends)
      return Status::Corruption("epoch history does not ascend at the line \"" + line + "\"");
    cache.entries_.push_back(entry);
  }
  return cache;
}

std::string EpochCache::ToText() const {
  std::vector<std::string> lines;
  for (const Entry& entry : entries_) {
    lines.push_back(std::to_string(entry.epoch.value()) + " " +
                    std::to_string(entry.start.value()));
  }
  return FormatCheckpointLines(lines, kEpochCheckpointVersion);
}

bool EpochCache::Assign(LeaderEpoch epoch, Offset start) {
  if (epoch <= latest()) return false;
  TruncateFromEnd(start);
  entries_.push_back({epoch, start});
  return true;
}

LeaderEpoch EpochCache::EpochAt(Offset offset) const {
  const auto after = std::upper_bound(entries_.begin(), entries_.end(), offset,
                                      [](Offset o, const Entry& e) { return o < e.start; });
  return after == entries_.begin() ? kNoEpoch : std::prev(after)->epoch;
}

EpochEndOffset EpochCache::EndOffsetFor(LeaderEpoch epoch, Offset log_end) const {
  if (epoch < LeaderEpoch(0) || entries_.empty()) return {};
  const auto higher =
      std::upper_bound(entries_.begin(), entries_.end(), epoch,
                       [](LeaderEpoch e, const Entry& entry) { return e < entry.epoch; });
  if (higher == entries_.end()) return {latest(), log_end};
  // All that the asker has of an epoch older than the history lies below its first start.
  if (higher == entries_.begin()) return {epoch, higher->start};
  return {std::prev(higher)->epoch, higher->start};
}

bool EpochCache::TruncateFromEnd(Offset end) {
  const size_t before = entries_.size();
  while (!entries_.empty() && entries_.back().start >= end) entries_.pop_back();
  return entries_.size() != before;
}

bool EpochCache::TruncateFromStart(Offset start) {
  const auto after = std::upper_bound(entries_.begin(), entries_.end(), start,
                                      [](Offset o, const Entry& e) { return o < e.start; });
  if (after == entries_.begin()) return false;
  const auto holder = std::prev(after);
  if (holder == entries_.begin() && holder->start == start) return false;
  holder->start = start;
  entries_.erase(entries_.begin(), holder);
  return true;
}

}  // namespace sluice::storage
