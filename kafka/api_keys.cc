#include "kafka/api_keys.h"

#include <algorithm>

namespace sluice::kafka {

const ApiInfo* FindApi(int16_t key) {
  const auto apis = AllApis();
  const auto found = std::lower_bound(
      apis.begin(), apis.end(), key,
      [](const ApiInfo& api, int16_t wanted) { return static_cast<int16_t>(api.key) < wanted; });
  return found != apis.end() && static_cast<int16_t>(found->key) == key ? &*found : nullptr;
}

int16_t RequestHeaderVersion(int16_t key, int16_t version) {
  const ApiInfo* api = FindApi(key);
  return api != nullptr && version >= api->flexible_since ? 2 : 1;
}

int16_t ResponseHeaderVersion(int16_t key, int16_t version) {
  // A client that does not know yet which versions the broker speaks must be able to read this one.
  if (key == static_cast<int16_t>(ApiKey::kApiVersions)) return 0;
  const ApiInfo* api = FindApi(key);
  return api != nullptr && version >= api->flexible_since ? 1 : 0;
}

}  // namespace sluice::kafka
