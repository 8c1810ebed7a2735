#pragma once
// InspectFixture: a log directory that a LogManager filled and closed, on a simulated disk, for
// tests of the tools that look at its files; and the ways to damage them.
//
// Thread rule: one thread.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/testing/sim_clock.h"
#include "base/testing/sim_file_system.h"
#include "storage/inspect/repair_indexes.h"
#include "storage/inspect/verify_directory.h"
#include "storage/log_manager.h"

namespace sluice::storage::testing {

inline constexpr char kDataDirectory[] = "/data";
inline constexpr char kFirstLog[] = "00000000000000000000.log";

class InspectFixture : public ::testing::Test {
 protected:
  InspectFixture();

  // As a server's start does, after whatever the last stop left.
  void OpenManager();
  // A partition of several segments, three leader epochs and one producer, of records that differ
  // with `seed`. Its directory's name.
  std::string Fill(const std::string& topic, int32_t partition, uint64_t seed);
  // Stops cleanly: no server has the directory from here on.
  void Stop();
  // Two partitions, stopped.
  void FillTwo();

  std::vector<Finding> Verify(const std::string& directory = kDataDirectory,
                              VerifyOptions options = {});
  // Only what is wrong, as lines "file@position: problem".
  std::vector<std::string> Faults(const std::string& directory = kDataDirectory);
  RepairTotals Repair(const std::string& directory, bool dry_run = false);

  // Names of the partition's files with this suffix, ascending.
  std::vector<std::string> Names(const std::string& partition, std::string_view suffix);
  // The path of the n-th of them; counted from the end when negative.
  std::string Path(const std::string& partition, std::string_view suffix, int n = 0);
  std::string Bytes(const std::string& path);
  void Write(const std::string& path, std::string_view bytes);  // all of the file
  void Overwrite(const std::string& path, uint64_t position, std::string_view bytes);
  void Swap(const std::string& one, const std::string& other);
  // Every file below the directory with its bytes.
  std::vector<std::pair<std::string, std::string>> Everything();

  ::sluice::testing::SimFileSystem fs_;
  ::sluice::testing::SimClock clock_;
  Random random_{4};
  LogConfig config_;
  std::unique_ptr<LogManager> manager_;
};

}  // namespace sluice::storage::testing
