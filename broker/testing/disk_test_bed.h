#pragma once
// DiskTest: the fixture of the tests of disks that fail and of disks that fill up. A cluster of
// three brokers in virtual time, with one topic.
//
// Thread rule: one test.

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "broker/testing/sim_cluster.h"

namespace sluice::broker::testing {

class DiskTest : public ::testing::Test {
 protected:
  // Four partitions; node 1 is the first replica of all of them unless `options` says otherwise.
  void Build(SimTopicOptions options, SimClusterOptions cluster) {
    FLAGS_minloglevel = google::GLOG_FATAL;  // broken disks are the subject here
    cluster_ = std::make_unique<SimCluster>(cluster);
    topic_ = cluster_->CreateTopic("orders", options);
    cluster_->RunFor(500);
  }
  PartitionKey Key(int partition) const { return {topic_, PartitionIndex(partition)}; }
  kafka::ErrorCode Send(int partition, const std::string& value, int32_t timeout_ms = 30000) {
    const auto sent = cluster_->Produce(cluster_->LeaderOf(Key(partition)), Key(partition), value,
                                        -1, timeout_ms);
    EXPECT_TRUE(cluster_->RunUntil([&] { return sent->answered; }, 60000)) << value;
    return sent->error;
  }
  storage::DirectoryPtr DirectoryOf(NodeId node, int partition) {
    return cluster_->logs(node).DirectoryOf({"orders", PartitionIndex(partition)});
  }
  bool InSync(int partition, size_t replicas) {
    return cluster_->RunUntil([&] { return cluster_->IsrSize(Key(partition)) == replicas; }, 30000);
  }
  // The operation fails from now on on one of the node's disks.
  void Break(NodeId node, const std::string& directory,
             ::sluice::testing::FileOperation operation) {
    cluster_->disk(node).InjectFault({.operation = operation,
                                      .path_part = directory + "/",
                                      .status = Status::IoError("EIO"),
                                      .times = -1});
  }
  void Restart(NodeId node) {
    cluster_->Kill(node);
    cluster_->disk(node).ClearFaults();
    cluster_->Start(node);
  }
  // Leaves so much room on a node's directory.
  void SetFree(NodeId node, const std::string& directory, uint64_t bytes) {
    auto& disk = cluster_->disk(node);
    disk.set_capacity_bytes(uint64_t{1} << 40, directory);
    const DiskSpace space = disk.Space(directory).value();
    disk.set_capacity_bytes(space.total_bytes - space.free_bytes + bytes, directory);
  }

  std::unique_ptr<SimCluster> cluster_;
  TopicId topic_;
};

}  // namespace sluice::broker::testing
