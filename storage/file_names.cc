#include "storage/file_names.h"

#include <charconv>
#include <cstdio>

#include "storage/meta_properties.h"

namespace sluice::storage {
namespace {

constexpr size_t kDigits = 20;

}  // namespace

std::string OffsetFileName(Offset offset, std::string_view suffix) {
  char digits[kDigits + 1];
  std::snprintf(digits, sizeof digits, "%020lld", static_cast<long long>(offset.value()));
  return std::string(digits, kDigits).append(suffix);
}

std::optional<Offset> ParseOffsetFileName(std::string_view name, std::string_view suffix) {
  if (name.size() != kDigits + suffix.size() || name.substr(kDigits) != suffix) return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + kDigits, value);
  if (error != std::errc() || end != name.data() + kDigits || value < 0) return std::nullopt;
  return Offset(value);
}

DirectoryEntry ClassifyFile(std::string_view name) {
  using Kind = DirectoryEntry::Kind;
  if (const auto base = ParseOffsetFileName(name, kLogSuffix)) return {Kind::kLog, *base};
  if (const auto base = ParseOffsetFileName(name, kTxnIndexSuffix)) return {Kind::kTxnIndex, *base};
  // The last three are the quorum's, beside its log.
  for (const std::string_view known :
       {std::string_view(kEpochCheckpointName), std::string_view(kPartitionMetadataName),
        std::string_view(kMoveCountName), std::string_view(".lock"),
        std::string_view("quorum-state"), std::string_view(kMetaPropertiesName)}) {
    if (name == known) return {Kind::kOther, {}};
  }
  for (const std::string_view suffix : {kIndexSuffix, kTimeIndexSuffix, kSnapshotSuffix}) {
    if (ParseOffsetFileName(name, suffix)) return {Kind::kOther, {}};
  }
  for (const std::string_view suffix : {kDeletedSuffix, kTempSuffix, kCleanedSuffix, kSwapSuffix}) {
    if (!name.ends_with(suffix)) continue;
    const std::string_view of = name.substr(0, name.size() - suffix.size());
    if (of.ends_with(suffix) || ClassifyFile(of).kind == Kind::kUnknown) return {};
    const bool compacted = suffix == kCleanedSuffix || suffix == kSwapSuffix;
    return {compacted ? Kind::kOther : Kind::kLeftover, {}};
  }
  return {};
}

}  // namespace sluice::storage
