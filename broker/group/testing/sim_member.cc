#include "broker/group/testing/sim_member.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "broker/group/topic_regex.h"

namespace sluice::broker::testing {

namespace {

// How long a consumer tries to commit what it has to give up.
constexpr int64_t kGiveUpMs = 2000;

}  // namespace

SimMember::SimMember(SimGroupCluster& cluster, SimMemberOptions options)
    : cluster_(cluster),
      options_(std::move(options)),
      random_(cluster.random().Fork()),
      loop_(cluster.scheduler()) {
  cluster_.members().insert(this);
}

SimMember::~SimMember() {
  cluster_.members().erase(this);
  cluster_.Close(connection_);
}

GroupInvariants::Claim SimMember::claim() const {
  return {group_id(), member_id_, generation_, is_classic(), name()};
}

void SimMember::Leave() { leaving_ = true; }

// --- Its coordinator ---

void SimMember::StepAfter(int64_t ms) {
  if (timer_ != 0) loop_.Cancel(timer_);
  timer_ = loop_.RunAfter(ms, [this] {
    timer_ = 0;
    Step();
  });
}

void SimMember::Step() {
  if (gone_ || left_) return;
  StepAfter(random_.Between(20, 60));
  ExpireLanes();
  if (now_ms() < not_before_ms_) return;
  if (connection_ == nullptr) {
    if (std::exchange(finding_, true)) return;
    return cluster_.FindCoordinator([this, here = std::weak_ptr<bool>(here_)](NodeId found) {
      if (here.expired()) return;
      loop_.Post([this, found] {
        finding_ = false;
        if (found == kNoNode) return Wait(random_.Between(20, 100));
        connection_ = cluster_.Connect(found);
        if (!connection_->open) {
          connection_ = nullptr;
          return Wait(random_.Between(20, 100));
        }
        connection_->on_broken = [this, here = std::weak_ptr<bool>(here_)] {
          if (!here.expired()) loop_.Post([this] { Disconnect(); });
        };
      });
    });
  }
  StepOffsets();
  if (gone_ || connection_ == nullptr || membership_.busy()) return;
  if (leaving_ && !giving_up()) {
    if (!owned_.empty()) return GiveUp(owned_, [] {});
    left_ = true;
    SendLeave();
    // Whether it is heard or not.
    loop_.RunAfter(500, [this] { End(); });
    return;
  }
  Advance();
}

void SimMember::Disconnect() {
  cluster_.Close(std::exchange(connection_, nullptr));
  offsets_ = {};
  if (std::exchange(membership_, {}).busy()) OnLost();
}

void SimMember::ExpireLanes() {
  for (const Lane* lane : {&membership_, &offsets_}) {
    if (lane->busy() && lane->deadline_ms <= now_ms()) return Disconnect();
  }
}

bool SimMember::Reconnects(ErrorCode error) {
  switch (error) {
    case ErrorCode::kNotCoordinator:
    case ErrorCode::kCoordinatorNotAvailable: Disconnect(); break;
    case ErrorCode::kCoordinatorLoadInProgress:
    case ErrorCode::kUnknownServerError: break;
    default: return false;
  }
  Wait(random_.Between(20, 100));
  return true;
}

// --- Its partitions ---

PartitionSet SimMember::Subscribed() const {
  PartitionSet all;
  for (const auto& [name, topic] : *topics().topics_by_name) {
    const std::vector<std::string> matched =
        options_.regex.empty() ? options_.topics : TopicsMatching(options_.regex, topics());
    if (std::find(matched.begin(), matched.end(), name) == matched.end()) continue;
    for (size_t i = 0; i < topic->partitions.size(); ++i)
      all.emplace(topic->id, static_cast<int32_t>(i));
  }
  return all;
}

PartitionSet SimMember::Existing(const PartitionSet& partitions) const {
  PartitionSet existing;
  for (const auto& partition : partitions) {
    if (topics().FindTopic(partition.first) != nullptr) existing.insert(partition);
  }
  return existing;
}

bool SimMember::Settled() const {
  return InGroup() && !giving_up() && positions_.size() == owned_.size();
}

void SimMember::Own(const PartitionSet& added) {
  if (added.empty()) return;
  cluster_.CheckTaken(*this, added);
  for (const auto& [topic, partition] : added)
    cluster_.Trace(name() + " of " + group_id() + " owns " + topic.ToString() + "-" +
                   std::to_string(partition));
  owned_.insert(added.begin(), added.end());
}

void SimMember::Drop(const PartitionSet& partitions) {
  for (const Partition& partition : partitions) {
    owned_.erase(partition);
    positions_.erase(partition);
  }
  ++drops_;
}

void SimMember::GiveUp(PartitionSet partitions, std::function<void()> then) {
  giving_up_ = GivingUp{std::move(partitions), std::move(then), now_ms() + kGiveUpMs};
}

void SimMember::LoseAll() {
  if (!owned_.empty()) {
    ++losses_;
    cluster_.Trace(name() + " lost all");
  }
  giving_up_.reset();
  Drop(PartitionSet(owned_));
}

// --- Its offsets ---

void SimMember::StepOffsets() {
  if (offsets_.busy()) return;
  PartitionSet known, unknown;
  for (const Partition& partition : owned_)
    (positions_.contains(partition) ? known : unknown).insert(partition);
  if (giving_up_.has_value()) {
    PartitionSet read;
    for (const Partition& partition : giving_up_->partitions) {
      if (known.contains(partition)) read.insert(partition);
    }
    if (!giving_up_->done && !read.empty() && now_ms() < giving_up_->deadline_ms)
      return Commit(Existing(read));
    const GivingUp given = *std::exchange(giving_up_, std::nullopt);
    Drop(given.partitions);
    return given.then();
  }
  unknown = Existing(unknown);
  if (!unknown.empty()) return Fetch(unknown);
  if (now_ms() < next_commit_ms_ || known.empty()) return;
  next_commit_ms_ = now_ms() + random_.Between(options_.commit_ms / 2, options_.commit_ms * 2);
  Commit(Existing(known));
}

void SimMember::Commit(const PartitionSet& partitions) {
  if (partitions.empty()) {
    if (giving_up_.has_value()) giving_up_->done = true;
    return;
  }
  kafka::OffsetCommitRequest request;
  request.group_id = group_id();
  request.member_id = member_id_;
  request.generation_id_or_member_epoch = generation_;
  if (!instance_id().empty()) request.group_instance_id = instance_id();
  std::map<Partition, int64_t> sent;
  for (const Partition& partition : partitions) {
    if (request.topics.empty() || TopicId(request.topics.back().topic_id) != partition.first) {
      auto& topic = request.topics.emplace_back();
      topic.topic_id = partition.first;
      topic.name = topics().FindTopic(partition.first)->name;
    }
    int64_t& position = positions_.at(partition);
    position += random_.Between(0, 3);
    auto& at = request.topics.back().partitions.emplace_back();
    at.partition_index = partition.second;
    at.committed_offset = sent[partition] = position;
    at.committed_metadata = "";
  }
  Ask<kafka::OffsetCommitResponse>(
      offsets_, std::move(request), is_classic() ? 8 : 10,
      [this, sent](const kafka::OffsetCommitResponse& response) { OnCommitted(sent, response); });
}

void SimMember::OnCommitted(const std::map<Partition, int64_t>& sent,
                            const kafka::OffsetCommitResponse& response) {
  auto at = sent.begin();
  for (const auto& topic : response.topics) {
    for (const auto& partition : topic.partitions) {
      const auto error = static_cast<ErrorCode>(partition.error_code);
      cluster_.Trace(name() + " committed " + topic.name + "-" +
                     std::to_string(partition.partition_index) + " at " +
                     std::to_string(at->second) + ": " + std::to_string(partition.error_code));
      // What was committed may have gone with its topic meanwhile.
      if (topics().FindTopic(at->first.first) == nullptr) {
      } else if (error == ErrorCode::kNone) {
        cluster_.invariants().OnAcknowledged(group_id(), at->first, at->second);
      } else if (Reconnects(error)) {
        return;
      }
      ++at;
    }
  }
  // Whatever else it is, the next heartbeat tells.
  if (giving_up_.has_value()) giving_up_->done = true;
}

void SimMember::Fetch(const PartitionSet& partitions) {
  FetchOffsets request;
  request.group.group_id = group_id();
  if (!is_classic()) {
    request.group.member_id = member_id_;
    request.group.member_epoch = generation_;
  }
  request.group.topics.emplace();
  std::map<Partition, int64_t> least;
  for (const Partition& partition : partitions) {
    auto& asked = *request.group.topics;
    if (asked.empty() || TopicId(asked.back().topic_id) != partition.first) {
      auto& topic = asked.emplace_back();
      topic.topic_id = partition.first;
      topic.name = topics().FindTopic(partition.first)->name;
    }
    asked.back().partition_indexes.push_back(partition.second);
    least[partition] = cluster_.invariants().Told(group_id(), partition);
  }
  using Response = kafka::OffsetFetchResponse::OffsetFetchResponseGroup;
  Ask<Response>(offsets_, std::move(request), is_classic() ? 8 : 10,
                [this, least, drops = drops_](const Response& response) {
                  // What it has lost and got again since then, others may have read on.
                  if (drops == drops_) OnFetched(least, response);
                });
}

void SimMember::OnFetched(const std::map<Partition, int64_t>& least,
                          const kafka::OffsetFetchResponse::OffsetFetchResponseGroup& response) {
  const auto error = static_cast<ErrorCode>(response.error_code);
  if (Reconnects(error)) return;
  if (error != ErrorCode::kNone) return Wait(random_.Between(20, 100));
  for (const auto& topic : response.topics) {
    for (const auto& partition : topic.partitions) {
      const Partition which{TopicId(topic.topic_id), partition.partition_index};
      if (topics().FindTopic(which.first) == nullptr) continue;
      cluster_.invariants().CheckFetched(group_id(), which, partition.committed_offset,
                                         least.at(which));
      if (owned_.contains(which))
        positions_[which] = std::max<int64_t>(partition.committed_offset, 0);
    }
  }
}

std::string SimMember::Describe() const {
  std::ostringstream out;
  out << "  " << group_id() << ' ' << name() << " (" << member_id_ << "): " << DescribeState()
      << " generation " << generation_ << " owns " << owned_.size() << " knows "
      << positions_.size() << " of " << Subscribed().size() << (paused() ? " paused" : "")
      << (gone_ ? " gone" : "") << (giving_up() ? " gives up" : "")
      << (connection_ == nullptr ? " without a coordinator" : "");
  return out.str();
}

}  // namespace sluice::broker::testing
