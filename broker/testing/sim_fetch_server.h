#pragma once
// SimFetchServer: what a broker's network and Fetch handler do for a follower, in few lines:
// decodes the request, keeps its fetch session (KIP-227), asks the ReplicaManager and encodes the
// response.
//
// Thread rule: one thread.

#include <functional>
#include <map>
#include <string>

#include "broker/replica/replica_manager.h"
#include "kafka/messages/fetch.h"

namespace sluice::broker::testing {

inline constexpr int16_t kSimFetchVersion = 18;

class SimFetchServer {
 public:
  explicit SimFetchServer(ReplicaManager& replicas) : replicas_(replicas) {}
  // `done` gets the encoded response.
  void Handle(const std::string& request_bytes, std::function<void(std::string)> done);

 private:
  using Partition = kafka::FetchRequest::FetchPartition;
  struct Session {
    int32_t epoch = 0;  // expected next
    std::map<PartitionKey, Partition> partitions;
    std::map<PartitionKey, std::pair<int64_t, int64_t>> told;  // high watermark, log start
  };

  // Null after an error, which is in `response`.
  Session* Enter(const kafka::FetchRequest& request, kafka::FetchResponse& response);
  static void Fill(Session& session, bool incremental, const FetchRequestParams& params,
                   const std::vector<FetchEntryResult>& results, kafka::FetchResponse& response);

  ReplicaManager& replicas_;
  std::map<int32_t, std::shared_ptr<Session>> sessions_;
  int32_t next_session_ = 1;
};

}  // namespace sluice::broker::testing
