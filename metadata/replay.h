#pragma once
// Replay: committed records make the next image from the one before. ImageBuilder copies what a
// record touches and shares the rest; Delta says what was touched, so that a broker does work for
// its own partitions only.
//
//   ImageBuilder builder(image);
//   Status applied = builder.ApplyEntry(entry.data, entry.index);
//   CHECK(applied.ok());               // a committed record that does not apply means that nodes
//   would diverge Delta delta = builder.TakeDelta(); image = builder.Build(entry.index,
//   entry.term);
//
// Not for deciding anything: records hold decisions already made (metadata/election.h,
// controller/).
//
// Thread rule: a builder has one owner; images are immutable.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "base/status.h"
#include "metadata/image.h"
#include "proto/metadata.pb.h"

namespace sluice::metadata {

// What a stretch of records changed, by name of the thing; the values are in the images before and
// after.
struct Delta {
  std::map<TopicId, std::string> topics_created;
  std::map<TopicId, std::string> topics_removed;
  std::map<TopicId, std::set<PartitionIndex>>
      partitions;  // new or changed, of topics that exist afterwards
  std::set<NodeId> brokers;
  std::set<std::string> topic_configs;   // topic names
  std::set<std::string> broker_configs;  // broker ids, "" for all
  std::set<std::string> group_configs;   // group ids
  int64_t unclean_elections = 0;         // whose leader may lack acknowledged records
  bool features = false;
};

// Request ids are kept this long, counted in the times that the records carry, and at most this
// many.
inline constexpr int64_t kRequestKeptMs = 5 * 60 * 1000;
inline constexpr size_t kRequestsMax = 1000;

class ImageBuilder {
 public:
  enum class Tracks { kChanges, kNothing };  // kNothing: the delta stays empty
  explicit ImageBuilder(ImagePtr base, Tracks tracks = Tracks::kChanges);

  // Applies one record of the entry at `index`. kCorruption when it contradicts the image; the
  // builder is useless then.
  Status Apply(const MetadataRecord& record, LogIndex index);
  Status ApplyBatch(const MetadataBatch& batch, LogIndex index);
  // `data` is a serialised MetadataBatch, or empty for an entry without records.
  Status ApplyEntry(std::string_view data, LogIndex index);

  const Delta& delta() const { return delta_; }
  Delta TakeDelta() { return std::move(delta_); }
  // The image with all that was applied; the builder goes on from it.
  ImagePtr Build(LogIndex index, Term term);

 private:
  Status ApplyRegister(const RegisterBrokerRecord& record, LogIndex index);
  Status ApplyBrokerChange(const BrokerChangeRecord& record);
  Status ApplyTopic(const TopicRecord& record, LogIndex index);
  Status ApplyRemoveTopic(const RemoveTopicRecord& record);
  Status ApplyPartition(const PartitionRecord& record);
  Status ApplyPartitionChange(const PartitionChangeRecord& record);
  Status ApplyConfig(const ConfigRecord& record, LogIndex index);
  void ApplyFsyncSince(const FsyncSinceRecord& record, LogIndex index);
  Status ApplyRequestId(const RequestIdRecord& record);
  Status ApplyQuorum(const QuorumRecord& record);
  // The topic for change, copied from the base at its first touch; null when there is none of this
  // id.
  TopicImage* MutableTopic(const TopicId& id);

  // A table of next_ for change: copied at its first change since the image was given out.
  template <typename Table>
  class Draft {
   public:
    Table& Of(std::shared_ptr<const Table>& shared) {
      if (table_ == nullptr) shared = table_ = std::make_shared<Table>(*shared);
      return *table_;
    }
    void GiveOut() { table_ = nullptr; }

   private:
    std::shared_ptr<Table> table_;
  };

  Image next_;
  const Tracks tracks_;
  std::map<TopicId, std::shared_ptr<TopicImage>> touched_;  // in neither map of next_ until Build
  Draft<TopicsByName> by_name_;
  Draft<TopicsById> by_id_;
  Draft<ConfigsByName> topic_configs_;
  Draft<ConfigsByName> broker_configs_;
  Draft<ConfigsByName> group_configs_;
  // The topics that the entry at made_at_ makes.
  std::set<std::string> made_;
  LogIndex made_at_{-1};
  Delta delta_;
};

// ---- Snapshots: a whole image as the records that build it.

// A serialised ImageSnapshot; and back, kCorruption when it is none, or its records do not build an
// image with its hash.
std::string ToSnapshot(const Image& image);
Result<ImagePtr> FromSnapshot(std::string_view bytes);

// A hash of the whole state but for last_index and last_term: equal on all nodes that applied the
// same records. It costs what changed since it was last computed of an image before, not what there
// is.
uint64_t StateHash(const Image& image);
// What StateHash covers, and how. It rises by one whenever an image says more than before, or in
// another form: nodes of two versions, as during an upgrade, then compare nothing.
inline constexpr uint32_t kStateHashVersion = 1;
ImageHash ToImageHash(const Image& image);
// Whether `told`, computed elsewhere or earlier, is of another state than `image`. A hash of
// another version, or none, says nothing.
bool Contradicts(const ImageHash& told, const Image& image);

}  // namespace sluice::metadata
