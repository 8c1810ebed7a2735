// consume: every partition from its beginning, until so many bytes of values came.

#include "bench/client/client.h"

namespace sluice::bench {
namespace {

constexpr size_t kRecordsAtOnce = 1000;
constexpr int kWaitMs = 100;
constexpr double kSilentSecondsMax = 60;

struct Counted {
  int64_t records = 0;
  int64_t bytes = 0;
};

// Reads until `total` has so many bytes, which it may pass by a batch.
void ReadUntil(const Reader& reader, int64_t bytes, Counted& total) {
  std::vector<rd_kafka_message_t*> messages(kRecordsAtOnce);
  Clock::time_point last = Clock::now();
  while (total.bytes < bytes) {
    const ssize_t count =
        rd_kafka_consume_batch_queue(reader.queue.get(), kWaitMs, messages.data(), messages.size());
    Require(count >= 0, "the queue failed");
    for (ssize_t i = 0; i < count; ++i) {
      Require(messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_err2str(messages[i]->err));
      ++total.records;
      total.bytes += static_cast<int64_t>(messages[i]->len);
      rd_kafka_message_destroy(messages[i]);
    }
    if (count > 0) last = Clock::now();
    Require(SecondsSince(last) < kSilentSecondsMax, "the topic has less than was asked for");
  }
}

}  // namespace

int RunConsume(const Arguments& arguments) {
  const int64_t bytes = arguments.Number("mib") << 20;
  const int64_t warm = arguments.Number("warm_mib", 0) << 20;
  const Reader reader(arguments, arguments.Text("topic"), RD_KAFKA_OFFSET_BEGINNING);
  arguments.RequireAllUsed();
  Counted total;
  ReadUntil(reader, warm, total);
  PrintBegin();
  const Counted before = total;
  const Clock::time_point start = Clock::now();
  ReadUntil(reader, bytes, total);
  PrintFigures({{"records", total.records - before.records},
                {"bytes", total.bytes - before.bytes},
                {"seconds", SecondsSince(start)}});
  return 0;
}

}  // namespace sluice::bench
