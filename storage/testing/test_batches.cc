#include "storage/testing/test_batches.h"

namespace sluice::storage::testing {

std::string MakeBatch(const BatchSpec& spec) {
  kafka::RecordBatchBuilder builder({.base_offset = Offset(spec.base_offset),
                                     .partition_leader_epoch = LeaderEpoch(spec.leader_epoch),
                                     .codec = spec.codec,
                                     .producer_id = ProducerId(spec.producer_id),
                                     .producer_epoch = spec.producer_epoch,
                                     .base_sequence = spec.base_sequence});
  const std::string value(spec.value_bytes, spec.fill);
  for (int i = 0; i < spec.records; ++i) {
    builder.Append({.timestamp_ms = spec.timestamp_ms + i * spec.timestamp_step_ms,
                    .key = spec.keys_from < 0 ? "k" : "k" + std::to_string(spec.keys_from + i),
                    .value = value});
  }
  auto batch = builder.Build();
  CHECK(batch.ok()) << batch.status().ToString();
  return *batch;
}

}  // namespace sluice::storage::testing
