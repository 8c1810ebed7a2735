#include "broker/api/fetch_session.h"

#include <glog/logging.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <limits>
#include <numeric>
#include <tuple>
#include <utility>

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using PartitionData = kafka::FetchResponse::PartitionData;

constexpr int32_t kInitialEpoch = 0;
constexpr int32_t kFinalEpoch = -1;
constexpr int32_t kNoSession = 0;
constexpr int16_t kTopicIdsSince = 13;

int32_t NextEpoch(int32_t epoch) {
  if (epoch < 0) return kFinalEpoch;
  return epoch == std::numeric_limits<int32_t>::max() ? 1 : epoch + 1;
}

struct HashFetchName {
  size_t operator()(const FetchName& name) const {
    const size_t topic = name.topic.empty() ? std::hash<Uuid>()(name.topic_id)
                                            : std::hash<std::string>()(name.topic);
    return topic * 31 + static_cast<size_t>(name.partition);
  }
};

FetchName NameOf(const std::string& topic, const TopicId& topic_id, int32_t partition,
                 bool by_topic_id) {
  FetchName name;
  if (by_topic_id) {
    name.topic_id = topic_id;
  } else {
    name.topic = topic;
  }
  name.partition = partition;
  return name;
}

bool Before(const FetchName& a, const FetchName& b) {
  return std::tie(a.topic_id, a.topic, a.partition) < std::tie(b.topic_id, b.topic, b.partition);
}

// A partition that a request lists more than once is fetched once: where it is listed first, as it
// is described last, like in Kafka. Else a request would cost the broker whatever its client likes.
void DropRepeated(std::vector<FetchSpec>& specs) {
  const auto ascend = [](const FetchSpec& a, const FetchSpec& b) { return Before(a.name, b.name); };
  const auto next_is_not_after = [&](const FetchSpec& a, const FetchSpec& b) {
    return !ascend(a, b);
  };
  // Most requests are in order, or of one partition.
  if (std::adjacent_find(specs.begin(), specs.end(), next_is_not_after) == specs.end()) return;
  std::vector<size_t> order(specs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return ascend(specs[a], specs[b]); });
  std::vector<bool> dropped(specs.size());
  for (size_t first = 0, i = 1; i < order.size(); ++i) {
    if (specs[order[first]].name == specs[order[i]].name) {
      specs[order[first]] = specs[order[i]];
      dropped[order[i]] = true;
    } else {
      first = i;
    }
  }
  size_t kept = 0;
  for (size_t i = 0; i < specs.size(); ++i) {
    if (!dropped[i] && kept++ != i) specs[kept - 1] = std::move(specs[i]);
  }
  if (kept == specs.size()) return;
  specs.resize(kept);
  specs.shrink_to_fit();  // they stay as long as the fetch waits
}

std::vector<FetchSpec> SpecsOf(const kafka::FetchRequest& request, bool by_topic_id) {
  std::vector<FetchSpec> specs;
  for (const auto& topic : request.topics) {
    for (const auto& partition : topic.partitions) {
      FetchSpec& spec = specs.emplace_back();
      spec.name = NameOf(topic.topic, topic.topic_id, partition.partition, by_topic_id);
      spec.fetch_offset = partition.fetch_offset;
      spec.log_start_offset = partition.log_start_offset;
      spec.current_leader_epoch = partition.current_leader_epoch;
      spec.last_fetched_epoch = partition.last_fetched_epoch;
      spec.size_bytes_max = partition.partition_max_bytes;
    }
  }
  DropRepeated(specs);
  return specs;
}

// A partition in a session: what was asked last, and what was told last.
struct CachedPartition {
  FetchSpec spec;
  int64_t high_watermark = -1;
  int64_t log_start_offset = -1;

  // Notes what `data` tells. True when the client has to hear it.
  bool Update(const PartitionData& data) {
    bool told = data.records.size_bytes() > 0 || data.preferred_read_replica >= 0 ||
                data.diverging_epoch.epoch >= 0;
    told |= std::exchange(high_watermark, data.high_watermark) != data.high_watermark;
    told |= std::exchange(log_start_offset, data.log_start_offset) != data.log_start_offset;
    if (data.error_code == kafka::WireError(ErrorCode::kNone)) return told;
    // No watermark equals this one: the partition is told again when the error is gone.
    high_watermark = -1;
    return true;
  }
};

