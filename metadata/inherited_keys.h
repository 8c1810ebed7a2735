#pragma once
// The topic keys whose default is a server key of the same type, range and default: one row for
// both tables.
//
// Thread rule: constant data.

#include "base/config.h"

namespace sluice::metadata {

inline constexpr ConfigKey kCleanupPolicy{
    .name = "cleanup.policy",
    .type = ConfigType::kList,
    .default_value = "delete",
    .allowed = "delete,compact",
    .dynamic = true,
    .doc =
        "What happens to old segments: delete them (retention.*), compact them (of each key "
        "the last record stays, at its offset; records without a key are refused), or both."};

inline constexpr ConfigKey kCompressionGzipLevel{
    .name = "compression.gzip.level",
    .type = ConfigType::kInt,
    .default_value = "-1",
    .allowed = "-1,1,2,3,4,5,6,7,8,9",
    .dynamic = true,
    .doc = "Level of gzip where compression.type is gzip; -1 = its default."};

inline constexpr ConfigKey kCompressionLz4Level{
    .name = "compression.lz4.level",
    .type = ConfigType::kInt,
    .default_value = "9",
    .min = 1,
    .max = 17,
    .dynamic = true,
    .doc = "Level of lz4 where compression.type is lz4."};

inline constexpr ConfigKey kCompressionType{
    .name = "compression.type",
    .default_value = "producer",
    .allowed = "uncompressed,zstd,lz4,snappy,gzip,producer",
    .dynamic = true,
    .doc =
        "producer keeps batches as they come. With another value the leader opens, checks and "
        "compresses anew each batch that has another codec."};

inline constexpr ConfigKey kCompressionZstdLevel{
    .name = "compression.zstd.level",
    .type = ConfigType::kInt,
    .default_value = "3",
    .min = -131072,
    .max = 22,
    .dynamic = true,
    .doc = "Level of zstd where compression.type is zstd."};

inline constexpr ConfigKey kDeleteRetentionMs{
    .name = "delete.retention.ms",
    .type = ConfigType::kLong,
    .unit = ConfigUnit::kMs,
    .default_value = "86400000",
    .min = 0,
    .dynamic = true,
    .doc =
        "How long a compacted topic keeps a tombstone or a transaction's marker after the "
        "first cleaning that met it."};

inline constexpr ConfigKey kDurability{
    .name = "durability",
    .default_value = "fsync",
    .allowed = "fsync,replicated",
    .dynamic = true,
    .doc =
        "fsync: acks=all is answered when the data is flushed to disk on the in-sync "
        "replicas. replicated: when it is in their "
        "memory, as in Kafka. Sluice's own key."};

inline constexpr ConfigKey kFileDeleteDelayMs{
    .name = "file.delete.delay.ms",
    .type = ConfigType::kLong,
    .unit = ConfigUnit::kMs,
    .default_value = "60000",
    .min = 0,
    .dynamic = true,
    .doc =
        "How long a file stays on disk after its segment was dropped. Stored, without effect "
        "in this version: it goes at once, and fetches that are under way still read it."};

inline constexpr ConfigKey kFlushMessages{
    .name = "flush.messages",
    .type = ConfigType::kLong,
    .default_value = "9223372036854775807",
    .min = 1,
    .dynamic = true,
    .doc =
        "With durability=replicated: a replica flushes when so many records are not on disk. "
        "Nothing waits for it."};

inline constexpr ConfigKey kFlushMs{
    .name = "flush.ms",
    .type = ConfigType::kLong,
    .unit = ConfigUnit::kMs,
    .default_value = "9223372036854775807",
    .min = 0,
    .dynamic = true,
    .doc =
        "With durability=replicated: a replica flushes what has not been on disk for so long. "
        "Nothing waits for it."};

inline constexpr ConfigKey kIndexIntervalBytes{
    .name = "index.interval.bytes",
    .type = ConfigType::kInt,
    .unit = ConfigUnit::kBytes,
    .default_value = "4096",
    .min = 0,
    .dynamic = true,
    .doc = "Log bytes between two entries of the offset index."};

inline constexpr ConfigKey kMaxCompactionLagMs{
    .name = "max.compaction.lag.ms",
    .type = ConfigType::kLong,
    .unit = ConfigUnit::kMs,
    .default_value = "9223372036854775807",
    .min = 1,
    .dynamic = true,
    .doc =
        "A log that is compacted is cleaned when a record that was never cleaned is older, "
        "whatever its dirty ratio; the newest segment is left for it after so long."};

inline constexpr ConfigKey kMaxMessageBytes{.name = "max.message.bytes",
                                            .type = ConfigType::kInt,
                                            .unit = ConfigUnit::kBytes,
                                            .default_value = "1048588",
                                            .min = 0,
                                            .dynamic = true,
                                            .doc = "The largest record batch that is accepted."};

inline constexpr ConfigKey kMessageTimestampAfterMaxMs{
    .name = "message.timestamp.after.max.ms",
    .type = ConfigType::kLong,
    .unit = ConfigUnit::kMs,
    .default_value = "3600000",
    .min = 0,
    .dynamic = true,
    .doc = "How far a record's timestamp may lie ahead of the broker's clock."};

inline constexpr ConfigKey kMessageTimestampBeforeMaxMs{
    .name = "message.timestamp.before.max.ms",
    .type = ConfigType::kLong,
    .unit = ConfigUnit::kMs,
    .default_value = "9223372036854775807",
    .min = 0,
    .dynamic = true,
    .doc = "How far a record's timestamp may lie behind the broker's clock."};

inline constexpr ConfigKey kMessageTimestampType{
    .name = "message.timestamp.type",
    .default_value = "CreateTime",
    .allowed = "CreateTime,LogAppendTime",
    .dynamic = true,
    .doc = "Whether a record keeps the producer's timestamp or gets the broker's."};

inline constexpr ConfigKey kMinCleanableDirtyRatio{
    .name = "min.cleanable.dirty.ratio",
    .type = ConfigType::kDouble,
    .default_value = "0.5",
    .min = 0,
    .max = 1,
    .dynamic = true,
    .doc = "Share of bytes that were never cleaned above which a log is compacted."};

inline constexpr ConfigKey kMinCompactionLagMs{
    .name = "min.compaction.lag.ms",
    .type = ConfigType::kLong,
    .unit = ConfigUnit::kMs,
    .default_value = "0",
    .min = 0,
    .dynamic = true,
    .doc = "Segments with younger records are not compacted."};

inline constexpr ConfigKey kRecordValidation{
    .name = "record.validation",
    .default_value = "standard",
    .allowed = "standard,full",
    .dynamic = true,
    .doc =
        "standard: header and CRC of each batch, and every record of uncompressed "
        "ones and of compacted topics. full: decompress and check "
        "every record, as Kafka does. Sluice's own key."};

inline constexpr ConfigKey kRetentionBytes{
    .name = "retention.bytes",
    .type = ConfigType::kLong,
    .unit = ConfigUnit::kBytes,
    .default_value = "-1",
    .min = -1,
    .dynamic = true,
    .doc = "Size per partition above which old segments are deleted; -1 = without limit."};

inline constexpr ConfigKey kSegmentBytes{.name = "segment.bytes",
                                         .type = ConfigType::kInt,
                                         .unit = ConfigUnit::kBytes,
                                         .default_value = "1073741824",
                                         .min = 1048576,
                                         .dynamic = true,
                                         .doc = "Size at which a new segment is started."};

inline constexpr ConfigKey kSegmentIndexBytes{.name = "segment.index.bytes",
                                              .type = ConfigType::kInt,
                                              .unit = ConfigUnit::kBytes,
                                              .default_value = "10485760",
                                              .min = 4,
                                              .dynamic = true,
                                              .doc = "The largest size of a segment's indexes."};

// The row of the server key that gives `key` its default.
constexpr ConfigKey Renamed(ConfigKey key, std::string_view name) {
  key.name = name;
  return key;
}

}  // namespace sluice::metadata
