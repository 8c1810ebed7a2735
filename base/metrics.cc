// Sharded counting, and the page in Prometheus's text format, version 0.0.4.

#include "base/metrics.h"

#include <glog/logging.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <thread>

namespace sluice {
namespace {

constexpr std::string_view kCounterType = "counter";
constexpr std::string_view kGaugeType = "gauge";
constexpr std::string_view kHistogramType = "histogram";
constexpr int kStepsPerDoubling = 4;

bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// Of metrics and, with `colon` false, of labels.
bool IsValidName(std::string_view name, bool colon) {
  if (name.empty() || !IsNameStart(name[0])) return false;
  return std::all_of(name.begin(), name.end(), [colon](char c) {
    return IsNameStart(c) || (c >= '0' && c <= '9') || (colon && c == ':');
  });
}

void AppendNumber(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    out.append(digits, end);
  }
}

template <typename Integer>
void AppendInteger(std::string& out, Integer value) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

// `quote`: label values are written between quotes, help texts are not.
void AppendEscaped(std::string& out, std::string_view text, bool quote) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quote) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

// `a="1",b="2"`, without braces.
std::string RenderLabels(MetricLabels labels) {
  std::sort(labels.begin(), labels.end());
  std::string out;
  for (const auto& [name, value] : labels) {
    CHECK(IsValidName(name, /*colon=*/false)) << "label name " << name;
    if (!out.empty()) out += ',';
    out += name;
    out += "=\"";
    AppendEscaped(out, value, /*quote=*/true);
    out += '"';
  }
  return out;
}

// `name{labels} ` ready for the value; `more` is one further label, rendered.
void AppendSeriesName(std::string& out, std::string_view name, std::string_view labels,
                      std::string_view more = "") {
  out += name;
  if (!labels.empty() || !more.empty()) {
    out += '{';
    out += labels;
    if (!labels.empty() && !more.empty()) out += ',';
    out += more;
    out += '}';
  }
  out += ' ';
}

void AppendHistogram(std::string& out, const std::string& name, const std::string& labels,
                     const Histogram::Snapshot& snapshot) {
  const std::string bucket_name = name + "_bucket";
  uint64_t below = 0;
  std::string bound;
  for (size_t bucket = 0; bucket + 1 < snapshot.buckets.size(); ++bucket) {
    below += snapshot.buckets[bucket];
    if (bucket % kStepsPerDoubling != 0) continue;  // bucket 0 ends at `smallest`
    bound = "le=\"";
    AppendNumber(bound, static_cast<double>(snapshot.UpperBound(bucket)) / snapshot.range.divisor);
    bound += '"';
    AppendSeriesName(out, bucket_name, labels, bound);
    AppendInteger(out, below);
    out += '\n';
  }
  const uint64_t count = below + snapshot.buckets.back();
  AppendSeriesName(out, bucket_name, labels, "le=\"+Inf\"");
  AppendInteger(out, count);
  out += '\n';
  AppendSeriesName(out, name + "_sum", labels);
  AppendNumber(out, static_cast<double>(snapshot.sum) / snapshot.range.divisor);
  out += '\n';
  AppendSeriesName(out, name + "_count", labels);
  AppendInteger(out, count);
  out += '\n';
}

bool SameRange(const HistogramRange& a, const HistogramRange& b) {
  return a.smallest == b.smallest && a.largest == b.largest && a.divisor == b.divisor;
}

}  // namespace

namespace metrics_internal {

size_t ShardCount() {
  static const size_t count =
      std::clamp<size_t>(std::bit_ceil(size_t{std::thread::hardware_concurrency()}), 1, 16);
  return count;
}

size_t ThisShard() {
  static std::atomic<size_t> next{0};
  thread_local const size_t shard =
      next.fetch_add(1, std::memory_order_relaxed) & (ShardCount() - 1);
  return shard;
}

}  // namespace metrics_internal

uint64_t Counter::value() const {
  uint64_t sum = 0;
  for (size_t shard = 0; shard < metrics_internal::ShardCount(); ++shard) {
    sum += cells_[shard].value.load(std::memory_order_relaxed);
  }
  return sum;
}

