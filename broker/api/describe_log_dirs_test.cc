// DescribeLogDirs: what is told of each directory, and of what lies in it.

#include "kafka/messages/describe_log_dirs.h"

#include <gtest/gtest.h>

#include "broker/testing/api_test_bed.h"

namespace sluice::broker {
namespace {

using testing::ApiTestBed;
using Request = kafka::DescribeLogDirsRequest;
using Response = kafka::DescribeLogDirsResponse;

class DescribeLogDirsTest : public ::testing::Test {
 protected:
  DescribeLogDirsTest() {
    for (const auto& directory : {first_, second_}) directory->PutOnline({});
    first_->SetSpace({.total_bytes = 1000, .free_bytes = 400}, {});
    bed_.services().directories = {first_, second_};
    Add("orders", 0, first_, 70);
    Add("orders", 1, second_, 80);
    Add("users", 0, first_, 90);
    bed_.replicas.statuses.emplace_back().name = {"nowhere", PartitionIndex(0)};
  }
  void Add(const std::string& topic, int partition, storage::DirectoryPtr directory,
           uint64_t size_bytes) {
    PartitionStatus& status = bed_.replicas.statuses.emplace_back();
    status.name = {topic, PartitionIndex(partition)};
    status.size_bytes = size_bytes;
    status.log_end_offset = Offset(10);
    status.high_watermark = Offset(partition == 1 ? 15 : 10);
    status.directory = std::move(directory);
  }
  static std::string Show(const Response& response) {
    std::string text;
    for (const auto& result : response.results) {
      text += result.log_dir + ":";
      for (const auto& topic : result.topics) {
        for (const auto& partition : topic.partitions) {
          text += " " + topic.name + "-" + std::to_string(partition.partition_index) + "=" +
                  std::to_string(partition.partition_size) + "/" +
                  std::to_string(partition.offset_lag) + (partition.is_future_key ? "!" : "");
        }
      }
      text += "; ";
    }
    return text;
  }

  ApiTestBed bed_;
  const std::shared_ptr<storage::DirectoryState> first_ =
      std::make_shared<storage::DirectoryState>("/a");
  const std::shared_ptr<storage::DirectoryState> second_ =
      std::make_shared<storage::DirectoryState>("/b");
};

TEST_F(DescribeLogDirsTest, TellsWhatLiesWhere) {
  Request request;
  request.topics.reset();
  const auto response = bed_.Call<Response>(request, 5);
  EXPECT_EQ(Show(response), "/a: orders-0=70/0 users-0=90/0; /b: orders-1=80/5; ");
  EXPECT_EQ(response.results[0].total_bytes, 1000);
  EXPECT_EQ(response.results[0].usable_bytes, 400);
  EXPECT_EQ(response.results[1].total_bytes, -1);  // nobody has looked yet
}

TEST_F(DescribeLogDirsTest, TellsHowFarACopyIsThatMovesHere) {
  bed_.replicas.statuses[0].future = FutureLogStatus{second_, Offset(7), 50};
  Request request;
  request.topics.reset();
  EXPECT_EQ(Show(bed_.Call<Response>(request, 5)),
            "/a: orders-0=70/0 users-0=90/0; /b: orders-0=50/3! orders-1=80/5; ");
}

TEST_F(DescribeLogDirsTest, OfOneThatFailedNothingButThatIsTold) {
  first_->PutOffline(Status::IoError("gone"));
  Request request;
  request.topics.reset();
  const auto response = bed_.Call<Response>(request, 4);
  EXPECT_EQ(Show(response), "/a:; /b: orders-1=80/5; ");
  EXPECT_EQ(response.results[0].error_code, 56);
  EXPECT_EQ(response.results[1].error_code, 0);
}

TEST_F(DescribeLogDirsTest, OnlyOfThePartitionsThatAreNamed) {
  Request request;
  request.topics.emplace();
  request.topics->emplace_back().topic = "orders";
  request.topics->back().partitions = {1, 7};
  EXPECT_EQ(Show(bed_.Call<Response>(request, 1)), "/a:; /b: orders-1=80/5; ");
}

}  // namespace
}  // namespace sluice::broker
