// DumpFile on every kind of file, whole and damaged.

#include "storage/inspect/dump.h"

#include <gmock/gmock.h>

#include <map>

#include "storage/file_names.h"
#include "storage/testing/inspect_fixture.h"

namespace sluice::storage {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

class DumpTest : public testing::InspectFixture {
 protected:
  std::vector<DumpRow> Dump(const std::string& path, bool records = false) {
    std::vector<DumpRow> rows;
    const Status status =
        DumpFile(fs_, path, {.records = records}, [&](const DumpRow& row) { rows.push_back(row); });
    EXPECT_TRUE(status.ok()) << status.ToString();
    return rows;
  }
  static const DumpValue& Field(const DumpRow& row, std::string_view name) {
    for (const auto& [field, value] : row.fields) {
      if (field == name) return value;
    }
    LOG(FATAL) << row.kind << " has no field " << name;
  }
  static int64_t Number(const DumpRow& row, std::string_view name) {
    return std::get<int64_t>(Field(row, name));
  }
};

TEST_F(DumpTest, BatchesAndRecordsOfALog) {
  FillTwo();
  int64_t next = 0;
  for (size_t i = 0; i < Names("orders-0", kLogSuffix).size(); ++i) {
    int64_t position = 0;
    for (const DumpRow& row : Dump(Path("orders-0", kLogSuffix, static_cast<int>(i)), true)) {
      if (row.kind == "record") {
        EXPECT_EQ(Number(row, "offset"), next++);
        EXPECT_EQ(std::get<DumpBytes>(Field(row, "key")), "k");
        continue;
      }
      ASSERT_EQ(row.kind, "batch");
      EXPECT_EQ(Number(row, "base_offset"), next);
      EXPECT_EQ(Number(row, "position"), position);
      EXPECT_EQ(Number(row, "producer_id"), 1001);
      EXPECT_TRUE(std::get<bool>(Field(row, "crc_ok")));
      EXPECT_EQ(std::get<std::string>(Field(row, "codec")), "none");
      position += Number(row, "size_bytes");
    }
  }
  EXPECT_GT(next, 90);
}

TEST_F(DumpTest, DamageIsARowAndTheDumpGoesOn) {
  FillTwo();
  const std::string log = Path("orders-0", kLogSuffix);
  const size_t whole = Dump(log).size();
  Overwrite(log, 500, std::string(1500, '\0'));
  int damages = 0;
  const auto rows = Dump(log);
  for (const DumpRow& row : rows) damages += row.kind == "damage" ? 1 : 0;
  EXPECT_EQ(damages, 1);
  EXPECT_GT(rows.size(), 2u);
  EXPECT_LT(rows.size(), whole);
}

TEST_F(DumpTest, EveryFileOfADirectory) {
  FillTwo();
  std::map<std::string, int> kinds;
  const auto files = DumpableFiles(fs_, "/data").value();
  for (const std::string& file : files) {
    for (const DumpRow& row : Dump(file)) ++kinds[std::string(row.kind)];
  }
  std::vector<std::string> names;
  for (const auto& [name, count] : kinds) names.push_back(name);
  EXPECT_THAT(names, IsSupersetOf({"batch", "checkpoint", "directory", "epoch", "index",
                                   "partition", "producer", "time_index"}));
  EXPECT_EQ(kinds["damage"], 0);
  EXPECT_EQ(kinds["partition"], 2);
}

TEST_F(DumpTest, FilesThatCannotBeRead) {
  FillTwo();
  const DumpTo ignore = [](const DumpRow&) {};
  EXPECT_EQ(DumpFile(fs_, "/data/notes.txt", {}, ignore).code(), StatusCode::kNotFound);
  Write("/data/notes.txt", "none of ours");
  EXPECT_EQ(DumpFile(fs_, "/data/notes.txt", {}, ignore).code(), StatusCode::kUnsupported);
  EXPECT_EQ(DumpFile(fs_, "/data/x-0/00000000000000000000.log", {}, ignore).code(),
            StatusCode::kNotFound);
  Write("/data/orders-0/partition.metadata", "nonsense");
  const Status status = DumpFile(fs_, "/data/orders-0/partition.metadata", {}, ignore);
  EXPECT_EQ(status.code(), StatusCode::kCorruption);
  EXPECT_THAT(status.message(), HasSubstr("/data/orders-0/partition.metadata"));
}

}  // namespace
}  // namespace sluice::storage
