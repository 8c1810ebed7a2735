// Every message in every version against the bytes that Kafka's own classes write
// (testdata/vectors, made by tests/compat/vectors), and against damaged ones.

#include <algorithm>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "base/file_system.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "kafka/messages/api_versions.h"
#include "kafka/messages/fetch.h"
#include "kafka/messages/metadata.h"
#include "kafka/messages/produce.h"
#include "kafka/testing/message_registry.h"
#include "kafka/wire_reader.h"
#include "kafka/wire_writer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace sluice::kafka {
namespace {

using testing::AllMessages;
using testing::FindMessage;
using testing::MessageEntry;

struct Vector {
  std::string message;
  int16_t version = 0;
  std::string variant;
  std::string bytes;

  std::string Describe() const { return message + " v" + std::to_string(version) + " " + variant; }
};

std::string FromHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

std::vector<Vector> LoadVectors() {
  const std::string directory = "testdata/vectors";
  const std::unique_ptr<FileSystem> files = NewPosixFileSystem();
  const Result<std::vector<std::string>> names = files->List(directory);
  CHECK(names.ok()) << names.status().ToString() << "; run this in kafka/";
  std::vector<Vector> vectors;
  for (const std::string& name : *names) {
    const Result<std::string> text = ReadFile(*files, directory + "/" + name);
    CHECK(text.ok()) << text.status().ToString();
    std::istringstream lines(*text);
    Vector vector;
    for (std::string hex; lines >> vector.message >> vector.version >> vector.variant >> hex;) {
      vector.bytes = hex == "-" ? "" : FromHex(hex);
      vectors.push_back(vector);
    }
  }
  return vectors;
}

const std::vector<Vector>& Vectors() {
  static const std::vector<Vector> vectors = LoadVectors();
  return vectors;
}

TEST(MessagesTest, EveryVectorRoundTripsByteForByte) {
  for (const Vector& vector : Vectors()) {
    const MessageEntry* message = FindMessage(vector.message);
    ASSERT_NE(message, nullptr) << vector.message;
    const Result<std::string> encoded = message->recode(vector.bytes, vector.version);
    ASSERT_TRUE(encoded.ok()) << vector.Describe() << ": " << encoded.status().ToString();
    ASSERT_EQ(*encoded, vector.bytes) << vector.Describe();
  }
}

TEST(MessagesTest, EveryVersionHasVectors) {
  std::set<std::tuple<std::string, int16_t, std::string>> seen;
  for (const Vector& vector : Vectors())
    seen.emplace(vector.message, vector.version, vector.variant);
  for (const MessageEntry& message : AllMessages()) {
    for (int16_t version = message.version_min; version <= message.version_max; ++version) {
      for (const char* variant :
           {"defaults", "elements", "filled", "extremes", "null_leaves", "nulls"}) {
        EXPECT_TRUE(seen.contains({message.name, version, variant}))
            << message.name << " v" << version << " " << variant;
      }
    }
    EXPECT_EQ(seen.contains({message.name, message.version_max, "unknown_tags"}),
              message.version_max >= message.flexible_since)
        << message.name;
  }
}

TEST(MessagesTest, VersionsOutOfRangeAreUnsupported) {
  for (const MessageEntry& message : AllMessages()) {
    for (const int version : {message.version_min - 1, message.version_max + 1}) {
      EXPECT_EQ(message.recode("", static_cast<int16_t>(version)).status().code(),
                StatusCode::kUnsupported)
          << message.name << " v" << version;
    }
  }
}

TEST(MessagesTest, TruncatedMessagesFailAtEveryLength) {
  for (const Vector& vector : Vectors()) {
    if (vector.variant != "filled" && vector.variant != "unknown_tags") continue;
    const MessageEntry* message = FindMessage(vector.message);
    for (size_t size = 0; size < vector.bytes.size(); ++size) {
      const auto result =
          message->recode(std::string_view(vector.bytes).substr(0, size), vector.version);
      ASSERT_EQ(result.status().code(), StatusCode::kInvalidArgument)
          << vector.Describe() << " cut at " << size;
    }
  }
}

// One message, damaged a little: bytes replaced, removed or added, favouring the values that
// lengths make dangerous.
std::string Mutate(std::string bytes, Random& random) {
  constexpr unsigned char kDangerous[] = {0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF};
  for (uint64_t left = 1 + random.Below(3); left > 0; --left) {
    const size_t at = 2 + random.Below(bytes.size() - 1);
    const char value = random.Chance(1, 2)
                           ? static_cast<char>(kDangerous[random.Below(std::size(kDangerous))])
                           : static_cast<char>(random.Below(256));
    switch (random.Below(4)) {
      case 0: bytes.insert(at, random.Below(6), value); break;
      case 1: bytes.resize(at); break;
      default:
        std::fill_n(bytes.begin() + at, std::min<size_t>(random.Below(5), bytes.size() - at),
                    value);
    }
  }
  return bytes;
}

TEST(MessagesTest, DamagedMessagesNeverCrash) {
  constexpr int kMutationsOfEach = 150;
  Random random(20260611);
  const auto messages = AllMessages();
  for (const Vector& vector : Vectors()) {
    const MessageEntry* message = FindMessage(vector.message);
    std::string input;
    input.push_back(static_cast<char>(message - messages.data()));
    input.push_back(static_cast<char>(vector.version - message->version_min));
    input += vector.bytes;
    for (int i = 0; i < kMutationsOfEach; ++i) {
      const std::string mutant = Mutate(input, random);
      LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(mutant.data()), mutant.size());
    }
  }
}

