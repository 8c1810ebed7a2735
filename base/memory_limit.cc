#include "base/memory_limit.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

namespace sluice {
namespace {

// "" when it cannot be read.
std::string TextOf(FileSystem& fs, const std::string& path) {
  auto text = ReadFile(fs, path);
  return text.ok() ? *std::move(text) : "";
}

// The number that `text` begins with; 0 when there is none, as for "max".
uint64_t LeadingNumber(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

void Lower(uint64_t& limit, uint64_t other) {
  if (other > 0 && (limit == 0 || other < limit)) limit = other;
}

uint64_t MachineBytes(FileSystem& fs) {
  constexpr std::string_view kTotal = "MemTotal:";
  const std::string text = TextOf(fs, "/proc/meminfo");
  const size_t at = text.find(kTotal);
  return at == std::string::npos
             ? 0
             : LeadingNumber(std::string_view(text).substr(at + kTotal.size())) * 1024;
}

// The group itself and those around it: each may have a limit.
void LowerByGroup(FileSystem& fs, const std::string& root, std::string group,
                  const std::string& file, uint64_t& limit) {
  while (true) {
    Lower(limit, LeadingNumber(TextOf(fs, root + group + "/" + file)));
    const size_t slash = group.rfind('/');
    if (slash == std::string::npos) return;
    group.resize(slash);
  }
}

}  // namespace

uint64_t MemoryLimitBytes(FileSystem& fs) {
  uint64_t limit = MachineBytes(fs);
  const std::string groups = TextOf(fs, "/proc/self/cgroup");
  // Lines "4:memory:/group"; of version 2 "0::/group".
  for (std::string_view rest = groups; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const size_t first = line.find(':');
    const size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string group(line.substr(second + 1));
    if (controllers.empty())
      LowerByGroup(fs, "/sys/fs/cgroup", group, "memory.max", limit);
    else if (("," + std::string(controllers) + ",").find(",memory,") != std::string::npos)
      LowerByGroup(fs, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes", limit);
  }
  return limit;
}

}  // namespace sluice