Histogram::Histogram(const HistogramRange& range) : range_(range) {
  CHECK(range.smallest >= kStepsPerDoubling && range.smallest < range.largest);
  CHECK(std::has_single_bit(static_cast<uint64_t>(range.smallest)));
  CHECK(std::has_single_bit(static_cast<uint64_t>(range.largest)));
  smallest_log_ = std::bit_width(static_cast<uint64_t>(range.smallest)) - 1;
  const int doublings = std::bit_width(static_cast<uint64_t>(range.largest)) - 1 - smallest_log_;
  bucket_count_ = 1 + static_cast<size_t>(doublings * kStepsPerDoubling) + 1;
  constexpr size_t kLineCells = 64 / sizeof(uint64_t);
  shard_cells_ = (kFirstBucket + bucket_count_ + kLineCells - 1) / kLineCells * kLineCells;
  // make_unique zeroes the cells.
  cells_ = std::make_unique<std::atomic<uint64_t>[]>(shard_cells_ * metrics_internal::ShardCount());
}

size_t Histogram::BucketOf(int64_t value) const {
  // A bound belongs to the bucket below it ("le"), hence the value less one.
  if (value <= range_.smallest) return 0;
  if (value > range_.largest) return bucket_count_ - 1;
  const auto below = static_cast<uint64_t>(value - 1);
  const int log = std::bit_width(below) - 1;
  const auto step = static_cast<size_t>((below >> (log - 2)) & (kStepsPerDoubling - 1));
  return 1 + static_cast<size_t>(log - smallest_log_) * kStepsPerDoubling + step;
}

Histogram::Snapshot Histogram::Read() const {
  Snapshot snapshot{.range = range_, .buckets = std::vector<uint64_t>(bucket_count_), .sum = 0};
  for (size_t i = 0; i < metrics_internal::ShardCount(); ++i) {
    const std::atomic<uint64_t>* shard = Shard(i);
    snapshot.sum += shard[kSum].load(std::memory_order_relaxed);
    for (size_t bucket = 0; bucket < bucket_count_; ++bucket) {
      snapshot.buckets[bucket] += shard[kFirstBucket + bucket].load(std::memory_order_relaxed);
    }
  }
  return snapshot;
}

uint64_t Histogram::Snapshot::count() const {
  uint64_t count = 0;
  for (const uint64_t bucket : buckets) count += bucket;
  return count;
}

void Histogram::Snapshot::Add(const Snapshot& other) {
  CHECK(SameRange(range, other.range));
  sum += other.sum;
  for (size_t bucket = 0; bucket < buckets.size(); ++bucket)
    buckets[bucket] += other.buckets[bucket];
}

int64_t Histogram::Snapshot::UpperBound(size_t bucket) const {
  if (bucket == 0) return range.smallest;
  const size_t doublings = (bucket - 1) / kStepsPerDoubling;
  const auto step = static_cast<int64_t>((bucket - 1) % kStepsPerDoubling);
  const int64_t start = range.smallest << doublings;
  return start + start / kStepsPerDoubling * (step + 1);
}

double Histogram::Snapshot::Quantile(double q) const {
  const uint64_t total = count();
  if (total == 0) return 0;
  const double rank = std::clamp(q, 0.0, 1.0) * static_cast<double>(total);
  double below = 0;
  for (size_t bucket = 0; bucket + 1 < buckets.size(); ++bucket) {
    const auto here = static_cast<double>(buckets[bucket]);
    if (here > 0 && below + here >= rank) {
      const auto low = bucket == 0 ? 0.0 : static_cast<double>(UpperBound(bucket - 1));
      const auto high = static_cast<double>(UpperBound(bucket));
      return low + (high - low) * ((rank - below) / here);
    }
    below += here;
  }
  return static_cast<double>(range.largest);
}

MetricsRegistry::~MetricsRegistry() {
  CHECK(families_.empty()) << "a metrics group outlives its registry: " << families_.begin()->first;
}

void MetricsRegistry::Add(MetricsGroup& group, Description description, Instrument instrument) {
  CHECK(IsValidName(description.name, /*colon=*/true)) << "metric name " << description.name;
  CHECK_EQ(description.type == kCounterType, description.name.ends_with("_total"))
      << description.name;
  description.labels.insert(description.labels.end(), group.labels_.begin(), group.labels_.end());
  std::string labels = RenderLabels(std::move(description.labels));
  const std::lock_guard lock(mutex_);
  Family& family = families_[description.name];
  if (family.series.empty()) {
    family.help = std::move(description.help);
    family.type = description.type;
  }
  CHECK_EQ(family.type, description.type) << description.name;
  family.series[labels].push_back({&group, std::move(instrument)});
  group.series_.emplace_back(std::move(description.name), std::move(labels));
}

