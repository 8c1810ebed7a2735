// libFuzzer's entry to kafka/fuzz/record_batch_fuzz.h: build with clang and
// -fsanitize=fuzzer,address, start from kafka/testdata/batches.

#include "kafka/fuzz/record_batch_fuzz.h"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::kafka::FuzzRecordBatch({reinterpret_cast<const char*>(data), size});
  return 0;
}
