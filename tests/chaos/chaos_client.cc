// chaos_client: writes and reads numbered records while the cluster is hurt, and writes down what
// it asked and was told as a history (tests/support/history/history_json.h), one line an operation.
//
//   chaos_client produce BOOTSTRAP TOPIC PARTITIONS CLIENT HISTORY    until stdin closes, and then
//                                       until all is acknowledged
//   chaos_client follow BOOTSTRAP TOPIC PARTITIONS CLIENT HISTORY     from the beginning, until
//   stdin
//                                       closes; commits where it is, and asks what is committed
//   chaos_client read BOOTSTRAP TOPIC PARTITIONS CLIENT HISTORY       from the beginning to the
//   ends
//                                       of now, all in one go
//
// CLIENT is a number that no other has; record n of it has the value CLIENT * 10^9 + n. Times are
// of the monotonic clock, which all processes of a machine share. Exit status: 0, or 1 when
// something was not done within its deadline, with a line that says what.

#include <librdkafka/rdkafkacpp.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr int64_t kValuesPerClient = 1'000'000'000;
constexpr int64_t kRecordsPerSecond = 200;
constexpr int kAskMs = 5000;             // one question to a cluster that may be hurt
constexpr int64_t kFinishMs = 90000;     // what is left to do when nothing is hurt any more
constexpr int64_t kPollUsMax = 100'000;  // records of one partition in that time are one poll

using Settings = std::vector<std::pair<std::string, std::string>>;
using Partition = std::unique_ptr<RdKafka::TopicPartition>;

int64_t NowUs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "chaos_client: %s\n", what.c_str());
  std::exit(1);
}

bool StdinClosed() {
  pollfd in{STDIN_FILENO, POLLIN, 0};
  char byte = 0;
  return poll(&in, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) == 0;
}

struct Arguments {
  std::string mode, bootstrap, topic;
  int32_t partitions;
  int64_t client;
  std::string history;
};

std::unique_ptr<RdKafka::Conf> Configure(const Arguments& given, const Settings& more) {
  std::unique_ptr<RdKafka::Conf> conf(RdKafka::Conf::create(RdKafka::Conf::CONF_GLOBAL));
  std::string error;
  Settings settings = {{"bootstrap.servers", given.bootstrap}, {"log_level", "2"}};
  settings.insert(settings.end(), more.begin(), more.end());
  for (const auto& [key, value] : settings)
    if (conf->set(key, value, error) != RdKafka::Conf::CONF_OK) Fail(error);
  return conf;
}

// Writes lines; each is whole in the file at once, so that a client that is killed leaves no half.
class History {
 public:
  explicit History(const Arguments& given)
      : given_(given), file_(std::fopen(given.history.c_str(), "a")) {
    if (file_ == nullptr) Fail(given.history + " cannot be written");
    std::setvbuf(file_, nullptr, _IOLBF, 1 << 16);
  }
  ~History() { std::fclose(file_); }

  void Add(int32_t partition, int64_t begin_us, const char* outcome, const std::string& what) {
    std::fprintf(file_,
                 "{\"client\": %" PRId64 ", \"begin_us\": %" PRId64 ", \"end_us\": %" PRId64
                 ", \"outcome\": \"%s\", \"topic\": \"%s\", \"partition\": %d, %s}\n",
                 given_.client, begin_us, NowUs(), outcome, given_.topic.c_str(), partition,
                 what.c_str());
  }

 private:
  const Arguments& given_;
  std::FILE* file_;
};

struct Sent {
  int64_t value;
  int64_t begin_us;
  int32_t partition;
};

class Acknowledgements : public RdKafka::DeliveryReportCb {
 public:
  explicit Acknowledgements(History& history) : history_(history) {}
  void dr_cb(RdKafka::Message& message) override {
    const std::unique_ptr<Sent> sent(static_cast<Sent*>(message.msg_opaque()));
    const bool ok = message.err() == RdKafka::ERR_NO_ERROR;
    std::string what = "\"send\": {\"value\": " + std::to_string(sent->value);
    // A retry of what was written before may be acknowledged without its offset.
    if (ok && message.offset() >= 0) what += ", \"offset\": " + std::to_string(message.offset());
    history_.Add(sent->partition, sent->begin_us, ok ? "ok" : "unknown", what + "}");
    if (!ok && !failed) failed = message.errstr();
  }
  std::optional<std::string> failed;

 private:
  History& history_;
};

