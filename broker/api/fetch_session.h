#pragma once
// FetchSessionCache: what consumers and followers have told of their fetches, so that they send and
// get only what changed (KIP-227).
//
// A client opens a session with a full request (epoch 0) and is given an id, when there is room.
// Its next requests (epoch 1, 2, ...) name only partitions that were added, changed or forgotten;
// the answers hold only partitions with records, an error, a diverging epoch, or another high
// watermark or log start than last told. Epoch -1 asks without a session and closes one that is
// named.
//
// A full cache gives up a session to a new one when (a) it was unused for eviction_ms, or (b) the
// new one is a follower's and this is a consumer's, or (c) it is older than eviction_ms and smaller
// than the new one. Otherwise the new client works without a session.
//
// Thread rule: thread-safe. A FetchContext belongs to one request.

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/uuid.h"
#include "kafka/error_code.h"
#include "kafka/messages/fetch.h"

namespace sluice::broker {

// A partition as the client names it: by topic id from version 13 on, by name before.
struct FetchName {
  TopicId topic_id;
  std::string topic;
  int32_t partition = 0;
  friend bool operator==(const FetchName&, const FetchName&) = default;
};

// What is asked of one partition.
struct FetchSpec {
  FetchName name;
  int64_t fetch_offset = 0;
  int64_t log_start_offset = -1;
  int32_t current_leader_epoch = -1;
  int32_t last_fetched_epoch = -1;
  int32_t size_bytes_max = 0;
};

struct ServedSession;

// One request: what to fetch, and how to answer.
struct FetchContext {
  enum class Kind { kError, kSessionless, kFull, kIncremental };
  Kind kind = Kind::kSessionless;
  kafka::ErrorCode error = kafka::ErrorCode::kNone;  // of kError
  std::vector<FetchSpec> specs;                      // in the order to serve them
  bool privileged = false;                           // a follower's
  bool by_topic_id = false;
  int32_t expected_epoch = 0;              // of the session after this request
  std::shared_ptr<ServedSession> session;  // of kIncremental
};

struct FetchSessionOptions {
  int32_t slots = 1000;  // max.incremental.fetch.session.cache.slots
  int64_t eviction_ms = 120000;
};

class FetchSessionCache {
 public:
  FetchSessionCache(FetchSessionOptions options, const Clock& clock, Random random)
      : options_(options), clock_(clock), random_(random) {}

  FetchContext Begin(const kafka::FetchRequest& request, int16_t version, bool from_follower);
  // `results` holds one answer for each of context.specs, in their order. Makes the session or
  // keeps it up to date, and puts what is to be told, with the session's id, into `response`.
  void Complete(FetchContext& context, std::vector<kafka::FetchResponse::PartitionData> results,
                kafka::FetchResponse& response);

  size_t sessions() const;
  uint64_t evictions() const;

 private:
  using SessionPtr = std::shared_ptr<ServedSession>;
  using UseKey = std::pair<int64_t, int32_t>;  // last use, id
  using ValueKey =
      std::tuple<bool, size_t, int32_t>;  // privileged, partitions, id: the least is given up first

  FetchContext BeginIncremental(const kafka::FetchRequest& request, int16_t version);
  int32_t Open(FetchContext& context,
               const std::vector<kafka::FetchResponse::PartitionData>& results);
  void CompleteIncremental(FetchContext& context,
                           std::vector<kafka::FetchResponse::PartitionData>& results,
                           kafka::FetchResponse& response);
  // The following need mutex_.
  bool MakeRoom(bool privileged, size_t partitions, int64_t now_ms);
  void Touch(ServedSession& session, int64_t now_ms);
  void Remove(int32_t id);
  void Unindex(const ServedSession& session);

  const FetchSessionOptions options_;
  const Clock& clock_;
  mutable std::mutex mutex_;  // guards all below; taken before a session's own
  Random random_;
  std::unordered_map<int32_t, SessionPtr> sessions_;
  std::map<UseKey, SessionPtr> by_use_;
  std::map<ValueKey, SessionPtr> evictable_by_followers_;
  std::map<ValueKey, SessionPtr> evictable_by_all_;
  uint64_t evictions_ = 0;
};

}  // namespace sluice::broker
