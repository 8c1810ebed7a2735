#pragma once
// Recompression: a client's batch with its records packed by another codec, as a topic with
// compression.type other than producer stores them. Only the codec and the bytes of the records
// change; offset deltas, timestamps, headers, producer and sequence stay.
//
//   const BatchVerdict verdict = ValidateBatch(records, rules);   // with rules.stored_codec
//   if (NeedsRecompression(records, Codec::kZstd))
//     stored = Recompress(records, verdict.inflated, {Codec::kZstd, 3});
//
// Thread rule: pure functions.

#include <string>
#include <string_view>

#include "base/status.h"
#include "kafka/compression.h"

namespace sluice::kafka {

struct CompressionChoice {
  Codec codec = Codec::kNone;
  int level = kDefaultCompressionLevel;
};

// REQUIRES: `batch` is exactly one batch that ValidateBatch accepted.
bool NeedsRecompression(std::string_view batch, Codec wanted);

// The same batch, compressed as chosen. `inflated`: its records plain, where it is compressed.
Result<std::string> Recompress(std::string_view batch, std::string_view inflated,
                               const CompressionChoice& choice);

}  // namespace sluice::kafka
