// AlterReplicaLogDirs: what is asked of the replica manager, and how its answers are told.

#include "kafka/messages/alter_replica_log_dirs.h"

#include <gtest/gtest.h>

#include "broker/testing/api_test_bed.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using testing::ApiTestBed;
using Request = kafka::AlterReplicaLogDirsRequest;
using Response = kafka::AlterReplicaLogDirsResponse;

void Ask(Request& request, const std::string& path, const std::string& topic,
         std::vector<int32_t> partitions) {
  auto& dir = request.dirs.emplace_back();
  dir.path = path;
  auto& asked = dir.topics.emplace_back();
  asked.name = topic;
  asked.partitions = std::move(partitions);
}

TEST(AlterReplicaLogDirsTest, EachReplicaGetsItsOwnAnswer) {
  ApiTestBed bed;
  std::string asked;
  bed.replicas.on_alter_log_dir = [&](const AlterLogDirEntry& entry) {
    asked += entry.name.ToString() + ">" + entry.path + " ";
    if (entry.path == "/none") return ErrorCode::kLogDirNotFound;
    return entry.name.partition == PartitionIndex(7) ? ErrorCode::kReplicaNotAvailable
                                                     : ErrorCode::kNone;
  };
  for (const int16_t version : {1, 2}) {
    asked.clear();
    Request request;
    Ask(request, "/a", "orders", {0, 7});
    Ask(request, "/none", "users", {1});
    Ask(request, "/b", "orders", {0});
    const auto response = bed.Call<Response>(request, version);
    EXPECT_EQ(asked, "orders-0>/b orders-7>/a users-1>/none ") << "the last directory counts";
    ASSERT_EQ(response.results.size(), 2U);
    EXPECT_EQ(response.results[0].topic_name, "orders");
    ASSERT_EQ(response.results[0].partitions.size(), 2U);
    EXPECT_EQ(response.results[0].partitions[0].error_code, 0);
    EXPECT_EQ(response.results[0].partitions[1].partition_index, 7);
    EXPECT_EQ(response.results[0].partitions[1].error_code, 9);
    EXPECT_EQ(response.results[1].topic_name, "users");
    EXPECT_EQ(response.results[1].partitions[0].error_code, 57);
  }
}

}  // namespace
}  // namespace sluice::broker
