#include "storage/log_directory.h"

#include <charconv>
#include <cstdio>

namespace sluice::storage {

std::string TopicPartition::ToString() const {
  return topic + "-" + std::to_string(partition.value());
}

std::optional<TopicPartition> ParseDirectoryName(std::string_view name) {
  const size_t dash = name.rfind('-');
  if (dash == std::string_view::npos || dash == 0 || dash + 1 == name.size()) return std::nullopt;
  const std::string_view digits = name.substr(dash + 1);
  int32_t partition = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), partition);
  const bool canonical = digits.size() == 1 || digits[0] != '0';
  if (error != std::errc() || end != digits.data() + digits.size() || partition < 0 || !canonical)
    return std::nullopt;
  return TopicPartition{std::string(name.substr(0, dash)), PartitionIndex(partition)};
}

namespace {

constexpr size_t kUniqueDigits = 32;
constexpr size_t kNameBytesMax = 255;

// What comes before a dot, 32 digits and `suffix`; empty where the name does not end so. What is
// called otherwise is somebody's own, however it ends.
std::string_view BeforeUnique(std::string_view name, std::string_view suffix) {
  if (name.size() <= suffix.size() + kUniqueDigits + 1 || !name.ends_with(suffix)) return {};
  const std::string_view before = name.substr(0, name.size() - suffix.size());
  const std::string_view digits = before.substr(before.size() - kUniqueDigits);
  const size_t dot = before.size() - kUniqueDigits - 1;
  const bool unique =
      before[dot] == '.' && digits.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  return unique ? before.substr(0, dot) : std::string_view();
}

}  // namespace

bool IsDeletedDirectoryName(std::string_view name) {
  return !BeforeUnique(name, kDeleteSuffix).empty();
}

std::optional<TopicPartition> ParseFutureDirectoryName(std::string_view name) {
  return ParseDirectoryName(BeforeUnique(name, kFutureSuffix));
}

bool FutureNameFits(const TopicPartition& partition) {
  return partition.ToString().size() + 1 + kUniqueDigits + kFutureSuffix.size() <= kNameBytesMax;
}

std::string RetiredDirectoryName(const TopicPartition& partition, std::string_view suffix,
                                 int64_t time_ms, uint64_t number) {
  char unique[kUniqueDigits + 1];
  std::snprintf(unique, sizeof unique, "%016llx%016llx", static_cast<unsigned long long>(time_ms),
                static_cast<unsigned long long>(number));
  const std::string ending = "." + std::string(unique) + std::string(suffix);
  return partition.ToString().substr(0, kNameBytesMax - ending.size()) + ending;
}

}  // namespace sluice::storage