void MetricsRegistry::Remove(const MetricsGroup& group) {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, labels] : group.series_) {
    const auto family = families_.find(name);
    if (family == families_.end()) continue;  // went with an earlier series of this group
    const auto series = family->second.series.find(labels);
    if (series == family->second.series.end()) continue;
    std::erase_if(series->second, [&group](const Entry& entry) { return entry.group == &group; });
    if (series->second.empty()) family->second.series.erase(series);
    if (family->second.series.empty()) families_.erase(family);
  }
}

void MetricsRegistry::AppendSum(const std::vector<Entry>& entries, std::string& out) {
  // Integers are summed as such: a double would lose counts above 2^53.
  int64_t integers = 0;
  double others = 0;
  bool integral = true;
  for (const Entry& entry : entries) {
    if (const auto* counter = std::get_if<std::unique_ptr<Counter>>(&entry.instrument)) {
      integers += static_cast<int64_t>((*counter)->value());
    } else if (const auto* gauge = std::get_if<std::unique_ptr<Gauge>>(&entry.instrument)) {
      integers += (*gauge)->value();
    } else {
      others += std::get<Callback>(entry.instrument)();
      integral = false;
    }
  }
  if (integral) {
    AppendInteger(out, integers);
  } else {
    AppendNumber(out, others + static_cast<double>(integers));
  }
}

std::string MetricsRegistry::PrometheusText() const {
  std::string out;
  const std::lock_guard lock(mutex_);
  for (const auto& [name, family] : families_) {
    out += "# HELP " + name + ' ';
    AppendEscaped(out, family.help, /*quote=*/false);
    out += "\n# TYPE " + name + ' ';
    out += family.type;
    out += '\n';
    for (const auto& [labels, entries] : family.series) {
      if (family.type == kHistogramType) {
        Histogram::Snapshot sum =
            std::get<std::unique_ptr<Histogram>>(entries[0].instrument)->Read();
        for (size_t i = 1; i < entries.size(); ++i) {
          sum.Add(std::get<std::unique_ptr<Histogram>>(entries[i].instrument)->Read());
        }
        AppendHistogram(out, name, labels, sum);
        continue;
      }
      AppendSeriesName(out, name, labels);
      AppendSum(entries, out);
      out += '\n';
    }
  }
  return out;
}

size_t MetricsRegistry::SeriesCount() const {
  const std::lock_guard lock(mutex_);
  size_t count = 0;
  for (const auto& [name, family] : families_) {
    for (const auto& [labels, entries] : family.series) {
      if (family.type != kHistogramType) {
        ++count;
        continue;
      }
      const auto snapshot = std::get<std::unique_ptr<Histogram>>(entries[0].instrument)->Read();
      constexpr size_t kSumCountAndInfinity = 3;
      count += (snapshot.buckets.size() - 2) / kStepsPerDoubling + 1 + kSumCountAndInfinity;
    }
  }
  return count;
}

MetricsGroup::MetricsGroup(MetricsRegistry& registry, MetricLabels labels)
    : registry_(registry), labels_(std::move(labels)) {}

MetricsGroup::~MetricsGroup() { registry_.Remove(*this); }

template <typename T>
T& MetricsGroup::AddOwned(MetricsRegistry::Description description, std::unique_ptr<T> instrument) {
  T& reference = *instrument;
  registry_.Add(*this, std::move(description), std::move(instrument));
  return reference;
}

Counter& MetricsGroup::AddCounter(const std::string& name, const std::string& help,
                                  MetricLabels labels) {
  return AddOwned({name, help, kCounterType, std::move(labels)}, std::make_unique<Counter>());
}

Gauge& MetricsGroup::AddGauge(const std::string& name, const std::string& help,
                              MetricLabels labels) {
  return AddOwned({name, help, kGaugeType, std::move(labels)}, std::make_unique<Gauge>());
}

Histogram& MetricsGroup::AddHistogram(const std::string& name, const std::string& help,
                                      const HistogramRange& range, MetricLabels labels) {
  return AddOwned({name, help, kHistogramType, std::move(labels)},
                  std::make_unique<Histogram>(range));
}

void MetricsGroup::AddCallbackGauge(const std::string& name, const std::string& help,
                                    std::function<double()> read, MetricLabels labels) {
  registry_.Add(*this, {name, help, kGaugeType, std::move(labels)}, std::move(read));
}

void MetricsGroup::AddCallbackCounter(const std::string& name, const std::string& help,
                                      std::function<double()> read, MetricLabels labels) {
  registry_.Add(*this, {name, help, kCounterType, std::move(labels)}, std::move(read));
}

}  // namespace sluice
