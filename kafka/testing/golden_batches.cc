#include "kafka/testing/golden_batches.h"

#include <algorithm>
#include <sstream>

#include "base/crc32c.h"
#include "base/file_system.h"
#include "kafka/record_batch.h"

namespace sluice::kafka::testing {
namespace {

constexpr char kDirectory[] = "testdata/batches";
constexpr size_t kPlainBytesMax = size_t{16} << 20;

std::string Show(const std::optional<std::string_view>& bytes) {
  constexpr size_t kShownBytesMax = 64;
  constexpr std::string_view kDigits = "0123456789abcdef";
  if (!bytes) return "null";
  if (bytes->size() > kShownBytesMax) {
    return std::to_string(bytes->size()) + "bytes/" + std::to_string(Crc32c(*bytes));
  }
  std::string hex;
  for (const char c : *bytes) {
    hex += kDigits[static_cast<uint8_t>(c) >> 4];
    hex += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return hex;
}

std::string Show(const std::vector<RecordHeader>& headers) {
  std::string shown;
  for (const RecordHeader& header : headers) {
    shown += (shown.empty() ? "" : ",") + Show(header.key) + ":" + Show(header.value);
  }
  return "[" + shown + "]";
}

void DescribeBatch(const RecordBatchView& batch, std::ostream& out) {
  const bool append_time = batch.timestamp_type() == TimestampType::kLogAppendTime;
  out << std::boolalpha << "batch base_offset=" << batch.base_offset()
      << " last_offset=" << batch.last_offset() << " size=" << batch.size_bytes()
      << " leader_epoch=" << batch.partition_leader_epoch() << " crc=" << batch.crc()
      << " codec=" << batch.codec()
      << " timestamp_type=" << (append_time ? "LogAppendTime" : "CreateTime")
      << " transactional=" << batch.is_transactional() << " control=" << batch.is_control()
      << " delete_horizon=" << (batch.has_delete_horizon() ? batch.base_timestamp() : -1)
      << " max_timestamp=" << batch.max_timestamp() << " producer_id=" << batch.producer_id()
      << " producer_epoch=" << batch.producer_epoch() << " base_sequence=" << batch.base_sequence()
      << " last_sequence=" << batch.last_sequence() << " count=" << batch.record_count() << '\n';
  std::string storage;
  const Result<std::string_view> plain = PlainRecords(batch, kPlainBytesMax, storage);
  CHECK(plain.ok()) << plain.status().ToString();
  RecordIterator records(batch, *plain);
  Record record;
  while (records.Next(record)) {
    out << "record offset=" << record.offset << " timestamp=" << record.timestamp_ms
        << " key=" << Show(record.key) << " value=" << Show(record.value)
        << " headers=" << Show(record.Headers()) << '\n';
  }
  CHECK(records.status().ok()) << records.status().ToString();
}

}  // namespace

GoldenBatch Golden(const std::string& name) {
  const auto fs = NewPosixFileSystem();
  const std::string path = std::string(kDirectory) + "/" + name;
  Result<std::string> bytes = ReadFile(*fs, path + ".bin");
  Result<std::string> description = ReadFile(*fs, path + ".txt");
  CHECK(bytes.ok()) << bytes.status().ToString();
  CHECK(description.ok()) << description.status().ToString();
  return {name, *std::move(bytes), *std::move(description)};
}

std::vector<GoldenBatch> GoldenBatches() {
  const auto names = NewPosixFileSystem()->List(kDirectory);
  CHECK(names.ok()) << names.status().ToString();
  std::vector<GoldenBatch> all;
  for (const std::string& name : *names) {
    if (name.ends_with(".bin")) all.push_back(Golden(name.substr(0, name.size() - 4)));
  }
  CHECK(!all.empty());
  return all;
}

std::string Describe(std::string_view batches) {
  std::ostringstream out;
  BatchIterator iterator(batches);
  while (true) {
    const Result<std::optional<RecordBatchView>> batch = iterator.Next();
    CHECK(batch.ok()) << batch.status().ToString();
    if (!batch->has_value()) break;
    const Status crc = (*batch)->CheckCrc();
    CHECK(crc.ok()) << crc.ToString();
    DescribeBatch(**batch, out);
  }
  CHECK_EQ(iterator.position(), batches.size());
  return out.str();
}

}  // namespace sluice::kafka::testing
