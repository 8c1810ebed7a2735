#pragma once
// What the verbs of bench_client share: arguments, librdkafka's handles, payloads, and the lines on
// stdout by which the benchmark that started it knows when to look at the servers' processor time.
//
// A verb prints {"measure": "begin"} when what came before, connections and warm-up, is over, and
// one object with its figures when what it measures is. What goes wrong ends the program: there is
// nothing to say about a server that went.
//
// Thread rule: Arguments is constant; each handle has one owner, librdkafka's own threads beside.

#include <librdkafka/rdkafka.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace sluice::bench {

using Clock = std::chrono::steady_clock;

// Ends the program with `error` unless `fine`.
void Require(bool fine, const std::string& error);

// `key=value` words. One that nobody asked for is a mistake, which RequireAllUsed tells.
class Arguments {
 public:
  Arguments(int argc, char** argv, int first);
  std::string Text(const std::string& key) const;
  std::string Text(const std::string& key, const std::string& fallback) const;
  int64_t Number(const std::string& key) const;
  int64_t Number(const std::string& key, int64_t fallback) const;
  // Those that begin with `prefix`, without it.
  std::map<std::string, std::string> WithPrefix(const std::string& prefix) const;
  void RequireAllUsed() const;

 private:
  std::map<std::string, std::string> values_;
  mutable std::set<std::string> used_;
};

void PrintBegin();
void PrintFigures(const nlohmann::json& figures);

double SecondsSince(Clock::time_point start);
// {"p50": …, "p99": …, "p999": …, "max": …} of values in any order; null of none.
nlohmann::json Quantiles(std::vector<double> values);

struct HandleDeleter {
  void operator()(rd_kafka_t* handle) const { rd_kafka_destroy(handle); }
  void operator()(rd_kafka_topic_t* topic) const { rd_kafka_topic_destroy(topic); }
  void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
};
using Handle = std::unique_ptr<rd_kafka_t, HandleDeleter>;
using Topic = std::unique_ptr<rd_kafka_topic_t, HandleDeleter>;
using Queue = std::unique_ptr<rd_kafka_queue_t, HandleDeleter>;

using Settings = std::vector<std::pair<std::string, std::string>>;
rd_kafka_conf_t* NewConf(const Settings& settings);
// Takes `conf`.
Handle NewHandle(rd_kafka_type_t type, rd_kafka_conf_t* conf);
Topic NewTopic(const Handle& handle, const std::string& name);

// Bytes for records, `size` of them at any position: noise, of which nothing repeats within a
// batch, or noise of which every other stretch of 32 bytes is the same, so that half of it goes
// when it is compressed.
class Payload {
 public:
  Payload(size_t record_bytes, bool half_compressible);
  const char* Next();

 private:
  static constexpr size_t kBytes = size_t{8} << 20;

  size_t record_bytes_;
  size_t position_ = 0;
  std::string bytes_;
};

// A consumer of some partitions of a topic, without a group, its records in one queue.
struct Reader {
  Reader(const Arguments& arguments, const std::string& topic_name, int64_t offset);
  ~Reader();

  Handle handle;  // before what is destroyed before it
  Topic topic;
  Queue queue;
  int32_t partitions = 0;
};

// The verbs; bench_client's head says what each does.
int RunProduce(const Arguments& arguments);
int RunConsume(const Arguments& arguments);
int RunLatency(const Arguments& arguments);
int RunIdle(const Arguments& arguments);
int RunCreate(const Arguments& arguments);
int RunDelete(const Arguments& arguments);

}  // namespace sluice::bench
