// The tables behind metadata/topic_config.h.

#include <array>

#include "metadata/topic_config.h"

namespace sluice::metadata {

namespace {

constexpr int64_t kHourMs = 3'600'000;

constexpr std::array kKeys{
    ConfigKey{.name = "cleanup.policy", .type = ConfigType::kList, .default_value = "delete", .allowed = "delete,compact", .dynamic = true,
              .doc = "What happens to old segments: delete them (retention.*), compact them by key, or both. compact is stored and records without "
                     "a key are refused, but this version has no cleaner yet: nothing is removed by compaction."},
    ConfigKey{.name = "compression.gzip.level", .type = ConfigType::kInt, .default_value = "-1", .min = -1, .max = 9, .dynamic = true,
              .doc = "Level of gzip where the broker compresses; no effect while compression.type is producer."},
    ConfigKey{.name = "compression.lz4.level", .type = ConfigType::kInt, .default_value = "9", .min = 1, .max = 17, .dynamic = true,
              .doc = "Level of lz4 where the broker compresses; no effect while compression.type is producer."},
    ConfigKey{.name = "compression.type", .default_value = "producer",
              .allowed = "uncompressed,zstd,lz4,snappy,gzip,producer", .dynamic = true,
              .doc = "producer keeps batches as they come. Recompression by the broker is not offered by this version."},
    ConfigKey{.name = "compression.zstd.level", .type = ConfigType::kInt, .default_value = "3", .min = -131072, .max = 22, .dynamic = true,
              .doc = "Level of zstd where the broker compresses; no effect while compression.type is producer."},
    ConfigKey{.name = "delete.retention.ms", .type = ConfigType::kLong, .unit = ConfigUnit::kMs, .default_value = "86400000", .min = 0,
              .dynamic = true, .doc = "How long a compacted topic keeps tombstones. Stored for the cleaner, which this version has not."},
    ConfigKey{.name = "durability", .default_value = "fsync", .allowed = "fsync,replicated", .dynamic = true,
              .doc = "fsync: acks=all is answered when the data is flushed to disk on the in-sync replicas. replicated: when it is in their "
                     "memory, as in Kafka. Sluice's own key."},
    ConfigKey{.name = "file.delete.delay.ms", .type = ConfigType::kLong, .unit = ConfigUnit::kMs, .default_value = "60000", .min = 0,
              .dynamic = true, .doc = "How long a file stays on disk after its segment was dropped."},
    ConfigKey{.name = "flush.messages", .type = ConfigType::kLong, .default_value = "9223372036854775807", .min = 1, .dynamic = true,
              .doc = "Flush after so many records. Not offered by this version: use durability=fsync."},
    ConfigKey{.name = "flush.ms", .type = ConfigType::kLong, .unit = ConfigUnit::kMs, .default_value = "9223372036854775807", .min = 0,
              .dynamic = true, .doc = "Flush after so long. Not offered by this version: use durability=fsync."},
    ConfigKey{.name = "follower.replication.throttled.replicas", .type = ConfigType::kList, .default_value = "", .dynamic = true,
              .doc = "Replicas whose fetching is throttled. Not offered by this version."},
    ConfigKey{.name = "index.interval.bytes", .type = ConfigType::kInt, .unit = ConfigUnit::kBytes, .default_value = "4096", .min = 0,
              .dynamic = true, .doc = "Log bytes between two entries of the offset index."},
    ConfigKey{.name = "leader.replication.throttled.replicas", .type = ConfigType::kList, .default_value = "", .dynamic = true,
              .doc = "Replicas that are served throttled. Not offered by this version."},
    ConfigKey{.name = "local.retention.bytes", .type = ConfigType::kLong, .unit = ConfigUnit::kBytes, .default_value = "-2", .min = -2,
              .dynamic = true, .doc = "Local part of a tiered topic; -2 is retention.bytes. Not offered by this version."},
    ConfigKey{.name = "local.retention.ms", .type = ConfigType::kLong, .unit = ConfigUnit::kMs, .default_value = "-2", .min = -2,
              .dynamic = true, .doc = "Local part of a tiered topic; -2 is retention.ms. Not offered by this version."},
    ConfigKey{.name = "max.compaction.lag.ms", .type = ConfigType::kLong, .unit = ConfigUnit::kMs, .default_value = "9223372036854775807",
              .min = 1, .dynamic = true, .doc = "Compact a record at the latest then. Stored for the cleaner, which this version has not."},
    ConfigKey{.name = "max.message.bytes", .type = ConfigType::kInt, .unit = ConfigUnit::kBytes, .default_value = "1048588", .min = 0,
              .dynamic = true, .doc = "The largest record batch that is accepted."},
    ConfigKey{.name = "message.timestamp.after.max.ms", .type = ConfigType::kLong, .unit = ConfigUnit::kMs, .default_value = "3600000",
              .min = 0, .dynamic = true, .doc = "How far a record's timestamp may lie ahead of the broker's clock."},
    ConfigKey{.name = "message.timestamp.before.max.ms", .type = ConfigType::kLong, .unit = ConfigUnit::kMs,
              .default_value = "9223372036854775807", .min = 0, .dynamic = true,
              .doc = "How far a record's timestamp may lie behind the broker's clock."},
    ConfigKey{.name = "message.timestamp.type", .default_value = "CreateTime", .allowed = "CreateTime,LogAppendTime", .dynamic = true,
              .doc = "Whether a record keeps the producer's timestamp or gets the broker's."},
    ConfigKey{.name = "min.cleanable.dirty.ratio", .type = ConfigType::kDouble, .default_value = "0.5", .min = 0, .max = 1, .dynamic = true,
              .doc = "Share of uncleaned bytes that starts the cleaner. Stored for the cleaner, which this version has not."},
    ConfigKey{.name = "min.compaction.lag.ms", .type = ConfigType::kLong, .unit = ConfigUnit::kMs, .default_value = "0", .min = 0,
              .dynamic = true, .doc = "Compact no record before. Stored for the cleaner, which this version has not."},
    ConfigKey{.name = "min.insync.replicas", .type = ConfigType::kInt, .default_value = "1", .min = 1, .dynamic = true,
              .doc = "In-sync replicas without which acks=all is refused and the high watermark stays."},
    ConfigKey{.name = "preallocate", .type = ConfigType::kBool, .default_value = "false", .dynamic = true,
              .doc = "Preallocate segment files. Not offered by this version."},
    ConfigKey{.name = "record.validation", .default_value = "standard", .allowed = "standard,full", .dynamic = true,
              .doc = "standard: header and CRC of each batch, and every record of uncompressed ones and of compacted topics. full: decompress and check "
                     "every record, as Kafka does. Sluice's own key."},
    ConfigKey{.name = "remote.log.copy.disable", .type = ConfigType::kBool, .default_value = "false", .dynamic = true,
              .doc = "Stop copying to remote storage. Not offered by this version."},
    ConfigKey{.name = "remote.log.delete.on.disable", .type = ConfigType::kBool, .default_value = "false", .dynamic = true,
              .doc = "Delete remote data when remote storage is switched off. Not offered by this version."},
    ConfigKey{.name = "remote.storage.enable", .type = ConfigType::kBool, .default_value = "false", .dynamic = true,
              .doc = "Tiered storage. Not offered by this version."},
    ConfigKey{.name = "retention.bytes", .type = ConfigType::kLong, .unit = ConfigUnit::kBytes, .default_value = "-1", .min = -1,
              .dynamic = true, .doc = "Size per partition above which old segments are deleted; -1 = without limit."},
    ConfigKey{.name = "retention.ms", .type = ConfigType::kLong, .unit = ConfigUnit::kMs, .default_value = "604800000", .min = -1,
              .dynamic = true, .doc = "Age above which segments are deleted; -1 = without limit."},
    ConfigKey{.name = "segment.bytes", .type = ConfigType::kInt, .unit = ConfigUnit::kBytes, .default_value = "1073741824", .min = 1048576,
              .dynamic = true, .doc = "Size at which a new segment is started."},
    ConfigKey{.name = "segment.index.bytes", .type = ConfigType::kInt, .unit = ConfigUnit::kBytes, .default_value = "10485760", .min = 4,
              .dynamic = true, .doc = "The largest size of a segment's indexes."},
    ConfigKey{.name = "segment.jitter.ms", .type = ConfigType::kLong, .unit = ConfigUnit::kMs, .default_value = "0", .min = 0, .dynamic = true,
              .doc = "Random part taken off segment.ms. Not offered by this version."},
    ConfigKey{.name = "segment.ms", .type = ConfigType::kLong, .unit = ConfigUnit::kMs, .default_value = "604800000", .min = 1, .dynamic = true,
              .doc = "Age at which a new segment is started."},
    ConfigKey{.name = "unclean.leader.election.enable", .type = ConfigType::kBool, .default_value = "false", .dynamic = true,
              .doc = "Let a replica lead that may lack acknowledged records. Not offered by this version."},
};

constexpr std::array<TopicKeySynonym, 23> kSynonyms{{
    {"cleanup.policy", "log.cleanup.policy"},
    {"compression.type", "compression.type"},
    {"delete.retention.ms", "log.cleaner.delete.retention.ms"},
    {"durability", "durability"},
    {"file.delete.delay.ms", "log.segment.delete.delay.ms"},
    {"index.interval.bytes", "log.index.interval.bytes"},
    {"max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms"},
    {"max.message.bytes", "message.max.bytes"},
    {"message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms"},
    {"message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms"},
    {"message.timestamp.type", "log.message.timestamp.type"},
    {"min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio"},
    {"min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms"},
    {"min.insync.replicas", "min.insync.replicas"},
    {"record.validation", "record.validation"},
    {"retention.bytes", "log.retention.bytes"},
    {"retention.ms", "log.retention.ms"},
    {"retention.ms", "log.retention.minutes", 60'000},
    {"retention.ms", "log.retention.hours", kHourMs},
    {"segment.bytes", "log.segment.bytes"},
    {"segment.index.bytes", "log.index.size.max.bytes"},
    {"segment.ms", "log.roll.ms"},
    {"segment.ms", "log.roll.hours", kHourMs},
}};

}  // namespace

ConfigTable TopicConfigKeys() { return kKeys; }

std::span<const TopicKeySynonym> TopicKeySynonyms() { return kSynonyms; }

}  // namespace sluice::metadata
