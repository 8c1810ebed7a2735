// load: a librdkafka client that writes or reads as fast as it can and prints what it did; the
// benchmark reads the servers' CPU time around it.
//
//   load produce BOOTSTRAP TOPIC MIB RECORD_BYTES     acks=all, idempotent
//   load fill BOOTSTRAP TOPIC MIB RECORD_BYTES PARTITIONS
//                                                     the same, evenly: 16 records to each in turn
//   load consume BOOTSTRAP TOPIC MIB                  every partition, until that many MiB of
//   values came
//   load ready BOOTSTRAP TOPIC PARTITIONS             until each has a leader that tells its end
//   load each BOOTSTRAP TOPIC PARTITIONS              one record to each, acks=all, however long
//   that takes: the topic need not exist yet, nor anybody listen
//   load tail BOOTSTRAP TOPIC SECONDS RECORD_BYTES    acks=all, 500 records a second, each sent at
//   once, and a consumer at the end: how long they take
//
// One JSON object on stdout: records, bytes (of values), seconds; of a tail the latencies in ms.

#include <librdkafka/rdkafkacpp.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

void Require(bool fine, const std::string& error) {
  if (fine) return;
  std::fprintf(stderr, "load: %s\n", error.c_str());
  std::exit(1);
}

std::unique_ptr<RdKafka::Conf> Configure(
    std::initializer_list<std::pair<const char*, std::string>> settings) {
  std::unique_ptr<RdKafka::Conf> conf(RdKafka::Conf::create(RdKafka::Conf::CONF_GLOBAL));
  std::string error;
  for (const auto& [key, value] : settings)
    Require(conf->set(key, value, error) == RdKafka::Conf::CONF_OK, error);
  return conf;
}

void Report(int64_t records, int64_t bytes, Clock::time_point start) {
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::printf("{\"records\": %lld, \"bytes\": %lld, \"seconds\": %.3f}\n",
              static_cast<long long>(records), static_cast<long long>(bytes), seconds);
}

class FailureCounter : public RdKafka::DeliveryReportCb {
 public:
  void dr_cb(RdKafka::Message& message) override {
    failed += message.err() != RdKafka::ERR_NO_ERROR;
  }
  int64_t failed = 0;
};

struct ProduceShape {
  int64_t bytes = 0;
  size_t record_bytes = 0;
  int32_t partitions = 0;  // to be filled evenly; 0: as the client likes
};

int Produce(const std::string& bootstrap, const std::string& topic, const ProduceShape& shape) {
  constexpr int64_t kRecordsInTurn = 16;
  FailureCounter failures;
  std::string error;
  auto conf = Configure({{"bootstrap.servers", bootstrap},
                         {"enable.idempotence", "true"},
                         {"acks", "all"},
                         {"linger.ms", "5"},
                         {"batch.size", "131072"},
                         {"queue.buffering.max.kbytes", "262144"}});
  conf->set("dr_cb", &failures, error);
  std::unique_ptr<RdKafka::Producer> producer(RdKafka::Producer::create(conf.get(), error));
  Require(producer != nullptr, error);
  // Bytes that do not compress, a window of them for each record.
  std::string noise(shape.record_bytes + 4096, '\0');
  uint64_t state = 42;
  for (char& c : noise)
    c = static_cast<char>((state = state * 6364136223846793005ULL + 1442695040888963407ULL) >> 56);
  const Clock::time_point start = Clock::now();
  int64_t records = 0;
  while (records * static_cast<int64_t>(shape.record_bytes) < shape.bytes) {
    const int32_t partition =
        shape.partitions == 0 ? RdKafka::Topic::PARTITION_UA
                              : static_cast<int32_t>(records / kRecordsInTurn % shape.partitions);
    const RdKafka::ErrorCode code = producer->produce(
        topic, partition, RdKafka::Producer::RK_MSG_COPY, noise.data() + records % 4096,
        shape.record_bytes, nullptr, 0, 0, nullptr);
    if (code == RdKafka::ERR_NO_ERROR) ++records;
    producer->poll(code == RdKafka::ERR__QUEUE_FULL ? 1 : 0);
  }
  producer->flush(120000);
  Require(failures.failed == 0 && producer->outq_len() == 0, "records were not acknowledged");
  Report(records, records * static_cast<int64_t>(shape.record_bytes), start);
  return 0;
}

