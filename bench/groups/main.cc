// bench_groups: load for group coordinators, Sluice's or Kafka's, over the plain protocol.
//
//   groups commit BOOTSTRAP TOPIC GROUPS IN_FLIGHT PARTITIONS SECONDS
//   groups fill BOOTSTRAP TOPIC GROUPS MEMBERS OFFSETS     groups that have members and offsets
//   groups probe ADDRESS,ADDRESS... TOPIC GROUP SECONDS    the first answers of a coordinator
//   groups members BOOTSTRAP TOPIC MEMBERS QUIET_SECONDS   rebalances of the consumer protocol
//
// One JSON object on stdout; what each mode does is in group_load.h.

#include <cstdio>
#include <cstdlib>

#include "bench/groups/group_load.h"

namespace {

std::vector<std::string> Split(const std::string& list) {
  std::vector<std::string> parts;
  for (size_t from = 0; from <= list.size();) {
    const size_t comma = std::min(list.find(',', from), list.size());
    parts.push_back(list.substr(from, comma - from));
    from = comma + 1;
  }
  return parts;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace sluice::bench;
  const std::string mode = argc > 1 ? argv[1] : "";
  const auto number = [&](int i) { return std::atoll(argv[i]); };
  const auto small = [&](int i) { return static_cast<int32_t>(std::atoi(argv[i])); };
  if (mode == "commit" && argc == 8)
    return RunCommits({argv[2], argv[3], number(4), number(5), small(6), number(7)});
  if (mode == "fill" && argc == 7)
    return RunFill({argv[2], argv[3], number(4), number(5), small(6)});
  if (mode == "probe" && argc == 6)
    return RunProbe({Split(argv[2]), argv[3], number(4), number(5)});
  if (mode == "members" && argc == 6) return RunMembers({argv[2], argv[3], number(4), number(5)});
  std::fprintf(stderr,
               "usage: groups commit BOOTSTRAP TOPIC GROUPS IN_FLIGHT PARTITIONS SECONDS\n"
               "       groups fill BOOTSTRAP TOPIC GROUPS MEMBERS OFFSETS\n"
               "       groups probe ADDRESS,ADDRESS... TOPIC GROUP SECONDS\n"
               "       groups members BOOTSTRAP TOPIC MEMBERS QUIET_SECONDS\n");
  return 2;
}
