#include "storage/checkpoint_file.h"

#include <charconv>

namespace sluice::storage {
namespace {

// Takes the text up to the next newline off the front of `rest`.
std::string_view TakeLine(std::string_view& rest) {
  const size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return line;
}

}  // namespace

std::optional<int64_t> ParseCheckpointNumber(std::string_view field) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (field.empty() || error != std::errc() || end != field.data() + field.size() || value < 0)
    return std::nullopt;
  return value;
}

std::vector<std::string_view> SplitCheckpointLine(std::string_view line) {
  std::vector<std::string_view> fields;
  while (!line.empty()) {
    const size_t end = line.find(' ');
    if (end != 0) fields.push_back(line.substr(0, end));
    line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  }
  return fields;
}

Result<std::vector<std::string>> ParseCheckpointLines(std::string_view text, int version) {
  std::string_view rest = text;
  const std::string_view version_line = TakeLine(rest);
  if (ParseCheckpointNumber(version_line) != version) {
    return Status::Corruption("checkpoint has version \"" + std::string(version_line) +
                              "\" where " + std::to_string(version) + " is expected");
  }
  // Cut in its last line it would tell another number.
  if (text.back() != '\n') return Status::Corruption("checkpoint is cut off in its last line");
  const std::string_view count_line = TakeLine(rest);
  const auto count = ParseCheckpointNumber(count_line);
  if (!count)
    return Status::Corruption("checkpoint has the entry count \"" + std::string(count_line) + "\"");
  std::vector<std::string> lines;
  while (!rest.empty()) {
    const std::string_view line = TakeLine(rest);
    if (!line.empty()) lines.emplace_back(line);
  }
  if (lines.size() != static_cast<uint64_t>(*count)) {
    return Status::Corruption("checkpoint announces " + std::to_string(*count) +
                              " entries and has " + std::to_string(lines.size()));
  }
  return lines;
}

std::string FormatCheckpointLines(const std::vector<std::string>& lines, int version) {
  std::string text = std::to_string(version) + "\n" + std::to_string(lines.size()) + "\n";
  for (const std::string& line : lines) text.append(line).push_back('\n');
  return text;
}

Result<OffsetCheckpoint> ParseOffsetCheckpoint(std::string_view text) {
  SLUICE_ASSIGN_OR_RETURN(const auto lines, ParseCheckpointLines(text, kOffsetCheckpointVersion));
  OffsetCheckpoint offsets;
  for (const std::string& line : lines) {
    const auto fields = SplitCheckpointLine(line);
    const auto partition = fields.size() == 3 ? ParseCheckpointNumber(fields[1]) : std::nullopt;
    const auto offset = fields.size() == 3 ? ParseCheckpointNumber(fields[2]) : std::nullopt;
    if (!partition || !offset || *partition > INT32_MAX) {
      return Status::Corruption("checkpoint has the line \"" + line +
                                "\" where \"topic partition offset\" is expected");
    }
    offsets[{std::string(fields[0]), PartitionIndex(static_cast<int32_t>(*partition))}] =
        Offset(*offset);
  }
  return offsets;
}

std::string FormatOffsetCheckpoint(const OffsetCheckpoint& offsets) {
  std::vector<std::string> lines;
  lines.reserve(offsets.size());
  for (const auto& [partition, offset] : offsets) {
    lines.push_back(partition.topic + " " + std::to_string(partition.partition.value()) + " " +
                    std::to_string(offset.value()));
  }
  return FormatCheckpointLines(lines, kOffsetCheckpointVersion);
}

Result<OffsetCheckpoint> ReadOffsetCheckpoint(FileSystem& fs, const std::string& path) {
  if (!fs.Exists(path)) return OffsetCheckpoint();
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(fs, path));
  auto offsets = ParseOffsetCheckpoint(text);
  if (!offsets.ok()) return Status::Corruption(path + ": " + offsets.status().message());
  return offsets;
}

Status WriteOffsetCheckpoint(FileSystem& fs, const std::string& path,
                             const OffsetCheckpoint& offsets) {
  return WriteFileAtomically(fs, path, FormatOffsetCheckpoint(offsets));
}

}  // namespace sluice::storage
