#include "kafka/recompression.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "kafka/record_batch.h"

namespace sluice::kafka {
namespace {

namespace layout = batch_layout;

Codec CodecOf(std::string_view batch) {
  CHECK_GE(batch.size(), kBatchOverhead);
  const auto attributes = LoadBigEndian<int16_t>(batch.data() + layout::kAttributes);
  return static_cast<Codec>(attributes & layout::kCodecMask);
}

}  // namespace

bool NeedsRecompression(std::string_view batch, Codec wanted) { return CodecOf(batch) != wanted; }

Result<std::string> Recompress(std::string_view batch, std::string_view inflated,
                               const CompressionChoice& choice) {
  const std::string_view plain =
      CodecOf(batch) == Codec::kNone ? batch.substr(layout::kRecords) : inflated;
  std::string packed;
  if (choice.codec != Codec::kNone) {
    SLUICE_ASSIGN_OR_RETURN(packed, Compress(choice.codec, choice.level, plain));
  }
  const std::string_view records = choice.codec == Codec::kNone ? plain : packed;
  if (records.size() > static_cast<size_t>(INT32_MAX) - kBatchOverhead)
    return Status::ResourceExhausted("a batch cannot hold " + std::to_string(records.size()) +
                                     " bytes of records");

  std::string out;
  out.reserve(kBatchOverhead + records.size());
  out.append(batch.substr(0, kBatchOverhead)).append(records);
  auto attributes = LoadBigEndian<int16_t>(out.data() + layout::kAttributes);
  attributes =
      static_cast<int16_t>((attributes & ~layout::kCodecMask) | static_cast<int16_t>(choice.codec));
  StoreBigEndian(out.data() + layout::kAttributes, attributes);
  StoreBigEndian(out.data() + layout::kBatchLength,
                 static_cast<int32_t>(out.size() - layout::kLogOverhead));
  StoreBigEndian(out.data() + layout::kCrc,
                 Crc32c(std::string_view(out).substr(layout::kAttributes)));
  return out;
}

}  // namespace sluice::kafka
