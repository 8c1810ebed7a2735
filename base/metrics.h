#pragma once
// Metrics: counters, gauges and log-linear histograms, and their page in Prometheus's text format.
// Counting is one relaxed atomic add on a cell that few other threads share; all cost of gathering
// falls on who reads the page.
//
// A class keeps its metrics in a struct beside it and only increments:
//
//   struct FlusherMetrics {
//     explicit FlusherMetrics(MetricsRegistry& registry)
//         : group(registry, {{"directory", "/data"}}),
//           groups(group.AddCounter("sluice_flush_groups_total", "Groups of partitions flushed
//           together.")), seconds(group.AddHistogram("sluice_flush_seconds", "Time of one flush.",
//           kSecondsRange)) {}
//     MetricsGroup group;
//     Counter& groups;
//     Histogram& seconds;
//   };
//
// Not for what must be exact at one moment: a page is read while others count.
//
// Thread rule: Counter, Gauge and Histogram are used from any thread; MetricsRegistry is
// thread-safe; a MetricsGroup has one owner.

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace sluice {

namespace metrics_internal {

// How many cells a counter is spread over: a power of two near the number of processors, at
// most 16.
size_t ShardCount();
// The calling thread's, below ShardCount(). Threads take turns at their first count.
size_t ThisShard();

struct alignas(64) Cell {
  std::atomic<uint64_t> value{0};
};

}  // namespace metrics_internal

// Only grows.
class Counter {
 public:
  Counter() : cells_(new metrics_internal::Cell[metrics_internal::ShardCount()]) {}
  void Add(uint64_t n = 1) {
    cells_[metrics_internal::ThisShard()].value.fetch_add(n, std::memory_order_relaxed);
  }
  uint64_t value() const;

 private:
  std::unique_ptr<metrics_internal::Cell[]> cells_;
};

// Goes up and down.
class Gauge {
 public:
  void Set(int64_t value) { value_.store(value, std::memory_order_relaxed); }
  void Add(int64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

// What a histogram tells apart: values up to `smallest`, then four steps for each doubling, up to
// `largest`; all above is one bucket. Both are powers of two, at least 4. The page shows only the
// doublings, divided by `divisor`.
struct HistogramRange {
  int64_t smallest = 64;
  int64_t largest = int64_t{1} << 26;
  double divisor = 1;
};

// Observed in microseconds, shown in seconds: 64 us to 67 s.
inline constexpr HistogramRange kSecondsRange{.divisor = 1e6};
// Observed and shown in bytes: 64 B to 256 MiB.
inline constexpr HistogramRange kBytesRange{.largest = int64_t{1} << 28};

// How often values of which size came. Observing is two relaxed adds.
class Histogram {
 public:
  explicit Histogram(const HistogramRange& range);
  void Observe(int64_t value) {
    std::atomic<uint64_t>* shard = Shard(metrics_internal::ThisShard());
    shard[kSum].fetch_add(value > 0 ? static_cast<uint64_t>(value) : 0, std::memory_order_relaxed);
    shard[kFirstBucket + BucketOf(value)].fetch_add(1, std::memory_order_relaxed);
  }

  // All shards added up.
  struct Snapshot {
    HistogramRange range;
    std::vector<uint64_t> buckets;  // not cumulative; the last is above `range.largest`
    uint64_t sum = 0;               // of the observed values

    uint64_t count() const;
    void Add(const Snapshot& other);  // of the same range
    // The value, as observed, below which the part `q` (0 to 1) of the observations lies: within a
    // quarter of the truth between smallest and largest. 0 without observations.
    double Quantile(double q) const;
    // The largest value of a bucket but the last.
    int64_t UpperBound(size_t bucket) const;
  };
  Snapshot Read() const;

 private:
  static constexpr size_t kSum = 0;
  static constexpr size_t kFirstBucket = 1;

  size_t BucketOf(int64_t value) const;
  std::atomic<uint64_t>* Shard(size_t shard) const { return cells_.get() + shard * shard_cells_; }

  HistogramRange range_;
  int smallest_log_;
  size_t bucket_count_;
  size_t shard_cells_;  // a multiple of a cache line
  std::unique_ptr<std::atomic<uint64_t>[]> cells_;
};

// Label names and values, sorted by name on the page. Values come from operators and clients: keep
// their number bounded.
using MetricLabels = std::vector<std::pair<std::string, std::string>>;

class MetricsGroup;

// All metrics of a process, or of one page of it. Series of one name and equal labels are shown as
// their sum.
class MetricsRegistry {
 public:
  // Must outlive all its groups.
  ~MetricsRegistry();

  // The page: families by name, series by labels, so that equal states give equal pages. Callbacks
  // run inside.
  std::string PrometheusText() const;
  // Lines of series that the page would have, histograms with each of their buckets.
  size_t SeriesCount() const;

 private:
  friend class MetricsGroup;
  using Callback = std::function<double()>;
  using Instrument = std::variant<std::unique_ptr<Counter>, std::unique_ptr<Gauge>,
                                  std::unique_ptr<Histogram>, Callback>;
  struct Entry {
    const MetricsGroup* group;
    Instrument instrument;
  };
  struct Family {
    std::string help;
    std::string_view type;                             // as the page says it
    std::map<std::string, std::vector<Entry>> series;  // by rendered labels
  };

  struct Description {
    std::string name;
    std::string help;
    std::string_view type;
    MetricLabels labels;
  };

  // Takes the instrument in; it stays where its pointer says until the group goes.
  void Add(MetricsGroup& group, Description description, Instrument instrument);
  void Remove(const MetricsGroup& group);
  // The sum of counters, gauges and callbacks.
  static void AppendSum(const std::vector<Entry>& entries, std::string& out);

  mutable std::mutex mutex_;  // guards all below; never taken by counting
  std::map<std::string, Family> families_;
};

inline constexpr std::string_view kPrometheusContentType =
    "text/plain; version=0.0.4; charset=utf-8";

// The metrics of one object, which leave the page with it.
class MetricsGroup {
 public:
  // `labels` go to all metrics of the group.
  explicit MetricsGroup(MetricsRegistry& registry, MetricLabels labels = {});
  ~MetricsGroup();
  MetricsGroup(const MetricsGroup&) = delete;
  MetricsGroup& operator=(const MetricsGroup&) = delete;

  // The references live as long as the group. A name belongs to one type with one help text; a
  // counter's ends in _total (CHECK).
  Counter& AddCounter(const std::string& name, const std::string& help, MetricLabels labels = {});
  Gauge& AddGauge(const std::string& name, const std::string& help, MetricLabels labels = {});
  // Same-named histograms have the same range (CHECK).
  Histogram& AddHistogram(const std::string& name, const std::string& help,
                          const HistogramRange& range, MetricLabels labels = {});
  // A gauge whose value `read` tells when a page is made, on that thread. It must neither use the
  // registry nor take a lock that anyone holds while making or destroying a group. It does not run
  // once the group is destroyed.
  void AddCallbackGauge(const std::string& name, const std::string& help,
                        std::function<double()> read, MetricLabels labels = {});
  // Likewise for a sum that is counted elsewhere and only grows.
  void AddCallbackCounter(const std::string& name, const std::string& help,
                          std::function<double()> read, MetricLabels labels = {});

 private:
  friend class MetricsRegistry;
  template <typename T>
  T& AddOwned(MetricsRegistry::Description description, std::unique_ptr<T> instrument);

  MetricsRegistry& registry_;
  MetricLabels labels_;
  std::vector<std::pair<std::string, std::string>>
      series_;  // names and rendered labels of what it added
};

}  // namespace sluice
