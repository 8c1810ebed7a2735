// DescribeLogDirs (key 35): the log directories of this broker, what lies in them and how full
// their disks are. `kafka-reassign-partitions` asks every broker for it.
//   v2 flexible.  v3 an error of the whole.  v4 total and usable bytes.  v5 cordoned directories:
//   there are none here.

#include "kafka/messages/describe_log_dirs.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "broker/api/api_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

using Request = kafka::DescribeLogDirsRequest;
using Response = kafka::DescribeLogDirsResponse;
using ByTopic = std::map<std::string, std::vector<Response::DescribeLogDirsPartition>>;

// Whether a partition is asked for: all are where none is named.
class Wanted {
 public:
  explicit Wanted(const Request& request) : all_(!request.topics.has_value()) {
    if (all_) return;
    for (const auto& topic : *request.topics)
      named_[topic.topic].insert(topic.partitions.begin(), topic.partitions.end());
  }
  bool Has(const storage::TopicPartition& name) const {
    const auto topic = named_.find(name.topic);
    return all_ || (topic != named_.end() && topic->second.contains(name.partition.value()));
  }

 private:
  const bool all_;
  std::map<std::string, std::set<int32_t>> named_;
};

void AddPartitions(const ByTopic& topics, Response::DescribeLogDirsResult& result) {
  for (const auto& [name, partitions] : topics) {
    auto& topic = result.topics.emplace_back();
    topic.name = name;
    topic.partitions = partitions;
  }
}

Response::DescribeLogDirsResult Describe(const storage::DirectoryState& directory) {
  Response::DescribeLogDirsResult result;
  result.log_dir = directory.path();
  if (!directory.online()) {
    result.error_code = kafka::WireError(kafka::ErrorCode::kKafkaStorageError);
    return result;
  }
  if (directory.total_bytes() == 0) return result;  // nobody has looked yet
  result.total_bytes = static_cast<int64_t>(directory.total_bytes());
  result.usable_bytes = static_cast<int64_t>(directory.free_bytes());
  return result;
}

void HandleDescribe(BrokerServices& services, const RequestContext&, Request request,
                    const Responder<Response>& responder) {
  const Wanted wanted(request);
  std::map<const storage::DirectoryState*, ByTopic> contents;
  for (const PartitionStatus& status : services.replicas->Status()) {
    if (status.directory == nullptr || !wanted.Has(status.name)) continue;
    auto& out = contents[status.directory.get()][status.name.topic].emplace_back();
    out.partition_index = status.name.partition.value();
    out.partition_size = static_cast<int64_t>(status.size_bytes);
    out.offset_lag =
        std::max<int64_t>(0, status.high_watermark.value() - status.log_end_offset.value());
    if (!status.future) continue;
    auto& copy = contents[status.future->directory.get()][status.name.topic].emplace_back();
    copy.partition_index = status.name.partition.value();
    copy.partition_size = static_cast<int64_t>(status.future->size_bytes);
    copy.offset_lag =
        std::max<int64_t>(0, status.log_end_offset.value() - status.future->log_end_offset.value());
    copy.is_future_key = true;
  }
  Response response;
  for (const storage::DirectoryPtr& directory : services.directories) {
    Response::DescribeLogDirsResult& result = response.results.emplace_back(Describe(*directory));
    if (result.error_code == 0) AddPartitions(contents[directory.get()], result);
  }
  responder.Send(response);
}

}  // namespace

const ApiHandler kDescribeLogDirsApi = Serve<Request, Response, &HandleDescribe>(1, 5);

}  // namespace sluice::broker
