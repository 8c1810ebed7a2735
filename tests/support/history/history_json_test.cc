#include "tests/support/history/history_json.h"

#include <gtest/gtest.h>

namespace sluice::history {
namespace {

constexpr char kHead[] = "{\"idempotent\": true}\n";

std::string Line(const std::string& outcome, const std::string& what, int64_t begin_us = 10) {
  return R"({"client": 1, "begin_us": )" + std::to_string(begin_us) +
         R"(, "end_us": 1000, "outcome": ")" + outcome +
         R"(", "topic": "orders", "partition": 3, )" + what + "}\n";
}

TEST(HistoryJsonTest, EveryKindIsRead) {
  const auto history = ParseHistory(
      kHead + Line("ok", R"("end": {"end": 2})", 60) +
      Line("ok", R"("fetch": {"group": "g"})", 50) +
      Line("unknown", R"("commit": {"group": "g", "offset": 2})", 40) +
      Line("ok", R"("poll": {"from": 0, "to": 2, "sought": true, "records": [[0, 100], [1, 101]]})",
           30) +
      Line("failed", R"("send": {"value": 101})", 20) +
      Line("ok", R"("send": {"value": 100, "offset": 0})", 10));
  ASSERT_TRUE(history.ok()) << history.status().ToString();
  EXPECT_TRUE(history->idempotent);
  const auto& operations = history->operations;
  ASSERT_EQ(operations.size(), 6u);
  EXPECT_EQ(operations[0].place, (Place{"orders", PartitionIndex(3)}));
  EXPECT_EQ(operations[0].client, 1);
  EXPECT_EQ(operations[0].end_us, 1000);
  EXPECT_EQ(std::get<Send>(operations[0].what).offset, Offset(0));
  EXPECT_EQ(operations[1].outcome, Outcome::kFailed);
  EXPECT_EQ(std::get<Send>(operations[1].what).value, 101);
  EXPECT_EQ(std::get<Poll>(operations[2].what).records.at(1).value, 101);
  EXPECT_TRUE(std::get<Poll>(operations[2].what).sought);
  EXPECT_EQ(std::get<Commit>(operations[3].what).offset, Offset(2));
  EXPECT_EQ(std::get<FetchCommitted>(operations[4].what).offset, std::nullopt);
  EXPECT_EQ(std::get<AskEnd>(operations[5].what).end, Offset(2));
}

TEST(HistoryJsonTest, WhatIsWrongIsToldWithItsLine) {
  const auto told = [](const std::string& lines) { return ParseHistory(lines).status().message(); };
  EXPECT_EQ(told(""), "line 1: there is none");
  EXPECT_TRUE(told("{}\n").starts_with("line 1: ")) << told("{}\n");
  EXPECT_TRUE(told(kHead + std::string("{\n")).starts_with("line 2: "));
  EXPECT_EQ(told(kHead + Line("ok", R"("send": {"value": 1})") + Line("fine", R"("end": {})")),
            "line 3: the outcome is fine, not ok, failed or unknown");
  EXPECT_EQ(told(kHead + Line("ok", R"("x": 1)")),
            "line 2: it has no send, poll, commit, fetch or end");
  EXPECT_EQ(told(kHead + Line("ok", R"("end": {"end": 2})", 1001)),
            "line 2: it ends before it begins");
}

}  // namespace
}  // namespace sluice::history