// With the client's defaults but for the pauses between attempts to connect, which grow to seconds.
int ProduceToEach(const std::string& bootstrap, const std::string& topic, int32_t partitions) {
  FailureCounter failures;
  std::string error;
  auto conf = Configure({{"bootstrap.servers", bootstrap},
                         {"acks", "all"},
                         {"reconnect.backoff.ms", "10"},
                         {"reconnect.backoff.max.ms", "20"},
                         {"log_level", "0"}});
  conf->set("dr_cb", &failures, error);
  std::unique_ptr<RdKafka::Producer> producer(RdKafka::Producer::create(conf.get(), error));
  Require(producer != nullptr, error);
  char value[] = "written";
  const Clock::time_point start = Clock::now();
  for (int32_t partition = 0; partition < partitions; ++partition) {
    Require(producer->produce(topic, partition, RdKafka::Producer::RK_MSG_COPY, value, sizeof value,
                              nullptr, 0, 0, nullptr) == RdKafka::ERR_NO_ERROR,
            "a record was refused");
  }
  producer->flush(600000);
  Require(failures.failed == 0 && producer->outq_len() == 0, "records were not acknowledged");
  Report(partitions, partitions * static_cast<int64_t>(sizeof value), start);
  return 0;
}

// How long each record took until it was acknowledged; its number travels as the opaque pointer.
class LatencyMeter : public RdKafka::DeliveryReportCb {
 public:
  void dr_cb(RdKafka::Message& message) override {
    Require(message.err() == RdKafka::ERR_NO_ERROR, message.errstr());
    const size_t number = reinterpret_cast<size_t>(message.msg_opaque());
    acknowledged_ms.push_back(MsSince(sent[number]));
  }
  static double MsSince(Clock::time_point then) {
    return std::chrono::duration<double, std::milli>(Clock::now() - then).count();
  }
  std::vector<Clock::time_point> sent;
  std::vector<double> acknowledged_ms;
};

std::string Quantiles(std::vector<double> values) {
  if (values.empty()) return "null";
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return std::to_string(
        values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))]);
  };
  return "{\"p50\": " + at(0.5) + ", \"p99\": " + at(0.99) + ", \"max\": " + at(1) + "}";
}

// Reads the end of the topic's partition 0 and notes how old each record is when it comes: its
// first bytes are its number.
void FollowTail(RdKafka::KafkaConsumer& consumer, LatencyMeter& meter,
                std::vector<double>& came_ms) {
  while (true) {
    std::unique_ptr<RdKafka::Message> message(consumer.consume(1));
    if (message->err() != RdKafka::ERR_NO_ERROR) return;
    size_t number = 0;
    std::memcpy(&number, message->payload(), sizeof number);
    if (number < meter.sent.size()) came_ms.push_back(meter.MsSince(meter.sent[number]));
  }
}

