#include "admin/metrics_collector.h"

#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "admin/testing/fake_backend.h"

namespace sluice::admin {
namespace {

using testing::FakeBackend;
using testing::ThreeBrokers;

bool Has(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(MetricsCollectorTest, TellsWhatDashboardsAskFor) {
  FakeBackend backend;
  backend.image = ThreeBrokers(/*all_up=*/false);
  backend.controller = LocalController{.active = true, .leader = NodeId(1), .term = Term(4)};
  backend.partitions = {{.topic = "orders",
                         .partition = PartitionIndex(0),
                         .is_leader = true,
                         .log_end_offset = Offset(50),
                         .high_watermark = Offset(40),
                         .size_bytes = 1234}};
  const std::string text = MetricsCollector(backend).Collect();
  EXPECT_TRUE(Has(text, "kafka_brokers 2"));
  EXPECT_TRUE(Has(text, "kafka_server_replicamanager_leadercount 1"));
  EXPECT_TRUE(Has(text, "kafka_server_replicamanager_partitioncount 2"));
  EXPECT_TRUE(Has(text, "kafka_server_replicamanager_underreplicatedpartitions 1"));
  EXPECT_TRUE(Has(text, "kafka_controller_kafkacontroller_activecontrollercount 1"));
  EXPECT_TRUE(Has(text, "kafka_controller_kafkacontroller_offlinepartitionscount 0"));
  EXPECT_TRUE(Has(text, "kafka_controller_kafkacontroller_preferredreplicaimbalancecount 1"));
  EXPECT_TRUE(Has(text, "kafka_cluster_partition_atminisr{topic=\"orders\",partition=\"0\"} 1"));
  EXPECT_TRUE(Has(text, "kafka_log_log_size{topic=\"orders\",partition=\"0\"} 1234"));
  EXPECT_TRUE(
      Has(text, "kafka_topic_partition_current_offset{topic=\"orders\",partition=\"0\"} 40"));
  EXPECT_TRUE(Has(text, "kafka_server_raftmetrics_current_epoch 4"));
}

TEST(MetricsCollectorTest, EachFamilyHasItsHeaderOnce) {
  FakeBackend backend;
  backend.controller = LocalController{};
  MetricsCollector collector(backend);
  collector.AddSource([](MetricsText& text) { text.Counter("x_total", "X.").Add({}, int64_t{1}); });
  std::istringstream lines(collector.Collect());
  std::set<std::string> families;
  std::string family;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(families.insert(family).second) << family;
      EXPECT_GT(line.size(), 8 + family.size()) << "no help for " << family;
    } else if (!line.starts_with("#")) {
      EXPECT_EQ(line.substr(0, line.find_first_of(" {")), family);
    }
  }
  EXPECT_TRUE(families.contains("x_total"));
}

TEST(MetricsTextTest, EscapesLabels) {
  MetricsText text;
  text.Gauge("g", "Help.").Add({{"a", "x\"y\\z\n"}}, 0.5);
  EXPECT_EQ(text.Take(), "# HELP g Help.\n# TYPE g gauge\ng{a=\"x\\\"y\\\\z\\n\"} 0.5\n");
}

}  // namespace
}  // namespace sluice::admin
