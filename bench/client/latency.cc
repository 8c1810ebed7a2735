// latency: records at a fixed rate, each timed from the instant at which it was due, so that a
// server that stands still is charged with all that came due meanwhile (no coordinated omission),
// until it is acknowledged and until a consumer at the end of the topic has it.

#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <thread>

#include "bench/client/client.h"

namespace sluice::bench {
namespace {

using std::chrono::nanoseconds;

// At the start of each value; the rest is filler.
struct Stamp {
  int64_t run;     // tells this run's records from an earlier one's
  int64_t number;  // from 0; those of the warm-up are below zero
  int64_t due_ns;  // by the steady clock
};

int64_t NowNs() { return nanoseconds(Clock::now().time_since_epoch()).count(); }

void SleepUntil(int64_t at_ns) {
  const timespec at = {.tv_sec = at_ns / 1'000'000'000, .tv_nsec = at_ns % 1'000'000'000};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) != 0) {
  }
}

double MsSince(int64_t then_ns) { return static_cast<double>(NowNs() - then_ns) / 1e6; }

// Written by librdkafka's callback, on the thread that polls.
struct Acknowledged {
  std::vector<double> ms;
  int64_t failed = 0;
};

void NoteAcknowledged(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
  auto& acknowledged = *static_cast<Acknowledged*>(opaque);
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    ++acknowledged.failed;
    return;
  }
  Stamp stamp;
  std::memcpy(&stamp, message->payload, sizeof stamp);
  if (stamp.number >= 0) acknowledged.ms.push_back(MsSince(stamp.due_ns));
}

struct Shape {
  int64_t rate = 0;  // records a second
  int64_t warm = 0;  // records
  int64_t records = 0;
  size_t record_bytes = 0;
  int32_t partitions = 0;
};

// The thread that sends. It never waits for an answer.
class Sender {
 public:
  Sender(const Arguments& arguments, const Shape& shape) : shape_(shape), run_(getpid()) {
    rd_kafka_conf_t* conf =
        NewConf({{"bootstrap.servers", arguments.Text("bootstrap")},
                 {"acks", arguments.Text("acks", "all")},
                 {"linger.ms", arguments.Text("linger_ms", "0")},
                 {"enable.idempotence", arguments.Number("idempotence", 0) != 0 ? "true" : "false"},
                 {"socket.nagle.disable", "true"},
                 {"queue.buffering.max.messages", "2000000"}});
    rd_kafka_conf_set_dr_msg_cb(conf, NoteAcknowledged);
    rd_kafka_conf_set_opaque(conf, &acknowledged_);
    handle_ = NewHandle(RD_KAFKA_PRODUCER, conf);
    topic_ = NewTopic(handle_, arguments.Text("topic"));
  }

  void Run() {
    prctl(PR_SET_TIMERSLACK, 1);  // ns; the default of 50 us would be in every latency
    std::string value(std::max(shape_.record_bytes, sizeof(Stamp)), 'v');
    const int64_t interval_ns = 1'000'000'000 / shape_.rate;
    const int64_t start_ns = NowNs() + interval_ns;
    for (int64_t i = 0; i < shape_.warm + shape_.records; ++i) {
      const Stamp stamp = {run_, i - shape_.warm, start_ns + i * interval_ns};
      SleepUntil(stamp.due_ns);
      if (stamp.number >= 0) late_ms_.push_back(MsSince(stamp.due_ns));
      std::memcpy(value.data(), &stamp, sizeof stamp);
      const int32_t partition = static_cast<int32_t>(i % shape_.partitions);
      Require(rd_kafka_produce(topic_.get(), partition, RD_KAFKA_MSG_F_COPY, value.data(),
                               value.size(), nullptr, 0, nullptr) == 0,
              "a record was refused");
    }
    done_ = true;
  }

  // On a thread of its own, until all was sent and answered or `drain_s` after.
  void Poll(double drain_s) {
    while (!done_) rd_kafka_poll(handle_.get(), 10);
    rd_kafka_flush(handle_.get(), static_cast<int>(drain_s * 1000));
  }

