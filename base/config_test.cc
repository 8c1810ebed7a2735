#include "base/config.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr ConfigKey kKeys[] = {
    {.name = "node.id", .type = ConfigType::kInt, .has_default = false, .min = 0},
    {.name = "log.segment.bytes",
     .type = ConfigType::kInt,
     .unit = ConfigUnit::kBytes,
     .default_value = "1073741824",
     .min = 1048576},
    {.name = "log.retention.ms",
     .type = ConfigType::kLong,
     .unit = ConfigUnit::kMs,
     .default_value = "604800000",
     .min = -1},
    {.name = "auto.create.topics.enable", .type = ConfigType::kBool, .default_value = "true"},
    {.name = "process.roles",
     .type = ConfigType::kList,
     .default_value = "broker",
     .allowed = "broker,controller"},
    {.name = "min.cleanable.dirty.ratio",
     .type = ConfigType::kDouble,
     .default_value = "0.5",
     .min = 0,
     .max = 1},
    {.name = "log.cleaner.io.max.bytes.per.second",
     .type = ConfigType::kDouble,
     .unit = ConfigUnit::kBytes,
     .default_value = "1.7976931348623157E308",
     .min = 1},
    {.name = "memory.limit.bytes",
     .type = ConfigType::kLong,
     .unit = ConfigUnit::kBytes,
     .default_value = "-1",
     .min = 67108864,
     .special = -1},
    {.name = "ssl.key.password", .has_default = false, .sensitive = true},
};

TEST(ConfigTest, DefaultsAndValuesOfEveryType) {
  ConfigValues values(kKeys);
  EXPECT_EQ(values.GetInt("log.segment.bytes"), 1073741824);
  EXPECT_TRUE(values.GetBool("auto.create.topics.enable"));
  EXPECT_EQ(values.GetDouble("min.cleanable.dirty.ratio"), 0.5);
  EXPECT_FALSE(values.Find("node.id").has_value());
  ASSERT_TRUE(values.Set("process.roles", " broker , controller ", "test").ok());
  EXPECT_EQ(values.GetList("process.roles"), (std::vector<std::string>{"broker", "controller"}));
  ASSERT_TRUE(values.Set("auto.create.topics.enable", "FALSE", "test").ok());
  EXPECT_FALSE(values.GetBool("auto.create.topics.enable"));
}

TEST(ConfigTest, UnitsResolveToPlainNumbers) {
  const struct {
    const char* key;
    const char* text;
    const char* canonical;
  } cases[] = {
      {"log.segment.bytes", "64MiB", "67108864"},
      {"log.segment.bytes", "2 MB", "2000000"},
      {"log.retention.ms", "7d", "604800000"},
      {"log.retention.ms", "-1", "-1"},
      {"log.retention.ms", "90s", "90000"},
      {"log.cleaner.io.max.bytes.per.second", "4MiB", "4194304"},
      {"log.cleaner.io.max.bytes.per.second", "1.5 kB", "1500"},
      {"log.cleaner.io.max.bytes.per.second", "2.5", "2.5"},
      {"memory.limit.bytes", "-1", "-1"},
      {"memory.limit.bytes", "64MiB", "67108864"},
  };
  for (const auto& c : cases) {
    Result<std::string> checked = CheckConfigValue(*FindConfigKey(kKeys, c.key), c.text);
    ASSERT_TRUE(checked.ok()) << checked.status().ToString();
    EXPECT_EQ(*checked, c.canonical);
  }
}

TEST(ConfigTest, BadValuesNameValueAndRange) {
  const struct {
    const char* key;
    const char* text;
    const char* says;
  } cases[] = {
      {"log.segment.bytes", "1024", "from 1048576 to 2147483647"},
      {"log.segment.bytes", "4GiB", "'4GiB'"},
      {"log.segment.bytes", "7d", "'7d'"},
      {"node.id", "-3", "from 0 to"},
      {"auto.create.topics.enable", "yes", "true or false"},
      {"process.roles", "brocker", "broker,controller"},
      {"min.cleanable.dirty.ratio", "1.5", "from 0 to 1"},
      {"min.cleanable.dirty.ratio", "1B", "from 0 to 1"},
      {"log.cleaner.io.max.bytes.per.second", "0.5", "at least 1 (bytes, or with KiB, MiB, GiB)"},
      {"log.cleaner.io.max.bytes.per.second", "4s", "'4s'"},
      {"log.cleaner.io.max.bytes.per.second", "MiB", "'MiB'"},
      {"memory.limit.bytes", "5", "-1, or a whole number from 67108864"},
      {"memory.limit.bytes", "-2", "-1, or a whole number"},
  };
  for (const auto& c : cases) {
    ConfigValues values(kKeys);
    const Status status = values.Set(c.key, c.text, "server.properties:3");
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find(c.says), std::string::npos) << status.message();
    EXPECT_NE(status.message().find("server.properties:3"), std::string::npos) << status.message();
  }
}

TEST(ConfigTest, UnknownKeyNamesTheNearest) {
  ConfigValues values(kKeys);
  const Status status = values.Set("log.segment.byte", "1", "server.properties:9");
  EXPECT_EQ(status.message(),
            "server.properties:9: unknown key 'log.segment.byte'; the nearest known key is "
            "'log.segment.bytes'");
}

TEST(ConfigTest, PropertiesAsJavaReadsThem) {
  const auto lines = ParseProperties(
      "# comment\n! another\n\nnode.id=1\nlisteners = PLAINTEXT://:9092,\\\n   "
      "CONTROLLER://:9093\r\nrack : a\nempty=\nkey\\=x=y\n");
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_EQ(lines[0].key, "node.id");
  EXPECT_EQ(lines[0].line, 4);
  EXPECT_EQ(lines[1].value, "PLAINTEXT://:9092,CONTROLLER://:9093");
  EXPECT_EQ(lines[2].key, "rack");
  EXPECT_EQ(lines[2].value, "a");
  EXPECT_EQ(lines[3].value, "");
  EXPECT_EQ(lines[4].key, "key=x");
}

}  // namespace
}  // namespace sluice