int Tail(const std::string& bootstrap, const std::string& topic, int64_t seconds,
         size_t record_bytes) {
  constexpr std::chrono::microseconds kInterval(2000);
  LatencyMeter meter;
  std::string error;
  auto conf = Configure({{"bootstrap.servers", bootstrap}, {"acks", "all"}, {"linger.ms", "0"}});
  conf->set("dr_cb", &meter, error);
  std::unique_ptr<RdKafka::Producer> producer(RdKafka::Producer::create(conf.get(), error));
  Require(producer != nullptr, error);
  auto consumer_conf = Configure({{"bootstrap.servers", bootstrap},
                                  {"group.id", "tail"},
                                  {"enable.auto.commit", "false"},
                                  {"fetch.wait.max.ms", "500"}});
  std::unique_ptr<RdKafka::KafkaConsumer> consumer(
      RdKafka::KafkaConsumer::create(consumer_conf.get(), error));
  std::unique_ptr<RdKafka::TopicPartition> end(
      RdKafka::TopicPartition::create(topic, 0, RdKafka::Topic::OFFSET_END));
  consumer->assign({end.get()});
  std::string value(std::max(record_bytes, sizeof(size_t)), 'v');
  std::vector<double> came_ms;
  meter.sent.reserve(static_cast<size_t>(seconds) * 1000);  // the poller reads it meanwhile
  std::atomic<bool> polling{true};
  std::thread poller([&] {
    while (polling) producer->poll(10);
  });
  const Clock::time_point start = Clock::now();
  for (Clock::time_point due = start; due < start + std::chrono::seconds(seconds);
       due += kInterval) {
    while (Clock::now() < due) FollowTail(*consumer, meter, came_ms);
    const size_t number = meter.sent.size();
    std::memcpy(value.data(), &number, sizeof number);
    meter.sent.push_back(Clock::now());
    Require(
        producer->produce(topic, 0, RdKafka::Producer::RK_MSG_COPY, value.data(), value.size(),
                          nullptr, 0, 0, reinterpret_cast<void*>(number)) == RdKafka::ERR_NO_ERROR,
        "a record was refused");
  }
  polling = false;
  poller.join();
  producer->flush(10000);
  const size_t records = meter.acknowledged_ms.size();
  std::printf("{\"records\": %zu, \"acknowledged_ms\": %s, \"received_ms\": %s}\n", records,
              Quantiles(meter.acknowledged_ms).c_str(), Quantiles(came_ms).c_str());
  consumer->close();
  return 0;
}

int Consume(const std::string& bootstrap, const std::string& topic, int64_t bytes_total) {
  std::string error;
  auto conf = Configure({{"bootstrap.servers", bootstrap},
                         {"group.id", "load"},
                         {"enable.auto.commit", "false"},
                         {"fetch.wait.max.ms", "50"},
                         {"queued.max.messages.kbytes", "65536"},
                         {"enable.auto.offset.store", "false"}});
  std::unique_ptr<RdKafka::KafkaConsumer> consumer(
      RdKafka::KafkaConsumer::create(conf.get(), error));
  Require(consumer != nullptr, error);
  std::unique_ptr<RdKafka::Topic> handle(
      RdKafka::Topic::create(consumer.get(), topic, nullptr, error));
  RdKafka::Metadata* raw = nullptr;
  Require(consumer->metadata(false, handle.get(), &raw, 10000) == RdKafka::ERR_NO_ERROR,
          "no metadata");
  std::unique_ptr<RdKafka::Metadata> metadata(raw);
  std::vector<RdKafka::TopicPartition*> partitions;
  for (const RdKafka::PartitionMetadata* partition : *metadata->topics()->front()->partitions()) {
    partitions.push_back(
        RdKafka::TopicPartition::create(topic, partition->id(), RdKafka::Topic::OFFSET_BEGINNING));
  }
  consumer->assign(partitions);
  const Clock::time_point start = Clock::now();
  int64_t records = 0;
  int64_t bytes = 0;
  while (bytes < bytes_total) {
    std::unique_ptr<RdKafka::Message> message(consumer->consume(10000));
    Require(message->err() == RdKafka::ERR_NO_ERROR, message->errstr());
    ++records;
    bytes += static_cast<int64_t>(message->len());
  }
  Report(records, bytes, start);
  RdKafka::TopicPartition::destroy(partitions);
  consumer->close();
  return 0;
}

