#include "bench/client/client.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace sluice::bench {

void Require(bool fine, const std::string& error) {
  if (fine) return;
  std::fprintf(stderr, "bench_client: %s\n", error.c_str());
  std::exit(1);
}

Arguments::Arguments(int argc, char** argv, int first) {
  for (int i = first; i < argc; ++i) {
    const std::string word = argv[i];
    const size_t equals = word.find('=');
    Require(equals != std::string::npos, word + " is not KEY=VALUE");
    values_[word.substr(0, equals)] = word.substr(equals + 1);
  }
}

std::string Arguments::Text(const std::string& key) const {
  Require(values_.contains(key), key + "= is missing");
  return Text(key, "");
}

std::string Arguments::Text(const std::string& key, const std::string& fallback) const {
  used_.insert(key);
  const auto found = values_.find(key);
  return found == values_.end() ? fallback : found->second;
}

int64_t Arguments::Number(const std::string& key) const {
  return std::strtoll(Text(key).c_str(), nullptr, 10);
}

int64_t Arguments::Number(const std::string& key, int64_t fallback) const {
  return std::strtoll(Text(key, std::to_string(fallback)).c_str(), nullptr, 10);
}

std::map<std::string, std::string> Arguments::WithPrefix(const std::string& prefix) const {
  std::map<std::string, std::string> found;
  for (const auto& [key, value] : values_) {
    if (!key.starts_with(prefix)) continue;
    used_.insert(key);
    found[key.substr(prefix.size())] = value;
  }
  return found;
}

void Arguments::RequireAllUsed() const {
  for (const auto& [key, value] : values_)
    Require(used_.contains(key), key + "= means nothing here");
}

void PrintFigures(const nlohmann::json& figures) {
  std::printf("%s\n", figures.dump().c_str());
  std::fflush(stdout);
}

void PrintBegin() { PrintFigures({{"measure", "begin"}}); }

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

nlohmann::json Quantiles(std::vector<double> values) {
  if (values.empty()) return nullptr;
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
  };
  return {{"p50", at(0.5)}, {"p99", at(0.99)}, {"p999", at(0.999)}, {"max", values.back()}};
}

rd_kafka_conf_t* NewConf(const Settings& settings) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  char error[512];
  for (const auto& [key, value] : settings) {
    Require(rd_kafka_conf_set(conf, key.c_str(), value.c_str(), error, sizeof error) ==
                RD_KAFKA_CONF_OK,
            error);
  }
  return conf;
}

Handle NewHandle(rd_kafka_type_t type, rd_kafka_conf_t* conf) {
  char error[512] = "";
  Handle handle(rd_kafka_new(type, conf, error, sizeof error));
  Require(handle != nullptr, error);
  return handle;
}

Topic NewTopic(const Handle& handle, const std::string& name) {
  Topic topic(rd_kafka_topic_new(handle.get(), name.c_str(), nullptr));
  Require(topic != nullptr, "no topic handle");
  return topic;
}

Payload::Payload(size_t record_bytes, bool half_compressible)
    : record_bytes_(record_bytes), bytes_(kBytes, '\0') {
  Require(record_bytes < kBytes, "records are too large");
  uint64_t state = 42;
  for (size_t i = 0; i < kBytes; ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    bytes_[i] = half_compressible && i / 32 % 2 == 1 ? static_cast<char>('a' + i % 32)
                                                     : static_cast<char>(state >> 56);
  }
}

const char* Payload::Next() {
  if (position_ + record_bytes_ > bytes_.size()) position_ = 0;
  const char* bytes = bytes_.data() + position_;
  position_ += record_bytes_;
  return bytes;
}

Reader::Reader(const Arguments& arguments, const std::string& topic_name, int64_t offset)
    : partitions(static_cast<int32_t>(arguments.Number("partitions", 1))) {
  handle = NewHandle(RD_KAFKA_CONSUMER,
                     NewConf({{"bootstrap.servers", arguments.Text("bootstrap")},
                              {"queued.max.messages.kbytes", "65536"},
                              {"fetch.wait.max.ms", arguments.Text("fetch_wait_ms", "500")}}));
  topic = NewTopic(handle, topic_name);
  queue = Queue(rd_kafka_queue_new(handle.get()));
  for (int32_t partition = 0; partition < partitions; ++partition) {
    Require(rd_kafka_consume_start_queue(topic.get(), partition, offset, queue.get()) == 0,
            "a partition cannot be read");
  }
}

Reader::~Reader() {
  for (int32_t partition = 0; partition < partitions; ++partition)
    rd_kafka_consume_stop(topic.get(), partition);
}

}  // namespace sluice::bench
