#pragma once
// Record batches for tests, in one line each.
//
// Thread rule: pure functions.

#include <cstdint>
#include <string>
#include <vector>

#include "kafka/record_batch_builder.h"

namespace sluice::storage::testing {

struct BatchSpec {
  int records = 1;
  int64_t timestamp_ms =
      1'700'000'000'000;  // of the first; each further record is `timestamp_step_ms` younger
  int64_t timestamp_step_ms = 0;
  size_t value_bytes = 10;
  int64_t producer_id = -1;
  int16_t producer_epoch = -1;
  int32_t base_sequence = -1;
  int64_t base_offset = 0;  // as a client sends it; followers need the real one
  int32_t leader_epoch = -1;
  kafka::Codec codec = kafka::Codec::kNone;
  char fill = 'v';
  int64_t keys_from = -1;  // then each record has a key of its own: of this number, the next...
};

std::string MakeBatch(const BatchSpec& spec = {});

}  // namespace sluice::storage::testing