// Appends to the response, joining the topic before when it is the same.
void AddToResponse(const FetchName& name, PartitionData data, kafka::FetchResponse& response) {
  auto& topics = response.responses;
  if (topics.empty() || topics.back().topic != name.topic ||
      topics.back().topic_id != name.topic_id) {
    auto& topic = topics.emplace_back();
    topic.topic = name.topic;
    topic.topic_id = name.topic_id;
  }
  topics.back().partitions.push_back(std::move(data));
}

}  // namespace

// Partitions in the order to serve them: those that brought records move to the end, so that none
// starves the others.
struct ServedSession {
  using Partitions = std::list<CachedPartition>;

  int32_t id = kNoSession;
  bool privileged = false;
  bool by_topic_id = false;
  int64_t created_ms = 0;

  // Guarded by the cache's mutex: where the session stands in its indexes.
  int64_t last_used_ms = -1;
  size_t indexed_size = 0;

  std::mutex mutex;   // guards all below
  int32_t epoch = 1;  // the next request's
  Partitions partitions;
  std::unordered_map<FetchName, Partitions::iterator, HashFetchName> by_name;

  void Put(FetchSpec spec) {
    if (const auto found = by_name.find(spec.name); found != by_name.end()) {
      found->second->spec = std::move(spec);
      return;
    }
    partitions.push_back({std::move(spec)});
    by_name.emplace(partitions.back().spec.name, std::prev(partitions.end()));
  }
  void Forget(const FetchName& name) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) return;
    partitions.erase(found->second);
    by_name.erase(found);
  }
};

FetchContext FetchSessionCache::Begin(const kafka::FetchRequest& request, int16_t version,
                                      bool from_follower) {
  if (request.session_epoch != kInitialEpoch && request.session_epoch != kFinalEpoch)
    return BeginIncremental(request, version);
  if (request.session_id != kNoSession) {
    // A full request closes the session that it names.
    std::lock_guard lock(mutex_);
    Remove(request.session_id);
  }
  FetchContext context;
  context.kind = request.session_epoch == kInitialEpoch ? FetchContext::Kind::kFull
                                                        : FetchContext::Kind::kSessionless;
  context.privileged = from_follower;
  context.by_topic_id = version >= kTopicIdsSince;
  context.specs = SpecsOf(request, context.by_topic_id);
  return context;
}

FetchContext FetchSessionCache::BeginIncremental(const kafka::FetchRequest& request,
                                                 int16_t version) {
  FetchContext context;
  context.kind = FetchContext::Kind::kError;
  context.by_topic_id = version >= kTopicIdsSince;
  std::lock_guard lock(mutex_);
  const auto found = sessions_.find(request.session_id);
  if (found == sessions_.end()) {
    context.error = ErrorCode::kFetchSessionIdNotFound;
    return context;
  }
  const SessionPtr session = found->second;
  std::lock_guard session_lock(session->mutex);
  if (session->epoch != request.session_epoch) {
    context.error = ErrorCode::kInvalidFetchSessionEpoch;
    return context;
  }
  if (session->by_topic_id != context.by_topic_id) {
    context.error = ErrorCode::kFetchSessionTopicIdError;
    return context;
  }
  for (FetchSpec& spec : SpecsOf(request, context.by_topic_id)) session->Put(std::move(spec));
  for (const auto& topic : request.forgotten_topics_data) {
    for (const int32_t partition : topic.partitions) {
      session->Forget(NameOf(topic.topic, topic.topic_id, partition, context.by_topic_id));
    }
  }
  if (session->partitions.empty()) {
    Remove(session->id);
    context.kind = FetchContext::Kind::kSessionless;
    return context;
  }
  Touch(*session, clock_.SteadyMs());
  session->epoch = NextEpoch(session->epoch);
  context.kind = FetchContext::Kind::kIncremental;
  context.expected_epoch = session->epoch;
  context.session = session;
  context.specs.reserve(session->partitions.size());
  for (const CachedPartition& partition : session->partitions)
    context.specs.push_back(partition.spec);
  return context;
}

void FetchSessionCache::Complete(FetchContext& context, std::vector<PartitionData> results,
                                 kafka::FetchResponse& response) {
  if (context.kind == FetchContext::Kind::kError) {
    response.error_code = kafka::WireError(context.error);
    return;
  }
  CHECK_EQ(results.size(), context.specs.size());
  if (context.kind == FetchContext::Kind::kIncremental) {
    CompleteIncremental(context, results, response);
    return;
  }
  if (context.kind == FetchContext::Kind::kFull) response.session_id = Open(context, results);
  for (size_t i = 0; i < results.size(); ++i)
    AddToResponse(context.specs[i].name, std::move(results[i]), response);
}

