#pragma once
// LogFixture: a Log on a simulated disk, with the few verbs that its tests are written in.
//
// Thread rule: one thread.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/testing/sim_clock.h"
#include "base/testing/sim_file_system.h"
#include "storage/log.h"
#include "storage/testing/test_batches.h"

namespace sluice::storage::testing {

inline constexpr char kLogDirectory[] = "/data/orders-0";

// One stored batch as a reader sees it.
struct SeenBatch {
  int64_t base = 0;
  int64_t last = 0;
  int32_t epoch = 0;
  uint64_t bytes = 0;
  friend bool operator==(const SeenBatch&, const SeenBatch&) = default;
};
std::ostream& operator<<(std::ostream& out, const SeenBatch& batch);

class LogFixture : public ::testing::Test {
 protected:
  LogFixture();

  LogOptions Options() const;
  // Opens (again) with `options`; the test fails when that does.
  void Open(LogOptions options);
  void Open() { Open(Options()); }
  // The process is killed and starts again: `recovery_point` and the page cache survive.
  void Kill(Offset recovery_point = Offset(0));
  void CloseAndReopen();

  // Appends as leader and returns the first offset; the test fails on any refusal.
  Offset Append(const BatchSpec& spec = {}, int32_t epoch = 0);
  void Flush();
  // All batches in [from, upto) by reads of at most `size_bytes_max`.
  std::vector<SeenBatch> ReadAll(Offset from, Offset upto = Offset(INT64_MAX),
                                 size_t size_bytes_max = 1 << 20);
  std::vector<std::string> Files();
  uint64_t FileSize(const std::string& name);
  std::string FileBytes(const std::string& name);

  ::sluice::testing::SimFileSystem fs_;
  ::sluice::testing::SimClock clock_;
  LogConfig config_;
  std::unique_ptr<Log> log_;
};

// The bytes of a read, slices joined.
std::string BytesOf(const ReadResult& read);
// For disks that may fail.
Result<std::string> ReadBytesOf(const ReadResult& read);
// The whole batches in `bytes`; a partial one at the end is left out. CHECKs each checksum.
std::vector<SeenBatch> BatchesIn(std::string_view bytes);

}  // namespace sluice::storage::testing