int Produce(const Arguments& given, History& history) {
  Acknowledgements acknowledgements(history);
  // It tries for as long as it lives: that all is acknowledged at the end is the cluster's duty.
  const auto conf = Configure(given, {{"acks", "all"},
                                      {"enable.idempotence", "true"},
                                      {"message.timeout.ms", "0"},
                                      {"linger.ms", "2"},
                                      {"socket.timeout.ms", "5000"},
                                      {"request.timeout.ms", "4000"},
                                      {"reconnect.backoff.max.ms", "500"}});
  std::string error;
  conf->set("dr_cb", &acknowledgements, error);
  const std::unique_ptr<RdKafka::Producer> producer(RdKafka::Producer::create(conf.get(), error));
  if (!producer) Fail(error);
  const int64_t start_us = NowUs();
  int64_t count = 0;
  while (!StdinClosed()) {
    for (const int64_t due = (NowUs() - start_us) * kRecordsPerSecond / 1'000'000; count < due;
         ++count) {
      const int64_t value = given.client * kValuesPerClient + count;
      const auto partition = static_cast<int32_t>(count % given.partitions);
      auto sent = std::make_unique<Sent>(Sent{value, NowUs(), partition});
      const std::string text = std::to_string(value);
      if (producer->produce(given.topic, partition, RdKafka::Producer::RK_MSG_COPY,
                            const_cast<char*>(text.data()), text.size(), nullptr, 0, 0,
                            sent.get()) != RdKafka::ERR_NO_ERROR)
        break;  // the queue is full
      sent.release();
    }
    producer->poll(2);
    std::string reason;
    if (producer->fatal_error(reason) != RdKafka::ERR_NO_ERROR) Fail("fatal error: " + reason);
  }
  if (producer->flush(kFinishMs) != RdKafka::ERR_NO_ERROR)
    Fail(std::to_string(producer->outq_len()) + " records are not acknowledged after " +
         std::to_string(kFinishMs) + " ms without a fault");
  if (acknowledgements.failed.has_value()) Fail("a record failed: " + *acknowledgements.failed);
  return 0;
}

// Reads all partitions from the beginning; what comes of one in a short time is one poll.
class Reader {
 public:
  Reader(const Arguments& given, History& history)
      : given_(given), history_(history), group_("chaos-" + std::to_string(given.client)) {
    const auto conf = Configure(given, {{"group.id", group_},
                                        {"enable.auto.commit", "false"},
                                        {"auto.offset.reset", "error"},
                                        {"check.crcs", "true"},
                                        {"socket.timeout.ms", "5000"},
                                        {"fetch.wait.max.ms", "100"},
                                        {"reconnect.backoff.max.ms", "500"}});
    std::string error;
    consumer_.reset(RdKafka::KafkaConsumer::create(conf.get(), error));
    if (!consumer_) Fail(error);
    std::vector<RdKafka::TopicPartition*> assigned;
    for (int32_t i = 0; i < given.partitions; ++i) {
      assigned.push_back(RdKafka::TopicPartition::create(given.topic, i, 0));
      places_[i].begin_us = NowUs();
    }
    consumer_->assign(assigned);
    RdKafka::TopicPartition::destroy(assigned);
  }
  ~Reader() { consumer_->close(); }

  void Consume(int timeout_ms) {
    const std::unique_ptr<RdKafka::Message> message(consumer_->consume(timeout_ms));
    if (message->err() == RdKafka::ERR_OFFSET_OUT_OF_RANGE ||
        message->err() == RdKafka::ERR__AUTO_OFFSET_RESET)
      Fail("partition " + std::to_string(message->partition()) + ": " + message->errstr() +
           ", though all it read were committed");
    if (message->err() == RdKafka::ERR_NO_ERROR) {
      PlaceRead& place = places_[message->partition()];
      const std::string value(static_cast<const char*>(message->payload()), message->len());
      place.records += (place.records.empty() ? "[" : ", [") + std::to_string(message->offset()) +
                       ", " + value + "]";
      place.to = std::max(place.to, message->offset() + 1);
    }
    for (auto& [partition, place] : places_)
      if (NowUs() - place.begin_us > kPollUsMax) EndPoll(partition, place);
  }
  void EndPolls() {
    for (auto& [partition, place] : places_) EndPoll(partition, place);
  }