// A new session with what was just told, or no session when there is nothing to keep or no room.
int32_t FetchSessionCache::Open(FetchContext& context, const std::vector<PartitionData>& results) {
  if (results.empty()) return kNoSession;
  const int64_t now_ms = clock_.SteadyMs();
  const auto session = std::make_shared<ServedSession>();
  session->privileged = context.privileged;
  session->by_topic_id = context.by_topic_id;
  session->created_ms = now_ms;
  for (size_t i = 0; i < results.size(); ++i) {
    session->Put(context.specs[i]);
    session->by_name.at(context.specs[i].name)->Update(results[i]);
  }
  std::lock_guard lock(mutex_);
  if (!MakeRoom(context.privileged, session->partitions.size(), now_ms)) return kNoSession;
  do {
    session->id = static_cast<int32_t>(random_.Between(1, std::numeric_limits<int32_t>::max()));
  } while (sessions_.contains(session->id));
  sessions_.emplace(session->id, session);
  Touch(*session, now_ms);
  return session->id;
}

void FetchSessionCache::CompleteIncremental(FetchContext& context,
                                            std::vector<PartitionData>& results,
                                            kafka::FetchResponse& response) {
  ServedSession& session = *context.session;
  std::lock_guard lock(session.mutex);
  if (session.epoch != context.expected_epoch) {
    // Another request of the session overtook this one.
    response.error_code = kafka::WireError(ErrorCode::kInvalidFetchSessionEpoch);
    return;
  }
  response.session_id = session.id;
  for (size_t i = 0; i < results.size(); ++i) {
    const auto found = session.by_name.find(context.specs[i].name);
    if (found == session.by_name.end()) continue;
    const bool has_records = results[i].records.size_bytes() > 0;
    if (!found->second->Update(results[i])) continue;
    if (has_records)
      session.partitions.splice(session.partitions.end(), session.partitions, found->second);
    AddToResponse(context.specs[i].name, std::move(results[i]), response);
  }
}

bool FetchSessionCache::MakeRoom(bool privileged, size_t partitions, int64_t now_ms) {
  if (options_.slots <= 0) return false;
  if (sessions_.size() < static_cast<size_t>(options_.slots)) return true;
  const SessionPtr oldest = by_use_.begin()->second;
  if (now_ms - oldest->last_used_ms > options_.eviction_ms) {
    Remove(oldest->id);
    ++evictions_;
    return true;
  }
  const auto& evictable = privileged ? evictable_by_followers_ : evictable_by_all_;
  if (evictable.empty()) return false;
  const auto& [key, least] = *evictable.begin();
  if (std::make_pair(privileged, partitions) <= std::make_pair(std::get<0>(key), std::get<1>(key)))
    return false;
  Remove(SessionPtr(least)->id);
  ++evictions_;
  return true;
}

void FetchSessionCache::Touch(ServedSession& session, int64_t now_ms) {
  const SessionPtr shared = sessions_.at(session.id);
  Unindex(session);
  session.last_used_ms = now_ms;
  session.indexed_size = session.partitions.size();
  by_use_.emplace(UseKey(now_ms, session.id), shared);
  const ValueKey key(session.privileged, session.indexed_size, session.id);
  const bool settled = now_ms - session.created_ms > options_.eviction_ms;
  if (!session.privileged || settled) evictable_by_followers_.emplace(key, shared);
  if (settled) evictable_by_all_.emplace(key, shared);
}

void FetchSessionCache::Unindex(const ServedSession& session) {
  by_use_.erase(UseKey(session.last_used_ms, session.id));
  const ValueKey key(session.privileged, session.indexed_size, session.id);
  evictable_by_followers_.erase(key);
  evictable_by_all_.erase(key);
}

void FetchSessionCache::Remove(int32_t id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  Unindex(*found->second);
  sessions_.erase(found);
}

size_t FetchSessionCache::sessions() const {
  std::lock_guard lock(mutex_);
  return sessions_.size();
}

uint64_t FetchSessionCache::evictions() const {
  std::lock_guard lock(mutex_);
  return evictions_;
}

}  // namespace sluice::broker