TEST(MessagesTest, TaggedFieldsAtTheirDefaultAreNotWritten) {
  FetchRequest request;
  WireWriter writer;
  request.Encode(writer, 18);
  const std::string bytes = *Flatten(writer.Finish());
  EXPECT_EQ(bytes.back(), '\0') << "no tagged field";
  request.replica_state.replica_id = 2;
  WireWriter follower;
  request.Encode(follower, 18);
  // One field: tag 1 of 13 bytes, the replica id, epoch -1, no tagged field inside.
  constexpr std::string_view kReplicaState = {
      "\x01\x01\x0D\0\0\0\x02\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0", 16};
  EXPECT_EQ(Flatten(follower.Finish())->substr(bytes.size() - 1), kReplicaState);
}

TEST(MessagesTest, AFieldThatTheVersionLacksIsReported) {
  ApiVersionsResponse response;
  response.throttle_time_ms = 5;  // ignorable
  WireWriter silent;
  response.Encode(silent, 0);
  EXPECT_TRUE(silent.status().ok());

  MetadataRequest request;
  request.allow_auto_topic_creation = false;
  WireWriter loud;
  request.Encode(loud, 3);
  EXPECT_EQ(loud.status().message(),
            "MetadataRequest.allow_auto_topic_creation cannot be encoded in this version");

  MetadataRequest all_topics;
  all_topics.topics.reset();
  WireWriter null_array;
  all_topics.Encode(null_array, 0);
  EXPECT_FALSE(null_array.status().ok());
}

TEST(MessagesTest, ProduceRecordsPointIntoTheFrame) {
  const auto found = std::find_if(Vectors().begin(), Vectors().end(), [](const Vector& v) {
    return v.message == "ProduceRequest" && v.version == 9 && v.variant == "extremes";
  });
  ASSERT_NE(found, Vectors().end());
  auto frame = std::make_shared<const std::string>(found->bytes);
  ProduceRequest request;
  {
    WireReader reader(*frame, frame);
    ASSERT_TRUE(request.Decode(reader, 9).ok());
  }
  const Records& records = request.topic_data.at(0).partition_data.at(0).records;
  EXPECT_GE(records.bytes().data(), frame->data());
  EXPECT_LE(records.bytes().data() + records.size_bytes(), frame->data() + frame->size());
  EXPECT_GT(frame.use_count(), 1) << "the request keeps the frame";
}

}  // namespace
}  // namespace sluice::kafka
