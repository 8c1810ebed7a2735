#pragma once
// MapGroupView: a partition of __consumer_offsets in memory, and the view of it. Records are
// appended at once and committed when the test says so; a new leader begins with what was
// committed, or with all, as the test chooses.
//
// Thread rule: one thread.

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/group/group_records.h"
#include "broker/group/group_view.h"

namespace sluice::broker::testing {

class MapGroupView : public GroupView {
 public:
  void Append(const std::vector<GroupRecord>& records);
  void CommitAll();
  // What was appended and not committed is gone.
  void Truncate();
  size_t committed_size() const { return committed_.size(); }

  Result<std::optional<std::string>> Get(Upto upto, std::string_view key) const override;
  Status ForEach(Upto upto, const Range& range, const Visitor& visit) const override;

 private:
  using Values = std::map<std::string, std::string, std::less<>>;

  static void Apply(const GroupRecord& record, Values& values);
  const Values& Of(Upto upto) const {
    return upto == Upto::kHighWatermark ? committed_ : appended_;
  }

  Values committed_;
  Values appended_;
  std::deque<GroupRecord> uncommitted_;
};

}  // namespace sluice::broker::testing
