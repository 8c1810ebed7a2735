#pragma once
// Describe: the cluster's image in the words of the admin service, as pure functions.
//
// Thread rule: pure functions over immutable images.

#include <optional>
#include <string>
#include <vector>

#include "metadata/image.h"
#include "metadata/topic_config.h"
#include "proto/admin.pb.h"
#include "proto/controller.pb.h"

namespace sluice::admin {

// The quorum as its leader told it; null pointers below mean that none answered.
using QuorumAnswer = controller::DescribeQuorumResponse;

void DescribeTopic(const metadata::Image& image, const metadata::TopicImage& topic, Topic* out);
void DescribePartition(const metadata::TopicImage& topic, size_t index, Partition* out);
ListTopicsResponse DescribeTopics(const metadata::Image& image, const std::string& name_prefix);
ListPartitionsResponse DescribePartitions(const metadata::Image& image,
                                          const ListPartitionsRequest& request);
DescribeTopicConfigResponse DescribeConfigs(const metadata::TopicConfigScope& scope,
                                            const std::string& topic);
void DescribeQuorum(const QuorumAnswer& answer, Quorum* out);
// All of them, or only that one.
std::vector<Broker> DescribeBrokers(const metadata::Image& image, std::optional<NodeId> only);
DescribeClusterResponse DescribeCluster(const metadata::Image& image, const QuorumAnswer* quorum);

// Has no leader, or fewer replicas in sync than it has replicas; with the latter, so many that
// acks=all fails.
bool IsOffline(const metadata::PartitionImage& partition);
bool IsUnderReplicated(const metadata::PartitionImage& partition);
bool IsUnderMinIsr(const metadata::Image& image, const std::string& topic,
                   const metadata::PartitionImage& partition);
bool IsAtMinIsr(const metadata::Image& image, const std::string& topic,
                const metadata::PartitionImage& partition);

}  // namespace sluice::admin
