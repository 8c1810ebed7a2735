#include "storage/inspect/verify_directory.h"

#include <map>
#include <set>

#include "storage/file_names.h"
#include "storage/inspect/directory_facts.h"
#include "storage/inspect/partition_files.h"
#include "storage/log_directory.h"
#include "storage/meta_properties.h"

namespace sluice::storage {
namespace {

constexpr std::string_view kFutureSuffix = "-future";
// Moved away it would take the node's votes with it.
constexpr char kStartTheController[] =
    "start the node and leave the directory as it is: what the metadata log has lost the other "
    "controllers give back, and sluice cluster health tells of it until they have";

class DirectoryVerifier {
 public:
  DirectoryVerifier(FileSystem& fs, const VerifyOptions& options, const Report& report)
      : fs_(fs), options_(options), report_(report) {}

  Result<VerifyTotals> Whole(const std::string& directory) {
    directory_ = directory;
    SLUICE_ASSIGN_OR_RETURN(facts_, ReadDirectoryFacts(fs_, directory, report_));
    totals_.live = facts_.live;
    SLUICE_RETURN_IF_ERROR(CheckIdentity());
    SLUICE_ASSIGN_OR_RETURN(const auto names, fs_.List(directory));
    for (const std::string& name : names) {
      const std::string path = directory + "/" + name;
      if (!fs_.IsDirectory(path)) continue;
      if (const auto partition = ParseDirectoryName(name)) {
        SLUICE_RETURN_IF_ERROR(Partition(path, *partition));
      } else {
        OtherDirectory(path);
      }
    }
    CheckTopicIds();
    CheckCheckpoints();
    return totals_;
  }

  Result<VerifyTotals> One(const std::string& directory) {
    const std::string parent = ParentOf(directory);
    const Report quiet = [](const Finding&) {};  // those of the log directory were not asked for
    SLUICE_ASSIGN_OR_RETURN(facts_, ReadDirectoryFacts(fs_, parent, quiet));
    totals_.live = facts_.live;
    const auto partition = ParseDirectoryName(NameOf(directory));
    SLUICE_RETURN_IF_ERROR(Partition(directory, partition.value_or(TopicPartition())));
    return totals_;
  }

 private:
  void Fault(const std::string& file, std::string problem, std::string remedy) const {
    report_({Finding::Kind::kFault, file, std::nullopt, std::move(problem), std::move(remedy)});
  }
  void Note(const std::string& file, std::string problem) const {
    report_({Finding::Kind::kNote, file, std::nullopt, std::move(problem), ""});
  }

  Status CheckIdentity() {
    const std::string path = directory_ + "/" + kMetaPropertiesName;
    if (!fs_.Exists(path)) {
      Note(path, "missing: the directory was not formatted, or is a part of one");
      return Status::Ok();
    }
    SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(fs_, path));
    const auto identity = ParseMetaProperties(text);
    if (!identity.ok()) {
      Fault(path, identity.status().message(),
            "write cluster.id, node.id and directory.id there again; sluice cluster describe and "
            "the node's other directories show the first two");
    }
    return Status::Ok();
  }

  Status Partition(const std::string& path, const TopicPartition& partition) {
    PartitionContext context = facts_.For(partition);
    context.records = options_.records;
    context.compacted = context.compacted || options_.compacted;
    const Report of_controller = [this](Finding finding) {
      if (finding.kind == Finding::Kind::kFault) finding.remedy = kStartTheController;
      report_(finding);
    };
    const auto summary = VerifyPartition(
        fs_, path, context, partition.topic == kMetadataTopic ? of_controller : report_);
    if (summary.status().code() == StatusCode::kNotFound && facts_.live) {
      Note(path, "deleted by the running server while this was reading");
      return Status::Ok();
    }
    SLUICE_RETURN_IF_ERROR(summary.status());
    ++totals_.partitions;
    totals_.batches += summary->batches;
    totals_.records += summary->records;
    totals_.bytes += summary->bytes;
    seen_.insert(partition);
    if (!summary->topic_id.IsZero()) ids_[partition.topic][summary->topic_id].push_back(path);
    if (options_.done) options_.done(path, *summary);
    return Status::Ok();
  }

