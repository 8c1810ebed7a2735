#include "storage/testing/sim_kv.h"

#include <map>

namespace sluice::storage::testing {

struct SimKvDisk::Content {
  std::map<std::string, std::map<std::string, std::string, std::less<>>> families;  // by name
  std::map<std::string, Offset, std::less<>> applied;
};

struct SimKvDisk::Shared {
  std::map<std::string, Content> directories;  // what is durable
  Status flush_outcome;
  Status read_outcome;
};

namespace {

using Content = SimKvDisk::Content;
using Shared = SimKvDisk::Shared;

class SimSnapshot final : public KvSnapshot {
 public:
  explicit SimSnapshot(Content content) : content_(std::move(content)) {}
  const Content& content() const { return content_; }

 private:
  const Content content_;
};

class SimKv final : public Kv {
 public:
  SimKv(KvOptions options, std::shared_ptr<Shared> disk, std::function<bool()> flush_by_itself)
      : options_(std::move(options)),
        disk_(std::move(disk)),
        flush_by_itself_(std::move(flush_by_itself)),
        content_(disk_->directories[options_.directory]) {}

  Status Write(const KvBatch& batch) override {
    if (stats_.failed && !disk_->flush_outcome.ok()) return disk_->flush_outcome;
    for (const KvBatch::Change& change : batch.changes()) {
      auto& family = content_.families[Name(change.family)];
      switch (change.kind) {
        case KvBatch::Kind::kPut: family[change.key] = change.value; break;
        case KvBatch::Kind::kDelete: family.erase(change.key); break;
        case KvBatch::Kind::kDeleteRange:
          if (change.key < change.value)
            family.erase(family.lower_bound(change.key), family.lower_bound(change.value));
          break;
      }
    }
    for (const KvBatch::Applied& applied : batch.applied()) {
      if (applied.offset)
        content_.applied[applied.stream] = *applied.offset;
      else
        content_.applied.erase(applied.stream);
    }
    // Nobody waits for such a flush, and nobody is told how it ended.
    if (flush_by_itself_ && flush_by_itself_()) (void)Flush();
    return Status::Ok();
  }

  Result<std::optional<std::string>> Get(KvFamily family, std::string_view key) const override {
    SLUICE_RETURN_IF_ERROR(disk_->read_outcome);
    const auto entries = content_.families.find(Name(family));
    if (entries == content_.families.end()) return std::optional<std::string>();
    const auto found = entries->second.find(key);
    return found == entries->second.end() ? std::optional<std::string>()
                                          : std::optional(found->second);
  }

  Result<std::optional<Offset>> Applied(std::string_view stream) const override {
    return AppliedIn(content_, stream);
  }
  std::optional<Offset> DurablyApplied(std::string_view stream) const override {
    return AppliedIn(disk_->directories[options_.directory], stream);
  }

  std::unique_ptr<KvSnapshot> NewSnapshot() const override {
    return std::make_unique<SimSnapshot>(content_);
  }

  Status Iterate(const KvSnapshot* snapshot, const Range& range,
                 const Visitor& visit) const override {
    SLUICE_RETURN_IF_ERROR(disk_->read_outcome);
    const Content& content =
        snapshot == nullptr ? content_ : static_cast<const SimSnapshot*>(snapshot)->content();
    const auto entries = content.families.find(Name(range.family));
    if (entries == content.families.end()) return Status::Ok();
    for (auto it = entries->second.lower_bound(range.from); it != entries->second.end(); ++it) {
      if (!range.to.empty() && it->first >= range.to) break;
      if (!visit(it->first, it->second)) break;
    }
    return Status::Ok();
  }

  Status Flush() override {
    stats_.failed = !disk_->flush_outcome.ok();
    if (stats_.failed) {
      ++stats_.background_errors;
      return disk_->flush_outcome;
    }
    ++stats_.flushes;
    disk_->directories[options_.directory] = content_;
    return Status::Ok();
  }

  Status Checkpoint(const std::string& directory) override {
    if (disk_->directories.contains(directory))
      return Status::InvalidArgument("key-value store: " + directory + " exists");
    SLUICE_RETURN_IF_ERROR(Flush());
    disk_->directories[directory] = content_;
    return Status::Ok();
  }

  KvStats stats() const override {
    KvStats stats = stats_;
    for (const auto& [name, entries] : content_.families) stats.keys_estimated += entries.size();
    return stats;
  }

 private:
  const std::string& Name(KvFamily family) const {
    CHECK_LT(family, options_.families.size()) << "no such column family";
    return options_.families[family];
  }
  static std::optional<Offset> AppliedIn(const Content& content, std::string_view stream) {
    const auto found = content.applied.find(stream);
    return found == content.applied.end() ? std::nullopt : std::optional(found->second);
  }

  const KvOptions options_;
  const std::shared_ptr<Shared> disk_;
  const std::function<bool()> flush_by_itself_;
  Content content_;
  KvStats stats_;
};

}  // namespace

SimKvDisk::SimKvDisk() : shared_(std::make_shared<Shared>()) {}
SimKvDisk::~SimKvDisk() = default;

Result<std::unique_ptr<Kv>> SimKvDisk::Open(const KvOptions& options,
                                            std::function<bool()> flush_by_itself) {
  return std::unique_ptr<Kv>(std::make_unique<SimKv>(options, shared_, std::move(flush_by_itself)));
}

void SimKvDisk::FailFlushes(const Status& outcome) { shared_->flush_outcome = outcome; }
void SimKvDisk::FailReads(const Status& outcome) { shared_->read_outcome = outcome; }

}  // namespace sluice::storage::testing
