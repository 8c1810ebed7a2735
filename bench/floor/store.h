#pragma once
// Store: the topics of the bare server. A partition is a row of files, each of batches as they
// came; where they stand is kept in memory only. Nothing is recovered, flushed, indexed by time or
// replicated: it is what any broker does at the least.
//
// Thread rule: any thread; the store has a mutex for the table of topics, each partition one for
// its own state.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "kafka/records.h"

namespace sluice::bench {

struct TopicShape {
  int32_t partitions = 1;
  uint64_t segment_bytes = uint64_t{1} << 30;
  uint64_t retention_bytes = UINT64_MAX;
};

class FloorPartition {
 public:
  FloorPartition(FileSystem& files, std::string directory, const TopicShape& shape);

  // Checks the CRC of the one batch, gives it its offsets and writes it; nullopt for a damaged one.
  std::optional<int64_t> Append(std::span<char> batch);
  struct Ends {
    int64_t first = 0;
    int64_t next = 0;
  };
  Ends ends() const;
  // File ranges of whole batches from the one with `offset` on, at least one, about `bytes_max`.
  kafka::Records Read(int64_t offset, uint64_t bytes_max) const;

 private:
  struct BatchPlace {
    int64_t base_offset = 0;
    uint64_t position = 0;
  };
  struct Segment {
    std::string path;
    std::shared_ptr<File> file;
    uint64_t size_bytes = 0;
    std::vector<BatchPlace> batches;
  };

  // With mutex_ held.
  void Roll();
  void DropOld();

  FileSystem& files_;
  const std::string directory_;
  const TopicShape shape_;
  mutable std::mutex mutex_;  // guards all below
  std::vector<std::shared_ptr<Segment>> segments_;
  uint64_t size_bytes_ = 0;
  int64_t first_offset_ = 0;
  int64_t next_offset_ = 0;
};

class Store {
 public:
  explicit Store(std::string directory);

  using Topic = std::vector<std::unique_ptr<FloorPartition>>;
  // False when it is there already.
  bool Create(const std::string& name, const TopicShape& shape);
  // Whoever uses it keeps it until they let go.
  void Delete(const std::string& name);
  // nullptr for one that does not exist.
  std::shared_ptr<Topic> Find(const std::string& name) const;
  // nullptr likewise.
  FloorPartition* Find(const std::shared_ptr<Topic>& topic, int32_t partition) const;
  std::vector<std::string> names() const;

 private:
  const std::string directory_;
  std::unique_ptr<FileSystem> files_;
  mutable std::mutex mutex_;  // guards all below
  std::map<std::string, std::shared_ptr<Topic>> topics_;
};

}  // namespace sluice::bench