  int64_t run() const { return run_; }
  bool done() const { return done_; }
  // The rest once both threads have ended.
  const std::vector<double>& late_ms() const { return late_ms_; }
  const Acknowledged& acknowledged() const { return acknowledged_; }

 private:
  Shape shape_;
  int64_t run_;
  std::atomic<bool> done_{false};
  std::vector<double> late_ms_;
  Acknowledged acknowledged_;
  Handle handle_;
  Topic topic_;
};

// What the consumer saw of this run, on the main thread.
class Receiver {
 public:
  Receiver(const Reader& reader, const Sender& sender, const Shape& shape)
      : reader_(reader), sender_(sender), shape_(shape) {}

  // Until all came, or `drain_s` after the last was sent.
  void Run(double drain_s) {
    const auto all_came = [&] { return static_cast<int64_t>(ms_.size()) >= shape_.records; };
    std::optional<Clock::time_point> sent;
    while (!all_came() && (!sent || SecondsSince(*sent) < drain_s)) {
      if (!sent && sender_.done()) sent = Clock::now();
      rd_kafka_message_t* message = rd_kafka_consume_queue(reader_.queue.get(), 100);
      if (message == nullptr) continue;
      if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) Take(*message);
      rd_kafka_message_destroy(message);
    }
  }
  const std::vector<double>& ms() const { return ms_; }
  bool warm() const { return warm_; }
  double seconds() const { return SecondsSince(begin_); }

 private:
  void Take(const rd_kafka_message_t& message) {
    Stamp stamp;
    if (message.len < sizeof stamp) return;
    std::memcpy(&stamp, message.payload, sizeof stamp);
    if (stamp.run != sender_.run()) return;
    warm_ = warm_ || stamp.number < 0;
    if (stamp.number < 0) return;
    ms_.push_back(MsSince(stamp.due_ns));
    if (ms_.size() > 1) return;
    begin_ = Clock::now();
    PrintBegin();
  }

  const Reader& reader_;
  const Sender& sender_;
  Shape shape_;
  bool warm_ = false;
  Clock::time_point begin_ = Clock::now();
  std::vector<double> ms_;
};

}  // namespace

int RunLatency(const Arguments& arguments) {
  const int64_t rate = arguments.Number("rate");
  const Shape shape = {.rate = rate,
                       .warm = rate * arguments.Number("warm_seconds", 2),
                       .records = rate * arguments.Number("seconds"),
                       .record_bytes = static_cast<size_t>(arguments.Number("record_bytes")),
                       .partitions = static_cast<int32_t>(arguments.Number("partitions", 1))};
  const double drain_s = static_cast<double>(arguments.Number("drain_seconds", 20));
  const Reader reader(arguments, arguments.Text("topic"), RD_KAFKA_OFFSET_END);
  Sender sender(arguments, shape);
  arguments.RequireAllUsed();
  Receiver receiver(reader, sender, shape);
  std::thread sending([&] { sender.Run(); });
  std::thread polling([&] { sender.Poll(drain_s); });
  receiver.Run(drain_s);
  const double seconds = receiver.seconds();
  sending.join();
  polling.join();
  Require(receiver.warm(), "the consumer did not reach the end of the topic during the warm-up");
  const auto received = static_cast<int64_t>(receiver.ms().size());
  // What did not come counts with the time for which it was waited for at the least.
  std::vector<double> end_to_end_ms = receiver.ms();
  end_to_end_ms.resize(static_cast<size_t>(shape.records), drain_s * 1000);
  PrintFigures({{"records", received},
                {"missing", shape.records - received},
                {"failed", sender.acknowledged().failed},
                {"bytes", received * static_cast<int64_t>(shape.record_bytes)},
                {"seconds", seconds},
                {"end_to_end_ms", Quantiles(end_to_end_ms)},
                {"acknowledged_ms", Quantiles(sender.acknowledged().ms)},
                {"late_ms", Quantiles(sender.late_ms())}});
  return 0;
}

}  // namespace sluice::bench
