#include "cli/moves_file.h"

#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

Status Parse(const std::string& text) {
  admin::MovePartitionsRequest request;
  return ParseMoves(text, request);
}

std::string OfOrders(const std::string& more) {
  return R"({"version":1,"partitions":[{"topic":"orders","partition":3,"replicas":[4,5])" + more +
         "}]}";
}

TEST(MovesFile, IsWhatKafkaReassignPartitionsWrites) {
  admin::MovePartitionsRequest request;
  ASSERT_TRUE(ParseMoves(OfOrders(R"(,"log_dirs":["any","any"])"), request).ok());
  ASSERT_EQ(request.moves_size(), 1);
  EXPECT_EQ(request.moves(0).topic(), "orders");
  EXPECT_EQ(request.moves(0).partition(), 3);
  EXPECT_EQ(request.moves(0).replicas(1), 5);
}

TEST(MovesFile, APlanToEvenOutIsOneToo) {
  EXPECT_TRUE(Parse(R"({"before":[],"partitions":[{"topic":"orders","partition":0,
      "from":[1],"replicas":[2],"bytes":7,"reason":"because"}]})")
                  .ok());
}

TEST(MovesFile, WhatWouldBeLeftUndoneIsRefused) {
  const Status placed = Parse(OfOrders(R"(,"log_dirs":["any","/data/b"])"));
  EXPECT_EQ(placed.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(placed.message().find("orders-3"), std::string::npos) << placed.message();
  EXPECT_NE(placed.message().find("/data/b"), std::string::npos) << placed.message();
  for (const char* more : {R"(,"log_dirs":["any"])", R"(,"log_dirs":"any")", R"(,"log_dirs":null)"})
    EXPECT_FALSE(Parse(OfOrders(more)).ok()) << more;
}

TEST(MovesFile, AnotherVersionIsRefused) {
  for (const char* version : {"2", "0", "\"1\"", "null"}) {
    const Status parsed = Parse(std::string(R"({"partitions":[],"version":)") + version + "}");
    EXPECT_EQ(parsed.code(), StatusCode::kInvalidArgument) << version;
    EXPECT_NE(parsed.message().find(std::string("version ") + version), std::string::npos)
        << parsed.message();
  }
}

TEST(MovesFile, NumbersThatAreNoIdsAreRefused) {
  for (const char* id : {"-1", "4294967297", "1.5", "\"1\""}) {
    EXPECT_FALSE(Parse(std::string(R"({"partitions":[{"topic":"a","partition":)") + id +
                       R"(,"replicas":[1]}]})")
                     .ok())
        << id;
    EXPECT_FALSE(Parse(std::string(R"({"partitions":[{"topic":"a","partition":0,"replicas":[)") +
                       id + "]}]}")
                     .ok())
        << id;
  }
  for (const char* text : {"", "[]", "{}", R"({"partitions":{}})", R"({"partitions":[1]})"})
    EXPECT_FALSE(Parse(text).ok()) << text;
}

}  // namespace
}  // namespace sluice::cli
