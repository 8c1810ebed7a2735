#pragma once
// FsyncSince: what a topic's durability was. A replica on whose disk everything acknowledged must
// be is one whose records were acknowledged under fsync: all since fsync is in force without
// interruption, and those of before if its broker has flushed them since
// (BrokerImage::synced_index; docs/decisions/0019-durability-that-was.md).
//
// It follows from the records, in the order of the log. A topic that is made with fsync, by its own
// value or by the default, is so since 0: nothing was ever acknowledged otherwise. Going over from
// one to the other of these two values interrupts nothing.
//
// Thread rule: pure functions over immutable values.

#include <memory>
#include <optional>
#include <string>

#include "metadata/image.h"
#include "proto/metadata.pb.h"

namespace sluice::metadata {

using FsyncSincePtr = std::shared_ptr<const FsyncSince>;

// Nothing when it is replicated, or when nothing is known.
std::optional<LogIndex> FsyncSinceOfTopic(const Image& image, const std::string& topic);

// Whether a broker that has synced up to `now` is to be trusted with topics with which it was not
// at `before`.
bool SyncedMore(const Image& image, LogIndex before, LogIndex now);

// ---- For replay and snapshots

FsyncSinceRecord ToRecord(const FsyncSince& since);
FsyncSincePtr FsyncSinceOf(const FsyncSinceRecord& record);
// Where nothing was known before the entry at `index`.
FsyncSincePtr FsyncSinceFrom(const Image& image, LogIndex index);
FsyncSincePtr WithoutTopic(const FsyncSincePtr& since, const std::string& topic);

// A record that may change a durability: made of the image before it, asked of the one after it.
class DurabilityChange {
 public:
  DurabilityChange(const Image& before, const ConfigRecord& record);
  struct Entry {
    LogIndex index;
    bool made_now;  // the same entry has made the topic: it never was anything else
  };
  FsyncSincePtr After(const Image& image, const Entry& entry) const;

 private:
  FsyncSincePtr AfterOfTopic(const Image& image, const Entry& entry) const;
  FsyncSincePtr AfterOfCluster(const Image& image, LogIndex index) const;

  const ConfigRecord& record_;
  enum class Of { kNothing, kTopic, kCluster } of_ = Of::kNothing;
  std::optional<LogIndex> since_;  // before, of the topic or the default
};

}  // namespace sluice::metadata
