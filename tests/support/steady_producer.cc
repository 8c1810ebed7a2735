// steady_producer: writes numbered records at a fixed rate with acks=all until its stdin closes,
// and keeps a journal of what was acknowledged.
//
//   steady_producer BOOTSTRAP TOPIC RATE IDEMPOTENT(0|1) JOURNAL [defaults]
//
// With `defaults` all but acks and idempotence is as librdkafka has it; else it is tuned to find
// its way sooner. The value of record n is n; its key is n % 97. JOURNAL gets a line "n partition
// offset at_us" for each acknowledgement, by the monotonic clock. At the end one JSON object goes
// to stdout: sent, acknowledged, failed, longest_silence_ms (between two acknowledgements while
// producing).

#include <librdkafka/rdkafkacpp.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

int64_t MsBetween(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(to - from).count();
}

class Journal : public RdKafka::DeliveryReportCb {
 public:
  explicit Journal(const char* path) : file_(std::fopen(path, "w")) {
    if (file_ == nullptr) {
      std::perror(path);
      std::exit(1);
    }
  }
  ~Journal() override { std::fclose(file_); }

  void dr_cb(RdKafka::Message& message) override {
    const auto n = static_cast<long long>(reinterpret_cast<intptr_t>(message.msg_opaque()));
    if (message.err() != RdKafka::ERR_NO_ERROR) {
      if (failed++ == 0)
        std::fprintf(stderr, "record %lld failed: %s\n", n, message.errstr().c_str());
      return;
    }
    const Clock::time_point now = Clock::now();
    if (acknowledged > 0 && producing)
      longest_silence_ms = std::max(longest_silence_ms, MsBetween(last_, now));
    last_ = now;
    ++acknowledged;
    std::fprintf(
        file_, "%lld %d %lld %lld\n", n, message.partition(),
        static_cast<long long>(message.offset()),
        static_cast<long long>(
            std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count()));
  }

  int64_t acknowledged = 0;
  int64_t failed = 0;
  int64_t longest_silence_ms = 0;
  bool producing = true;

 private:
  std::FILE* file_;
  Clock::time_point last_;
};

using Settings = std::vector<std::pair<const char*, std::string>>;

std::unique_ptr<RdKafka::Producer> MakeProducer(Settings settings, bool tuned, Journal& journal) {
  std::unique_ptr<RdKafka::Conf> conf(RdKafka::Conf::create(RdKafka::Conf::CONF_GLOBAL));
  std::string error;
  const Settings tuning = {
      {"linger.ms", "2"},
      {"message.timeout.ms", "60000"},
      {"retry.backoff.ms", "20"},
      {"log_level", "2"},
      {"reconnect.backoff.ms", "20"},
      {"reconnect.backoff.max.ms", "200"},
      {"topic.metadata.refresh.fast.interval.ms", "50"},
  };
  if (tuned) settings.insert(settings.end(), tuning.begin(), tuning.end());
  for (const auto& [key, value] : settings) {
    if (conf->set(key, value, error) != RdKafka::Conf::CONF_OK)
      std::fprintf(stderr, "%s\n", error.c_str());
  }
  conf->set("dr_cb", &journal, error);
  std::unique_ptr<RdKafka::Producer> producer(RdKafka::Producer::create(conf.get(), error));
  if (!producer) {
    std::fprintf(stderr, "%s\n", error.c_str());
    std::exit(1);
  }
  return producer;
}

bool StdinClosed() {
  pollfd in{STDIN_FILENO, POLLIN, 0};
  char byte = 0;
  return poll(&in, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6 && argc != 7) {
    std::fprintf(stderr,
                 "usage: steady_producer BOOTSTRAP TOPIC RATE IDEMPOTENT JOURNAL [defaults]\n");
    return 2;
  }
  const std::string topic = argv[2];
  const int64_t rate = std::atoll(argv[3]);
  const bool idempotent = std::string(argv[4]) == "1";
  Journal journal(argv[5]);
  const bool tuned = argc == 6;
  Settings settings = {{"bootstrap.servers", argv[1]}, {"acks", "all"}};
  if (idempotent) settings.emplace_back("enable.idempotence", "true");
  if (tuned) settings.emplace_back("max.in.flight", idempotent ? "5" : "1");
  const std::unique_ptr<RdKafka::Producer> producer = MakeProducer(settings, tuned, journal);

  const Clock::time_point start = Clock::now();
  int64_t sent = 0;
  while (!StdinClosed()) {
    for (const int64_t due = MsBetween(start, Clock::now()) * rate / 1000; sent < due; ++sent) {
      const std::string value = std::to_string(sent);
      const std::string key = std::to_string(sent % 97);
      const RdKafka::ErrorCode code =
          producer->produce(topic, RdKafka::Topic::PARTITION_UA, RdKafka::Producer::RK_MSG_COPY,
                            const_cast<char*>(value.data()), value.size(), key.data(), key.size(),
                            0, reinterpret_cast<void*>(static_cast<intptr_t>(sent)));
      if (code != RdKafka::ERR_NO_ERROR) break;  // the queue is full; tried again after the poll
    }
    producer->poll(2);
  }
  journal.producing = false;
  producer->flush(60000);
  std::printf(
      "{\"sent\": %lld, \"acknowledged\": %lld, \"failed\": %lld, \"longest_silence_ms\": %lld}\n",
      static_cast<long long>(sent), static_cast<long long>(journal.acknowledged),
      static_cast<long long>(journal.failed), static_cast<long long>(journal.longest_silence_ms));
  return 0;
}
