// The configuration tables: topic keys, server keys, their sources and their errors.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "metadata/group_config.h"
#include "metadata/server_config.h"
#include "metadata/topic_config.h"
#include "metadata/topic_rules.h"

namespace sluice::metadata {
namespace {

constexpr char kFile[] =
    "node.id=1\nprocess.roles=broker,controller\nlisteners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://"
    "127.0.0.1:9093\n"
    "controller.listener.names=CONTROLLER\ncontroller.quorum.voters=1@127.0.0.1:9093,2@127.0.0.1:"
    "9193\nlog.dirs=data\n";

ConfigSources File(const std::string& extra = "") {
  return {.file_name = "server.properties", .file_text = kFile + extra, .host_name = "host1"};
}

TEST(ConfigTablesTest, DefaultsAndSynonymsAreConsistent) {
  for (const ConfigTable table : {TopicConfigKeys(), GroupConfigKeys(), ServerConfigKeys()}) {
    for (const ConfigKey& key : table) {
      EXPECT_FALSE(key.doc.empty()) << key.name;
      if (!key.has_default) continue;
      const Result<std::string> value = CheckConfigValue(key, key.default_value);
      ASSERT_TRUE(value.ok()) << value.status().ToString();
      EXPECT_EQ(*value, key.default_value);
    }
    for (const ConfigKey& key : table) {
      if (key.name.ends_with(".ms")) {
        EXPECT_EQ(key.unit, ConfigUnit::kMs) << key.name;
      }
      // "1MiB" must do wherever bytes are meant.
      if (key.name.find("bytes") != std::string_view::npos) {
        EXPECT_EQ(key.unit, ConfigUnit::kBytes) << key.name;
      }
    }
    EXPECT_TRUE(std::is_sorted(table.begin(), table.end(),
                               [](const auto& a, const auto& b) { return a.name < b.name; }));
  }
  const ConfigValues server(ServerConfigKeys());
  for (const TopicKeySynonym& synonym : TopicKeySynonyms()) {
    const ConfigKey* topic = FindConfigKey(TopicConfigKeys(), synonym.topic_key);
    const ConfigKey* row = FindConfigKey(ServerConfigKeys(), synonym.server_key);
    ASSERT_TRUE(topic != nullptr && row != nullptr) << synonym.topic_key;
    if (!row->has_default) continue;
    if (synonym.factor == 1) {
      EXPECT_EQ(topic->default_value, row->default_value) << synonym.topic_key;
    }
    if (synonym.factor != 1) {
      EXPECT_EQ(std::stoll(std::string(topic->default_value)),
                server.GetInt(synonym.server_key) * synonym.factor);
    }
  }
  for (const ConfigKey& key : GroupConfigKeys()) {
    EXPECT_EQ(key.default_value,
              FindConfigKey(ServerConfigKeys(), ServerKeyOfGroupKey(key.name))->default_value);
  }
  for (const ConfigKey& key : ServerConfigKeys())
    EXPECT_FALSE(IsIgnoredKafkaKey(key.name)) << key.name;
  EXPECT_TRUE(IsIgnoredKafkaKey("zookeeper.connect"));
  EXPECT_TRUE(IsIgnoredKafkaKey("group.share.enable"));
}

TEST(TopicConfigTest, ChecksValues) {
  EXPECT_EQ(*CheckTopicConfig("retention.ms", " 7d "), "604800000");
  EXPECT_EQ(*CheckTopicConfig("cleanup.policy", "compact, delete"), "compact,delete");
  const Status range = CheckTopicConfig("segment.bytes", "14").status();
  EXPECT_NE(range.message().find("'14'"), std::string::npos) << range.message();
  EXPECT_NE(range.message().find("1048576"), std::string::npos) << range.message();
  const Status unknown = CheckTopicConfig("retention.mss", "1").status();
  EXPECT_NE(unknown.message().find("'retention.ms'"), std::string::npos) << unknown.message();
  for (const char* type : {"producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"})
    EXPECT_TRUE(CheckTopicConfig("compression.type", type).ok()) << type;
  EXPECT_FALSE(CheckTopicConfig("compression.type", "none").ok());
  for (const char* level : {"-1", "1", "9"})
    EXPECT_TRUE(CheckTopicConfig("compression.gzip.level", level).ok()) << level;
  for (const char* level : {"-2", "0", "10"})
    EXPECT_FALSE(CheckTopicConfig("compression.gzip.level", level).ok()) << level;
  EXPECT_FALSE(CheckTopicConfig("remote.storage.enable", "true").ok());
  EXPECT_TRUE(CheckTopicConfig("remote.storage.enable", "false").ok());
  EXPECT_FALSE(CheckTopicConfig("cleanup.policy", "").ok());
  EXPECT_FALSE(
      CheckTopicConfigs({{"min.compaction.lag.ms", "5"}, {"max.compaction.lag.ms", "4"}}).ok());
}

TEST(TopicConfigTest, ThrottledReplicasArePairsOrAll) {
  const std::string key = "leader.replication.throttled.replicas";
  EXPECT_EQ(*CheckTopicConfig(key, "0:1, 12:3"), "0:1,12:3");
  for (const char* wrong : {"0", "0:", ":1", "0:1:2", "*,0:1", "-1:1", "a:b", "0:99999999999"}) {
    const Status refused = CheckTopicConfig(key, wrong).status();
    EXPECT_THAT(refused.message(), testing::HasSubstr("PARTITION:BROKER")) << wrong;
  }
  const auto named = *ThrottledReplicas::Parse("12:3,0:1");
  EXPECT_TRUE(named.Has(PartitionIndex(0), NodeId(1)));
  EXPECT_TRUE(named.Has(PartitionIndex(12), NodeId(3)));
  EXPECT_FALSE(named.Has(PartitionIndex(0), NodeId(3)));
  EXPECT_TRUE(ThrottledReplicas::Parse("*")->Has(PartitionIndex(7), NodeId(7)));
  EXPECT_FALSE(ThrottledReplicas::Parse("")->Has(PartitionIndex(0), NodeId(0)));
}

TEST(TopicConfigTest, EffectiveValuesNameTheirSource) {
  Image image = *EmptyImage();
  ConfigValues server(ServerConfigKeys());
  const TopicConfigScope scope{image, server, NodeId(1)};
  const auto effective = [&](std::string_view key) {
    return EffectiveTopicConfig(scope, "t", key);
  };
  EXPECT_EQ(effective("retention.ms").source, ConfigSource::kDefault);
  EXPECT_EQ(effective("retention.ms").value, "604800000");
  ASSERT_TRUE(server.Set("log.retention.hours", "2", "test").ok());
  EXPECT_EQ(effective("retention.ms").value, "7200000");
  EXPECT_EQ(effective("retention.ms").source, ConfigSource::kStaticBroker);
  ASSERT_TRUE(server.Set("log.retention.minutes", "-1", "test").ok());
  EXPECT_EQ(effective("retention.ms").value, "-1");
  image.broker_configs =
      std::make_shared<ConfigsByName>(ConfigsByName{{"", {{"log.retention.ms", "8"}}}});
  EXPECT_EQ(effective("retention.ms").value, "8");
  EXPECT_EQ(effective("retention.ms").source, ConfigSource::kDynamicDefaultBroker);
  image.broker_configs = std::make_shared<ConfigsByName>(
      ConfigsByName{{"", {{"log.retention.ms", "8"}}}, {"1", {{"log.retention.ms", "9"}}}});
  EXPECT_EQ(effective("retention.ms").source, ConfigSource::kDynamicBroker);
  image.topic_configs =
      std::make_shared<ConfigsByName>(ConfigsByName{{"t", {{"retention.ms", "10"}}}});
  EXPECT_EQ(effective("retention.ms").value, "10");
  EXPECT_EQ(effective("retention.ms").source, ConfigSource::kTopic);
  EXPECT_EQ(EffectiveTopicConfig(scope, "t").retention_ms, 10);
  EXPECT_EQ(EffectiveTopicConfig(scope, "u").retention_ms, 9);
  EXPECT_TRUE(EffectiveTopicConfig(scope, "u").fsync);
  EXPECT_EQ(EffectiveTopicConfig(scope, "u").producer_id_expiration_ms, 86400000);
  EXPECT_FALSE(EffectiveTopicConfig(scope, "u").stored_codec.has_value());
  ASSERT_TRUE(server.Set("compression.type", "zstd", "test").ok());
  ASSERT_TRUE(server.Set("compression.zstd.level", "-1", "test").ok());
  EXPECT_EQ(EffectiveTopicConfig(scope, "u").stored_codec, 4);
  EXPECT_EQ(EffectiveTopicConfig(scope, "u").compression_level, -1);
  ASSERT_TRUE(server.Set("compression.type", "gzip", "test").ok());
  EXPECT_EQ(EffectiveTopicConfig(scope, "u").stored_codec, 1);
  EXPECT_FALSE(EffectiveTopicConfig(scope, "u").compression_level.has_value());
  ASSERT_TRUE(server.Set("producer.id.expiration.ms", "1000", "test").ok());
  EXPECT_EQ(EffectiveTopicConfig(scope, "u").producer_id_expiration_ms, 1000);
}

TEST(ServerConfigTest, ReadsACombinedNode) {
  const auto loaded = LoadServerConfig(File("broker.rack=a\n"));
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  const ServerConfig& config = loaded->config;
  EXPECT_EQ(config.node_id, NodeId(1));
  EXPECT_TRUE(config.is_broker && config.is_controller);
  ASSERT_EQ(config.listeners.size(), 1U);
  EXPECT_EQ(config.listeners[0].address.ToString(), "127.0.0.1:9092");
  EXPECT_EQ(config.controller_listener->ToString(), "127.0.0.1:9093");
  EXPECT_EQ(config.grpc_listener.ToString(), "127.0.0.1:9093");
  EXPECT_EQ(config.http_listener.ToString(), "127.0.0.1:9191");
  EXPECT_EQ(config.voters.size(), 2U);
  EXPECT_EQ(config.metadata_directory, "data");
  EXPECT_EQ(config.broker_session_timeout_ms, 600);
  EXPECT_TRUE(loaded->warnings.empty());
}

TEST(ServerConfigTest, ANodeThatIsAControllerNoMoreIsAdministeredWhereItWas) {
  const auto loaded = LoadServerConfig(
      File("process.roles=broker\ncontroller.quorum.voters=2@host2:9093,3@host3:9093\n"));
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  EXPECT_FALSE(loaded->config.controller_listener.has_value());
  EXPECT_EQ(loaded->config.grpc_listener.ToString(), "127.0.0.1:9093");
}

TEST(ServerConfigTest, SourcesOverrideEachOther) {
  ConfigSources sources = File("num.partitions=2\n");
  sources.environment = {
      {"SLUICE_NUM_PARTITIONS", "3"}, {"SLUICE_NUM_PARTITION", "4"}, {"PATH", "x"}};
  auto loaded = LoadServerConfig(sources);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->config.default_partition_count, 3);
  EXPECT_EQ(loaded->warnings.size(), 1U);
  sources.overrides = {"num.partitions=5"};
  EXPECT_EQ(LoadServerConfig(sources)->config.default_partition_count, 5);
}

TEST(ServerConfigTest, AdvertisesTheHostWhenBoundToAll) {
  ConfigSources sources = File();
  sources.overrides = {"listeners=PLAINTEXT://:9092,CONTROLLER://0.0.0.0:9093",
                       "http.listener=[::1]:80"};
  const auto loaded = LoadServerConfig(sources);
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  EXPECT_EQ(loaded->config.advertised_listeners[0].address.ToString(), "host1:9092");
  EXPECT_EQ(loaded->config.grpc_advertised.ToString(), "host1:9093");
  EXPECT_EQ(loaded->config.http_advertised.ToString(), "[::1]:80");
}

TEST(ServerConfigTest, ErrorsAreThreeLinesWithTheRealValues) {
  const auto error = [](const std::string& extra, std::vector<std::string> overrides = {}) {
    ConfigSources sources = File(extra);
    sources.overrides = std::move(overrides);
    const auto loaded = LoadServerConfig(sources);
    EXPECT_FALSE(loaded.ok()) << extra;
    const std::string text = loaded.ok() ? "" : loaded.status().message();
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
    return text;
  };
  using testing::HasSubstr;
  EXPECT_THAT(error("log.retention.hour=4\n"),
              HasSubstr("server.properties:7: unknown key 'log.retention.hour'"));
  EXPECT_THAT(error("log.retention.hour=4\n"), HasSubstr("'log.retention.hours'"));
  EXPECT_THAT(error("num.partitions=0\n"), HasSubstr("'0'"));
  EXPECT_THAT(error("memory.limit.bytes=5\n"), HasSubstr("-1, or a whole number from 67108864"));
  // Keys of topics lead to the server's keys for the same, however far the names are apart.
  EXPECT_THAT(error("flush.ms=1000\n"), HasSubstr("'log.flush.interval.ms'"));
  EXPECT_THAT(error("", {"segment.ms=7d"}), HasSubstr("'log.roll.ms' or 'log.roll.hours'"));
  EXPECT_THAT(error("local.retention.ms=1\n"), HasSubstr("sluice topic alter NAME --config"));
  EXPECT_THAT(error("", {"log.dirs=a,b,a"}), HasSubstr("names a directory twice"));
  EXPECT_THAT(error("", {"node.id=7"}), HasSubstr("not among the voters"));
  EXPECT_THAT(error("", {"process.roles=broker"}), HasSubstr("named as a voter"));
  EXPECT_THAT(error("", {"controller.listener.names="}), HasSubstr("no listener"));
  EXPECT_THAT(error("", {"controller.quorum.voters=1@a"}), HasSubstr("'1@a'"));
  EXPECT_THAT(error("", {"broker.session.timeout.ms=150"}),
              HasSubstr("broker.heartbeat.interval.ms=100"));
  EXPECT_THAT(error("", {"controller.quorum.confirm.interval.ms=400"}),
              HasSubstr("a lease lasts 500 ms"));
  EXPECT_THAT(error("", {"broker.lease.margin.ms=0"}), HasSubstr("take 1 or more"));
  EXPECT_THAT(error("", {"controller.quorum.leader.lost.timeout.ms=200"}),
              HasSubstr("controller.quorum.election.timeout.ms is too short"));
  EXPECT_THAT(error("", {"group.consumer.session.timeout.ms=44000"}),
              HasSubstr("group.consumer.session.timeout.ms=44000 is below "
                        "group.consumer.min.session.timeout.ms=45000"));
  EXPECT_THAT(error("", {"group.consumer.min.session.timeout.ms=1000",
                         "group.consumer.session.timeout.ms=5000"}),
              HasSubstr("group.consumer.heartbeat.interval.ms=5000 is not below "
                        "group.consumer.session.timeout.ms=5000"));
  EXPECT_THAT(error("", {"http.listener=127.0.0.1:9092"}), HasSubstr("port 9092"));
  EXPECT_THAT(error("", {"listeners=SSL://:9092,CONTROLLER://:9093",
                         "listener.security.protocol.map=SSL:SSL,CONTROLLER:PLAINTEXT"}),
              HasSubstr("PLAINTEXT only"));
  EXPECT_THAT(error("ssl.keystore.location=x\n"), HasSubstr("ssl.keystore.location"));
  EXPECT_THAT(error("", {"whatever"}), HasSubstr("key=value"));
}

TEST(ServerConfigTest, TheFirstOfSeveralLogDirectoriesIsTheNodes) {
  ConfigSources sources = File();
  sources.overrides = {"log.dirs=/disk1/a,/disk2/b"};
  LoadedConfig loaded = LoadServerConfig(sources).value();
  EXPECT_THAT(loaded.config.log_directories, testing::ElementsAre("/disk1/a", "/disk2/b"));
  EXPECT_EQ(loaded.config.log_directory, "/disk1/a");
  EXPECT_EQ(loaded.config.metadata_directory, "/disk1/a");
  sources.overrides = {"log.dirs=/disk1/a", "metadata.log.dir=/disk3"};
  loaded = LoadServerConfig(sources).value();
  EXPECT_EQ(loaded.config.metadata_directory, "/disk3");
}

TEST(ServerConfigTest, DoesNotStartLessProtectedThanItsFileAsks) {
  for (const char* line :
       {"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:admin", "ssl.client.auth=required", "sasl.enabled.mechanisms=PLAIN",
        "security.inter.broker.protocol=SASL_SSL",
        "listener.name.internal.sasl.enabled.mechanisms=PLAIN",
        "listener.name.internal.ssl.keystore.location=x"}) {
    const Status refused = LoadServerConfig(File(std::string(line) + "\n")).status();
    const std::string key = std::string(line).substr(0, std::string(line).find('='));
    EXPECT_THAT(refused.message(), testing::StartsWith("server.properties:7: " + key)) << line;
    EXPECT_EQ(std::count(refused.message().begin(), refused.message().end(), '\n'), 2) << line;
  }
  ConfigSources sources = File("");
  sources.environment = {{"SLUICE_SSL_KEYSTORE_LOCATION", "x"}};
  EXPECT_THAT(LoadServerConfig(sources).status().message(),
              testing::HasSubstr("ssl.keystore.location cannot be honoured"));
}

TEST(ServerConfigTest, TakesWhatKafkasOwnFileSaysOfSecurity) {
  const auto loaded = LoadServerConfig(
      File("listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,"
           "SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL\n"
           "inter.broker.listener.name=PLAINTEXT\n"
           "security.inter.broker.protocol=PLAINTEXT\n"
           "authorizer.class.name=\n"));
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
}

TEST(ServerConfigTest, ValuesAreText) {
  EXPECT_THAT(LoadServerConfig(File("broker.rack=\xFF\n")).status().message(),
              testing::HasSubstr("broker.rack"));
}

TEST(ServerConfigTest, WarnsOnceAboutKafkasOtherKeys) {
  const auto loaded = LoadServerConfig(
      File("num.io.threads=8\nlog.cleaner.io.buffer.size=9\nbroker.session.timeout.ms=9000\n"));
  ASSERT_TRUE(loaded.ok());
  ASSERT_EQ(loaded->warnings.size(), 2U);
  EXPECT_THAT(loaded->warnings[0], testing::HasSubstr("num.io.threads log.cleaner.io.buffer.size"));
  EXPECT_THAT(loaded->warnings[1], testing::HasSubstr("9000"));
}

TEST(ServerConfigTest, WarnsWhereRecordsMayTakeTheRoomOfTheMetadataLog) {
  for (const char* text : {"0", "4194303"}) {
    const auto loaded = LoadServerConfig(File(std::string("disk.free.hard.bytes=") + text + "\n"));
    ASSERT_EQ(loaded->warnings.size(), 1U) << text;
    EXPECT_THAT(loaded->warnings[0], testing::HasSubstr("space.reserve"));
  }
  for (const char* text : {"-1", "4194304"}) {
    const auto loaded = LoadServerConfig(File(std::string("disk.free.hard.bytes=") + text + "\n"));
    EXPECT_TRUE(loaded->warnings.empty()) << text;
  }
}

TEST(TopicRulesTest, Names) {
  for (const char* good : {"a", "A.b_c-9", "__consumer_offsets"})
    EXPECT_TRUE(CheckTopicName(good).ok()) << good;
  for (const std::string& bad :
       {std::string(), std::string("."), std::string(".."), std::string("a b"), std::string("a/b"),
        std::string("\xC3\xA4"), std::string("\xFF"), std::string("__cluster_metadata"),
        std::string(250, 'a')}) {
    EXPECT_FALSE(CheckTopicName(bad).ok()) << bad;
  }
  EXPECT_TRUE(CheckTopicName(std::string(249, 'a')).ok());
}

TEST(TopicRulesTest, NumbersNameTheirRange) {
  EXPECT_EQ(CheckPartitionCount(0).message(), "partition count 0 is outside 1 to 10000");
  EXPECT_EQ(CheckReplicationFactor(4, 3).message(),
            "replication factor 4 is outside 1 to 3, the number of brokers");
  EXPECT_TRUE(CheckReplicationFactor(3, 3).ok());
}

TEST(TopicRulesTest, DotAndUnderscoreCollide) {
  Image image = *EmptyImage();
  auto topics = std::make_shared<TopicsByName>();
  topics->Set("a.b", std::make_shared<TopicImage>());
  image.topics_by_name = topics;
  EXPECT_FALSE(CheckNoCollision(image, "a_b").ok());
  EXPECT_TRUE(CheckNoCollision(image, "a-b").ok());
  EXPECT_TRUE(CheckNoCollision(image, "a.b").ok());  // the same name is another error
}

}  // namespace
}  // namespace sluice::metadata
