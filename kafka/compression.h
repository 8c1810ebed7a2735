#pragma once
// The four codecs that a record batch may be compressed with, as whole-buffer functions.
// Decompression never gives more than the caller's limit and takes memory only as output appears,
// so a few hostile bytes cannot ask for gigabytes.
//
// Not for streams of unknown length: batches are bounded by max.message.bytes.
//
//   Result<std::string> packed = Compress(Codec::kZstd, kDefaultCompressionLevel, records);
//   Result<std::string> records = Decompress(Codec::kZstd, *packed, 1 << 20);
//
// Thread rule: pure functions; zstd's contexts are kept one a thread.

#include <climits>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>

#include "base/status.h"

namespace sluice::kafka {

// As bits 0 to 2 of a batch's attributes hold it.
enum class Codec : int8_t { kNone = 0, kGzip = 1, kSnappy = 2, kLz4 = 3, kZstd = 4 };

// The batch header may hold 5 to 7 as well, which mean nothing.
constexpr bool IsKnown(Codec codec) { return codec >= Codec::kNone && codec <= Codec::kZstd; }
// "none", "gzip", "snappy", "lz4", "zstd" as in Kafka's configuration; "unknown" otherwise.
std::string_view CodecName(Codec codec);
// kInvalidArgument when there is no codec of that name.
Result<Codec> CodecFromName(std::string_view name);
inline std::ostream& operator<<(std::ostream& out, Codec codec) { return out << CodecName(codec); }

inline constexpr int kDefaultCompressionLevel = INT_MIN;

// `level`: 1 to 9 for gzip, 1 to 17 for lz4, -131072 to 22 for zstd, clamped to these; ignored by
// the others. Snappy comes in the block framing that Java clients write.
Result<std::string> Compress(Codec codec, int level, std::string_view data);

// kCorruption when `data` is no whole stream of that codec, kResourceExhausted when it holds more
// than `size_limit_bytes`. Snappy is read with and without the block framing.
Result<std::string> Decompress(Codec codec, std::string_view data, size_t size_limit_bytes);

}  // namespace sluice::kafka
