#include "broker/group/testing/map_group_view.h"

#include <algorithm>

namespace sluice::broker::testing {

void MapGroupView::Append(const std::vector<GroupRecord>& records) {
  for (const GroupRecord& record : records) {
    Apply(record, appended_);
    uncommitted_.push_back(record);
  }
}

void MapGroupView::CommitAll() {
  for (const GroupRecord& record : uncommitted_) Apply(record, committed_);
  uncommitted_.clear();
}

void MapGroupView::Truncate() {
  uncommitted_.clear();
  appended_ = committed_;
}

void MapGroupView::Apply(const GroupRecord& record, Values& values) {
  if (record.value.has_value()) {
    values[record.key] = *record.value;
  } else {
    values.erase(record.key);
  }
}

Result<std::optional<std::string>> MapGroupView::Get(Upto upto, std::string_view key) const {
  const Values& values = Of(upto);
  const auto at = values.find(key);
  return at == values.end() ? std::nullopt : std::optional(at->second);
}

Status MapGroupView::ForEach(Upto upto, const Range& range, const Visitor& visit) const {
  const Values& values = Of(upto);
  for (auto at = values.lower_bound(std::max(range.prefix, range.from)); at != values.end(); ++at) {
    if (!at->first.starts_with(range.prefix) || !visit(at->first, at->second)) break;
  }
  return Status::Ok();
}

}  // namespace sluice::broker::testing
