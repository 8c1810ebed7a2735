#include "kafka/record_batch.h"

#include <limits>

#include "base/crc32c.h"

namespace sluice::kafka {
namespace {

using namespace batch_layout;  // NOLINT: the names of this file's subject

// Sums of numbers that a client chose: they wrap instead of being undefined.
int64_t WrappingAdd(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

// Reads a length that may be -1 for null, and the bytes. False when that is malformed.
bool ReadNullable(ByteReader& reader, std::optional<std::string_view>& out) {
  const int32_t size = reader.ReadVarint();
  out.reset();
  if (size < -1) reader.Fail();
  if (size >= 0) out = reader.ReadBytes(static_cast<size_t>(size));
  return reader.ok();
}

bool ReadHeader(ByteReader& reader, RecordHeader& header) {
  const int32_t size = reader.ReadVarint();
  if (size < 0) reader.Fail();
  header.key = reader.ReadBytes(size < 0 ? 0 : static_cast<size_t>(size));
  return ReadNullable(reader, header.value);
}

}  // namespace

int32_t IncrementSequence(int32_t sequence, int32_t increment) {
  constexpr int64_t kRing = int64_t{std::numeric_limits<int32_t>::max()} + 1;
  return static_cast<int32_t>((int64_t{sequence} + increment) % kRing);
}

Result<RecordBatchView> RecordBatchView::Parse(std::string_view bytes) {
  if (bytes.size() <= kMagic) return Status::OutOfRange("a record batch is cut short");
  const auto length = LoadBigEndian<int32_t>(bytes.data() + kBatchLength);
  const int magic = static_cast<int8_t>(bytes[kMagic]);
  if (magic < 0 || magic > kMagicV2) {
    return Status::Corruption("record batch with magic " + std::to_string(magic));
  }
  // Nor is a run of zeros an old batch: the oldest format takes 14 bytes after the length.
  constexpr int32_t kOldLengthMin = 14;
  if (length < kOldLengthMin) {
    return Status::Corruption("record batch with length " + std::to_string(length));
  }
  if (magic < kMagicV2) {
    return Status::Unsupported("record batch with magic " + std::to_string(magic) +
                               "; only version 2 is read");
  }
  if (length < static_cast<int32_t>(kBatchOverhead - kLogOverhead)) {
    return Status::Corruption("record batch with length " + std::to_string(length));
  }
  const size_t size = kLogOverhead + static_cast<size_t>(length);
  if (size > bytes.size()) return Status::OutOfRange("a record batch is cut short");
  return RecordBatchView(bytes.substr(0, size));
}

int32_t RecordBatchView::last_sequence() const {
  const int32_t base = base_sequence();
  return base < 0 ? -1 : IncrementSequence(base, last_offset_delta());
}

Status RecordBatchView::CheckCrc() const {
  const uint32_t computed = Crc32c(data_.substr(kAttributes));
  if (computed == crc()) return Status::Ok();
  return Status::Corruption("record batch at offset " + std::to_string(base_offset().value()) +
                            " has CRC " + std::to_string(crc()) + ", its bytes give " +
                            std::to_string(computed));
}

void SetBaseOffset(char* batch, Offset offset) {
  StoreBigEndian(batch + kBaseOffset, offset.value());
}

void SetPartitionLeaderEpoch(char* batch, LeaderEpoch epoch) {
  StoreBigEndian(batch + kPartitionLeaderEpoch, epoch.value());
}

void SetMaxTimestampAndType(char* batch, size_t size_bytes, int64_t timestamp_ms,
                            TimestampType type) {
  auto attributes = LoadBigEndian<int16_t>(batch + kAttributes);
  attributes =
      static_cast<int16_t>(type == TimestampType::kLogAppendTime ? attributes | kTimestampTypeBit
                                                                 : attributes & ~kTimestampTypeBit);
  StoreBigEndian(batch + kAttributes, attributes);
  StoreBigEndian(batch + kMaxTimestamp, timestamp_ms);
  StoreBigEndian(batch + kCrc, Crc32c({batch + kAttributes, size_bytes - kAttributes}));
}

Result<std::optional<RecordBatchView>> BatchIterator::Next() {
  if (position_ == bytes_.size()) return std::optional<RecordBatchView>();
  Result<RecordBatchView> batch = RecordBatchView::Parse(bytes_.substr(position_));
  if (!batch.ok()) {
    if (batch.status().code() == StatusCode::kOutOfRange) return std::optional<RecordBatchView>();
    return batch.status();
  }
  position_ += batch->size_bytes();
  return std::optional<RecordBatchView>(*batch);
}

std::vector<RecordHeader> Record::Headers() const {
  std::vector<RecordHeader> headers(static_cast<size_t>(header_count));
  ByteReader reader(header_bytes);
  for (RecordHeader& header : headers) CHECK(ReadHeader(reader, header));
  return headers;
}

RecordIterator::RecordIterator(const RecordBatchView& batch, std::string_view records)
    : base_offset_(batch.base_offset().value()),
      base_timestamp_(batch.base_timestamp()),
      record_count_(batch.record_count()),
      reader_(records) {
  if (batch.timestamp_type() == TimestampType::kLogAppendTime) {
    append_time_ms_ = batch.max_timestamp();
  }
}

bool RecordIterator::Next(Record& record) {
  if (!status_.ok()) return false;
  if (index_ == record_count_) {
    if (reader_.remaining() == 0) return false;
    return Fail("bytes are left after the last one");
  }
  const int32_t size = reader_.ReadVarint();
  if (!reader_.ok() || size < 0 || static_cast<size_t>(size) > reader_.remaining()) {
    return Fail("its length does not fit");
  }
  ByteReader body(reader_.ReadBytes(static_cast<size_t>(size)));
  if (!ReadBody(body, record)) return Fail("its fields do not fit");
  if (body.remaining() != 0) return Fail("bytes are left after its headers");
  ++index_;
  return true;
}

bool RecordIterator::ReadBody(ByteReader& body, Record& record) {
  body.ReadInt8();  // attributes: none are defined
  const int64_t timestamp_delta = body.ReadVarlong();
  record.offset_delta = body.ReadVarint();
  record.offset = Offset(WrappingAdd(base_offset_, record.offset_delta));
  record.timestamp_ms = append_time_ms_.value_or(WrappingAdd(base_timestamp_, timestamp_delta));
  if (!ReadNullable(body, record.key) || !ReadNullable(body, record.value)) return false;
  constexpr size_t kHeaderBytesMin = 2;
  const int32_t header_count = body.ReadVarint();
  record.header_count = header_count == 0 ? 0 : body.CheckedCount(header_count, kHeaderBytesMin);
  record.header_bytes = {};
  if (!body.ok() || record.header_count < 0) return false;
  if (record.header_count == 0) return true;
  const size_t headers_start = body.position();
  ByteReader headers = body;
  for (int32_t i = 0; i < record.header_count; ++i) {
    RecordHeader header;
    if (!ReadHeader(headers, header)) return false;
  }
  record.header_bytes = body.ReadBytes(headers.position() - headers_start);
  return true;
}

bool RecordIterator::Fail(std::string_view why) {
  status_ =
      Status::Corruption("record " + std::to_string(index_) + " of " +
                         std::to_string(record_count_) + " is malformed: " + std::string(why));
  return false;
}

Result<std::string_view> PlainRecords(const RecordBatchView& batch, size_t size_limit_bytes,
                                      std::string& storage) {
  if (batch.codec() == Codec::kNone) return batch.records();
  SLUICE_ASSIGN_OR_RETURN(storage, Decompress(batch.codec(), batch.records(), size_limit_bytes));
  return std::string_view(storage);
}

}  // namespace sluice::kafka