  void OtherDirectory(const std::string& path) const {
    if (IsDeletedDirectoryName(NameOf(path)))
      Note(path, "a deleted partition; the server's start removes what is left of it");
    else if (path.ends_with(kFutureSuffix))
      Note(path, "a move of Apache Kafka; nobody reads or removes it");
    else if (path.ends_with(kStraySuffix))
      Note(path,
           "set aside: at some start the cluster's metadata did not have it on this node; "
           "nobody reads or removes it");
  }

  // A directory that was swapped or left over shows in its topic id.
  void CheckTopicIds() const {
    std::map<TopicId, std::string> topics;
    for (const auto& [topic, ids] : ids_) {
      for (const auto& [id, paths] : ids) {
        const auto [other, added] = topics.emplace(id, topic);
        if (!added) {
          Fault(paths.front() + "/" + kPartitionMetadataName,
                "topic id " + id.ToString() + " is also that of topic " + other->second,
                "one of the two directories has the other's files: compare the ids with sluice "
                "topic describe, and restore the wrong one from another replica");
        }
      }
      if (ids.size() > 1) ReportIds(topic, ids);
    }
  }

  void ReportIds(const std::string& topic,
                 const std::map<TopicId, std::vector<std::string>>& ids) const {
    std::string text;
    for (const auto& [id, paths] : ids)
      text += (text.empty() ? "" : ", ") + id.ToString() + " in " + NameOf(paths.front());
    Fault(ids.begin()->second.front() + "/" + kPartitionMetadataName,
          "the partitions of topic " + topic + " have different topic ids: " + text,
          "sluice topic describe shows the topic's id; a directory with another is of an older "
          "topic of that name, or swapped");
  }

  void CheckCheckpoints() const {
    const std::pair<const char*, const OffsetCheckpoint*> files[] = {
        {kRecoveryPointCheckpointName, &facts_.recovery_points},
        {kHighWatermarkCheckpointName, &facts_.high_watermarks},
        {kLogStartCheckpointName, &facts_.log_starts}};
    for (const auto& [name, offsets] : files) {
      int absent = 0;
      std::string first;
      for (const auto& [partition, offset] : *offsets) {
        if (seen_.count(partition) > 0) continue;
        if (absent++ == 0) first = partition.ToString();
      }
      if (absent > 0) {
        Note(directory_ + "/" + name, "it names " + std::to_string(absent) +
                                          " partitions that are not here, among them " + first);
      }
    }
  }

  FileSystem& fs_;
  const VerifyOptions& options_;
  const Report& report_;
  std::string directory_;
  DirectoryFacts facts_;
  VerifyTotals totals_;
  std::set<TopicPartition> seen_;
  std::map<std::string, std::map<TopicId, std::vector<std::string>>> ids_;  // by topic
};

}  // namespace

Result<VerifyTotals> VerifyDirectory(FileSystem& fs, const std::string& directory,
                                     const VerifyOptions& options, const Report& report) {
  if (!fs.Exists(directory)) return Status::NotFound(directory + " does not exist");
  if (!fs.IsDirectory(directory))
    return Status::InvalidArgument(directory + " is a file; sluice log dump shows one");
  DirectoryVerifier verifier(fs, options, report);
  // The metadata log has a meta.properties of its own, so that is no sign of a log directory there.
  SLUICE_ASSIGN_OR_RETURN(const PartitionFiles files, ListPartition(fs, directory));
  if (files.any()) return verifier.One(directory);
  if (IsLogDirectory(fs, directory)) return verifier.Whole(directory);
  return Status::InvalidArgument(directory +
                                 " is neither a log directory nor a partition's: it holds neither "
                                 "meta.properties nor a .log file");
}

}  // namespace sluice::storage
