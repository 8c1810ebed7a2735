#pragma once
// Counters of the network: the logic only increments, admin reads. Owned by the composition root,
// which outlives the server.
//
// Thread rule: atomics, from any thread.

#include <atomic>
#include <cstdint>

namespace sluice::broker {

struct NetMetrics {
  std::atomic<uint64_t> bytes_in{0};
  std::atomic<uint64_t> bytes_out{0};
  std::atomic<int64_t> connections{0};  // open now
  std::atomic<uint64_t> connections_accepted{0};
  std::atomic<uint64_t> connections_refused{0};  // over max.connections or max.connections.per.ip
  std::atomic<int64_t> refusal_told_ms{0};  // when the last log line about a refusal was written
  std::atomic<uint64_t> frames_refused{0};  // bad size, unknown API or version, malformed body
  std::atomic<uint64_t> connections_expired{0};  // idle or too slow
};

inline void Count(std::atomic<uint64_t>& counter, uint64_t by = 1) {
  counter.fetch_add(by, std::memory_order_relaxed);
}

}  // namespace sluice::broker