// The records that the partitions' ends add up to; nothing while not every one can be told.
std::optional<int64_t> EndsOfAll(RdKafka::Consumer& client, RdKafka::Topic& topic,
                                 size_t partitions) {
  RdKafka::Metadata* raw = nullptr;
  if (client.metadata(false, &topic, &raw, 1000) != RdKafka::ERR_NO_ERROR) return std::nullopt;
  const std::unique_ptr<RdKafka::Metadata> metadata(raw);
  if (metadata->topics()->size() != 1) return std::nullopt;
  std::vector<RdKafka::TopicPartition*> asked;
  for (const RdKafka::PartitionMetadata* partition : *metadata->topics()->front()->partitions()) {
    if (partition->err() != RdKafka::ERR_NO_ERROR || partition->leader() < 0) continue;
    asked.push_back(
        RdKafka::TopicPartition::create(topic.name(), partition->id(), RdKafka::Topic::OFFSET_END));
  }
  std::optional<int64_t> records;
  if (asked.size() == partitions && client.offsetsForTimes(asked, 1000) == RdKafka::ERR_NO_ERROR) {
    records = 0;
    for (const RdKafka::TopicPartition* partition : asked) {
      if (partition->err() != RdKafka::ERR_NO_ERROR || partition->offset() < 0) records.reset();
      if (!records) break;
      *records += partition->offset();
    }
  }
  RdKafka::TopicPartition::destroy(asked);
  return records;
}

bool Listens(const std::string& address) {
  const size_t colon = address.rfind(':');
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  Require(
      colon != std::string::npos && getaddrinfo(address.substr(0, colon).c_str(),
                                                address.c_str() + colon + 1, &hints, &found) == 0,
      "no such address: " + address);
  const int socket = ::socket(found->ai_family, SOCK_STREAM, 0);
  const bool listens = connect(socket, found->ai_addr, found->ai_addrlen) == 0;
  close(socket);
  freeaddrinfo(found);
  return listens;
}

int AwaitReady(const std::string& bootstrap, const std::string& topic, size_t partitions) {
  // A client that was refused looks again only a second later, whatever it is told.
  while (!Listens(bootstrap.substr(0, bootstrap.find(','))))
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  std::string error;
  auto conf = Configure({{"bootstrap.servers", bootstrap},
                         {"reconnect.backoff.ms", "10"},
                         {"reconnect.backoff.max.ms", "20"},
                         {"log_level", "0"}});
  std::unique_ptr<RdKafka::Consumer> client(RdKafka::Consumer::create(conf.get(), error));
  Require(client != nullptr, error);
  std::unique_ptr<RdKafka::Topic> handle(
      RdKafka::Topic::create(client.get(), topic, nullptr, error));
  Require(handle != nullptr, error);
  const Clock::time_point start = Clock::now();
  while (true) {
    if (const auto records = EndsOfAll(*client, *handle, partitions)) {
      Report(*records, 0, start);
      return 0;
    }
    Require(Clock::now() - start < std::chrono::minutes(10), "not ready within ten minutes");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  const auto number = [&](int i) { return std::strtoul(argv[i], nullptr, 10); };
  if (mode == "produce" && argc == 6) {
    return Produce(argv[2], argv[3],
                   {.bytes = std::atoll(argv[4]) << 20, .record_bytes = number(5)});
  }
  if (mode == "fill" && argc == 7) {
    return Produce(argv[2], argv[3],
                   {.bytes = std::atoll(argv[4]) << 20,
                    .record_bytes = number(5),
                    .partitions = static_cast<int32_t>(number(6))});
  }
  if (mode == "ready" && argc == 5) return AwaitReady(argv[2], argv[3], number(4));
  if (mode == "each" && argc == 5)
    return ProduceToEach(argv[2], argv[3], static_cast<int32_t>(number(4)));
  if (mode == "tail" && argc == 6) return Tail(argv[2], argv[3], std::atoll(argv[4]), number(5));
  if (mode == "consume" && argc == 5) return Consume(argv[2], argv[3], std::atoll(argv[4]) << 20);
  std::fprintf(
      stderr,
      "usage: load produce BOOTSTRAP TOPIC MIB RECORD_BYTES | load consume BOOTSTRAP TOPIC MIB\n"
      "       load fill BOOTSTRAP TOPIC MIB RECORD_BYTES PARTITIONS\n"
      "       load ready BOOTSTRAP TOPIC PARTITIONS\n"
      "       load each BOOTSTRAP TOPIC PARTITIONS\n"
      "       load tail BOOTSTRAP TOPIC SECONDS RECORD_BYTES\n");
  return 2;
}