  // What the group has, and then where it is now. False when the cluster did not answer.
  bool Commit(int32_t partition) {
    Partition asked(RdKafka::TopicPartition::create(given_.topic, partition));
    std::vector<RdKafka::TopicPartition*> partitions{asked.get()};
    int64_t begin_us = NowUs();
    if (consumer_->committed(partitions, kAskMs) != RdKafka::ERR_NO_ERROR ||
        asked->err() != RdKafka::ERR_NO_ERROR)
      return false;
    std::string what = "\"fetch\": {\"group\": \"" + group_ + "\"";
    if (asked->offset() >= 0) what += ", \"offset\": " + std::to_string(asked->offset());
    history_.Add(partition, begin_us, "ok", what + "}");

    const int64_t offset = places_[partition].to;
    asked->set_offset(offset);
    begin_us = NowUs();
    const bool done = consumer_->commitSync(partitions) == RdKafka::ERR_NO_ERROR &&
                      asked->err() == RdKafka::ERR_NO_ERROR;
    history_.Add(
        partition, begin_us, done ? "ok" : "unknown",
        "\"commit\": {\"group\": \"" + group_ + "\", \"offset\": " + std::to_string(offset) + "}");
    return done;
  }

  // Where the partition ends; nullopt when nobody answers.
  std::optional<int64_t> AskEnd(int32_t partition) {
    int64_t low = 0, high = 0;
    const int64_t begin_us = NowUs();
    if (consumer_->query_watermark_offsets(given_.topic, partition, &low, &high, kAskMs) !=
        RdKafka::ERR_NO_ERROR)
      return std::nullopt;
    history_.Add(partition, begin_us, "ok", "\"end\": {\"end\": " + std::to_string(high) + "}");
    return high;
  }
  int64_t position(int32_t partition) const { return places_.at(partition).to; }

 private:
  struct PlaceRead {
    int64_t begin_us = 0;
    int64_t from = 0, to = 0;
    bool first = true;
    std::string records;
  };

  void EndPoll(int32_t partition, PlaceRead& place) {
    if (!place.records.empty()) {
      history_.Add(partition, place.begin_us, "ok",
                   "\"poll\": {\"from\": " + std::to_string(place.from) + ", \"to\": " +
                       std::to_string(place.to) + (place.first ? ", \"sought\": true" : "") +
                       ", \"records\": [" + place.records + "]}");
      place.first = false;
    }
    place.from = place.to;
    place.records.clear();
    place.begin_us = NowUs();
  }

  const Arguments& given_;
  History& history_;
  const std::string group_;
  std::unique_ptr<RdKafka::KafkaConsumer> consumer_;
  std::map<int32_t, PlaceRead> places_;
};

int Follow(const Arguments& given, History& history) {
  Reader reader(given, history);
  int32_t next = 0;
  for (int64_t asked_us = NowUs(); !StdinClosed();) {
    reader.Consume(20);
    if (NowUs() - asked_us < kPollUsMax) continue;
    reader.Commit(next);
    reader.AskEnd(next);
    next = (next + 1) % given.partitions;
    asked_us = NowUs();
  }
  reader.EndPolls();
  return 0;
}

int Read(const Arguments& given, History& history) {
  const int64_t deadline_us = NowUs() + kFinishMs * 1000;
  Reader reader(given, history);
  for (int32_t i = 0; i < given.partitions; ++i) {
    std::optional<int64_t> end;
    while (!end.has_value()) {
      if (NowUs() > deadline_us) Fail("partition " + std::to_string(i) + " does not tell its end");
      end = reader.AskEnd(i);
    }
    while (reader.position(i) < *end) {
      if (NowUs() > deadline_us)
        Fail("partition " + std::to_string(i) + " is read to " +
             std::to_string(reader.position(i)) + ", though it ends at " + std::to_string(*end));
      reader.Consume(20);
    }
  }
  reader.EndPolls();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  static const std::map<std::string, int (*)(const Arguments&, History&)> kModes = {
      {"produce", &Produce}, {"follow", &Follow}, {"read", &Read}};
  if (argc != 7 || !kModes.contains(argv[1])) {
    std::fprintf(stderr,
                 "usage: chaos_client produce|follow|read BOOTSTRAP TOPIC PARTITIONS CLIENT "
                 "HISTORY\n");
    return 2;
  }
  const Arguments given{argv[1], argv[2], argv[3], std::atoi(argv[4]), std::atoll(argv[5]),
                        argv[6]};
  History history(given);
  return kModes.at(given.mode)(given, history);
}
