#include "storage/batch_header.h"

#include <limits>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "kafka/record_batch.h"

namespace sluice::storage {
namespace {

namespace at = kafka::batch_layout;

template <typename T>
T Field(std::string_view bytes, size_t offset) {
  return LoadBigEndian<T>(bytes.data() + offset);
}

}  // namespace

int32_t BatchHeader::last_sequence() const {
  if (base_sequence == kNoSequence) return kNoSequence;
  constexpr int64_t kModulus = int64_t{std::numeric_limits<int32_t>::max()} + 1;
  return static_cast<int32_t>((int64_t{base_sequence} + last_offset_delta()) % kModulus);
}

std::optional<BatchHeader> BatchHeader::Parse(std::string_view bytes) {
  if (bytes.size() < kBytes || bytes[at::kMagic] != kafka::kMagicV2) return std::nullopt;
  constexpr int32_t kLengthMin = static_cast<int32_t>(kBytes - at::kLogOverhead);
  constexpr int32_t kLengthMax =
      std::numeric_limits<int32_t>::max() - static_cast<int32_t>(at::kLogOverhead);
  const auto base = Field<int64_t>(bytes, at::kBaseOffset);
  const auto length = Field<int32_t>(bytes, at::kBatchLength);
  const auto last_delta = Field<int32_t>(bytes, at::kLastOffsetDelta);
  BatchHeader header;
  header.record_count = Field<int32_t>(bytes, at::kRecordCount);
  const bool sane = base >= 0 && length >= kLengthMin && length <= kLengthMax && last_delta >= 0 &&
                    base <= std::numeric_limits<int64_t>::max() - last_delta - 1 &&
                    header.record_count >= 0;
  if (!sane) return std::nullopt;
  header.base_offset = Offset(base);
  header.last_offset = Offset(base + last_delta);
  header.size_bytes = static_cast<uint32_t>(length) + at::kLogOverhead;
  header.leader_epoch = LeaderEpoch(Field<int32_t>(bytes, at::kPartitionLeaderEpoch));
  header.crc = Field<uint32_t>(bytes, at::kCrc);
  header.attributes = Field<int16_t>(bytes, at::kAttributes);
  header.base_timestamp_ms = Field<int64_t>(bytes, at::kBaseTimestamp);
  header.max_timestamp_ms = Field<int64_t>(bytes, at::kMaxTimestamp);
  header.producer_id = ProducerId(Field<int64_t>(bytes, at::kProducerId));
  header.producer_epoch = Field<int16_t>(bytes, at::kProducerEpoch);
  header.base_sequence = Field<int32_t>(bytes, at::kBaseSequence);
  return header;
}

bool BatchChecksumHolds(std::string_view batch) {
  if (batch.size() < BatchHeader::kBytes) return false;
  return Field<uint32_t>(batch, at::kCrc) == Crc32c(batch.substr(at::kAttributes));
}

}  // namespace sluice::storage
