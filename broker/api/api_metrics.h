#pragma once
// Counters of the API handlers: the logic only increments, broker/broker_metrics.h puts them on the
// metrics page by Kafka's names.
//
// Thread rule: atomics, from any thread.

#include <array>
#include <atomic>
#include <cstdint>

namespace sluice::broker {

struct ApiMetrics {
  static constexpr size_t kApis = 128;  // keys above share the last counter

  std::array<std::atomic<uint64_t>, kApis> requests{};  // by API key
  std::array<std::atomic<uint64_t>, kApis>
      errors{};  // replies that carry an error at the top or for some partition, topic or resource
  std::atomic<uint64_t> unsupported_requests{0};  // unknown key or version
  std::atomic<uint64_t> produced_bytes{0};        // record bytes from producers
  std::atomic<uint64_t> consumed_bytes{0};        // record bytes to consumers
  std::atomic<uint64_t> replicated_bytes_out{0};  // record bytes to followers

  static size_t Slot(int16_t api_key) {
    return api_key >= 0 && api_key < static_cast<int16_t>(kApis) ? static_cast<size_t>(api_key)
                                                                 : kApis - 1;
  }
  void CountRequest(int16_t api_key) {
    requests[Slot(api_key)].fetch_add(1, std::memory_order_relaxed);
  }
  void CountError(int16_t api_key) {
    errors[Slot(api_key)].fetch_add(1, std::memory_order_relaxed);
  }
};

}  // namespace sluice::broker
