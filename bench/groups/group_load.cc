#include "bench/groups/group_load.h"

#include "kafka/error_code.h"
#include "kafka/messages/find_coordinator.h"

namespace sluice::bench {

std::string GroupName(int64_t number) { return "group-" + std::to_string(number); }

std::string Quantiles(std::vector<double> values) {
  if (values.empty()) return "null";
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return std::to_string(
        values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))]);
  };
  return "{\"p50\": " + at(0.5) + ", \"p99\": " + at(0.99) + ", \"max\": " + at(1) + "}";
}

std::vector<std::string> FindCoordinators(WireClient& client, const std::string& bootstrap,
                                          const std::vector<std::string>& groups) {
  constexpr int16_t kManyKeys = 4;
  constexpr size_t kAtOnce = 1000;
  const WireClient::ConnectionId connection =
      client.Connect(bootstrap.substr(0, bootstrap.find(',')));
  std::vector<std::string> addresses;
  const SteadyTime start = Now();
  while (addresses.size() < groups.size()) {
    kafka::FindCoordinatorRequest request;
    const size_t end = std::min(groups.size(), addresses.size() + kAtOnce);
    request.coordinator_keys.assign(groups.begin() + static_cast<ptrdiff_t>(addresses.size()),
                                    groups.begin() + static_cast<ptrdiff_t>(end));
    const auto answer = client.Call<kafka::FindCoordinatorResponse>(connection, request, kManyKeys);
    for (const auto& found : answer.coordinators) {
      if (found.error_code != 0) break;  // and all behind it are asked for again
      addresses.push_back(found.host + ":" + std::to_string(found.port));
    }
    Require(MsBetween(start, Now()) < 60000, "no coordinator within a minute");
    if (addresses.size() < end) client.Poll(50);
  }
  return addresses;
}

}  // namespace sluice::bench
