// produce: as fast as it goes, by any number of producers that one thread feeds in turn.

#include <algorithm>

#include "bench/client/client.h"

namespace sluice::bench {
namespace {

// Records that a producer is given before the next one has its turn.
constexpr int kRecordsInTurn = 64;
constexpr int kFlushMsMax = 300000;

// Only failures are reported: a report for each record would cost the client, which shares the
// processors with the servers, more than the record.
void CountFailure(rd_kafka_t*, const rd_kafka_message_t* message, void* failures) {
  *static_cast<int64_t*>(failures) += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

class Producers {
 public:
  explicit Producers(const Arguments& arguments)
      : record_bytes_(static_cast<size_t>(arguments.Number("record_bytes"))),
        payload_(record_bytes_, arguments.Number("half_compressible", 0) != 0) {
    const int64_t count = arguments.Number("producers", 1);
    const int64_t queue_kib = std::max<int64_t>(262144 / count, 8192);
    const Settings settings = {
        {"bootstrap.servers", arguments.Text("bootstrap")},
        {"acks", arguments.Text("acks", "all")},
        {"enable.idempotence", arguments.Number("idempotence", 0) != 0 ? "true" : "false"},
        {"compression.type", arguments.Text("compression", "none")},
        {"linger.ms", arguments.Text("linger_ms", "5")},
        {"batch.size", arguments.Text("batch_bytes", "131072")},
        {"queue.buffering.max.kbytes", std::to_string(queue_kib)},
        {"queue.buffering.max.messages", "1000000"},
        {"delivery.report.only.error", "true"}};
    const std::string topic = arguments.Text("topic");
    for (int64_t i = 0; i < count; ++i) {
      rd_kafka_conf_t* conf = NewConf(settings);
      rd_kafka_conf_set_dr_msg_cb(conf, CountFailure);
      rd_kafka_conf_set_opaque(conf, &failures_);
      handles_.push_back(NewHandle(RD_KAFKA_PRODUCER, conf));
      topics_.push_back(NewTopic(handles_.back(), topic));
    }
  }

  // Returns when so many records are acknowledged.
  void Produce(int64_t records) {
    for (int64_t sent = 0; sent < records;) {
      int64_t taken = 0;
      for (size_t i = 0; i < handles_.size() && sent + taken < records; ++i)
        taken += Turn(i, std::min<int64_t>(kRecordsInTurn, records - sent - taken));
      if (taken == 0) rd_kafka_poll(handles_.front().get(), 1);
      sent += taken;
    }
    for (const Handle& handle : handles_) {
      Require(rd_kafka_flush(handle.get(), kFlushMsMax) == RD_KAFKA_RESP_ERR_NO_ERROR,
              "records were not acknowledged in time");
    }
    Require(failures_ == 0, "records were refused");
  }

 private:
  // How many of `records` the producer had room for.
  int64_t Turn(size_t producer, int64_t records) {
    int64_t taken = 0;
    while (taken < records &&
           rd_kafka_produce(topics_[producer].get(), RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                            const_cast<char*>(payload_.Next()), record_bytes_, nullptr, 0,
                            nullptr) == 0) {
      ++taken;
    }
    rd_kafka_poll(handles_[producer].get(), 0);
    Require(taken == records || rd_kafka_last_error() == RD_KAFKA_RESP_ERR__QUEUE_FULL,
            "a record was refused");
    return taken;
  }

  size_t record_bytes_;
  Payload payload_;
  int64_t failures_ = 0;
  std::vector<Handle> handles_;
  std::vector<Topic> topics_;
};

}  // namespace

int RunProduce(const Arguments& arguments) {
  const int64_t record_bytes = arguments.Number("record_bytes");
  const auto records_of = [&](int64_t mib) { return (mib << 20) / record_bytes; };
  const int64_t records = records_of(arguments.Number("mib"));
  const int64_t warm = records_of(arguments.Number("warm_mib", 8));
  Producers producers(arguments);
  arguments.RequireAllUsed();
  producers.Produce(warm);
  PrintBegin();
  const Clock::time_point start = Clock::now();
  producers.Produce(records);
  PrintFigures(
      {{"records", records}, {"bytes", records * record_bytes}, {"seconds", SecondsSince(start)}});
  return 0;
}

}  // namespace sluice::bench
