#pragma once
// The batches of kafka/testdata/batches, which Kafka's own classes wrote
// (tests/compat/vectors/Batches.java), with what those read from them.
//
// Thread rule: for tests, which run in the folder kafka/.

#include <string>
#include <string_view>
#include <vector>

namespace sluice::kafka::testing {

struct GoldenBatch {
  std::string name;
  std::string bytes;        // one or more batches
  std::string description;  // a line a batch, a line a record
};

// All of them, by name.
std::vector<GoldenBatch> GoldenBatches();
// The one of that name. CHECKs that it exists.
GoldenBatch Golden(const std::string& name);

// The same description, made by our code. CHECKs that every batch is whole and right.
std::string Describe(std::string_view batches);

}  // namespace sluice::kafka::testing
