#include "base/metrics.h"

#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "base/random.h"

namespace sluice {
namespace {

TEST(CounterTest, AddsUpWhatManyThreadsCount) {
  Counter counter;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) counter.Add();
    });
  }
  for (std::thread& thread : threads) thread.join();
  counter.Add(5);
  EXPECT_EQ(counter.value(), 80'005u);
}

TEST(GaugeTest, GoesUpAndDown) {
  Gauge gauge;
  gauge.Set(10);
  gauge.Add(-15);
  EXPECT_EQ(gauge.value(), -5);
}

TEST(HistogramTest, EveryValueFallsBetweenItsBucketsBounds) {
  const HistogramRange range{.smallest = 8, .largest = 1 << 12};
  Random random(1);
  for (int round = 0; round < 5000; ++round) {
    const int64_t value = round < 300 ? round : random.Between(-10, 1 << 13);
    Histogram histogram(range);
    histogram.Observe(value);
    const Histogram::Snapshot snapshot = histogram.Read();
    ASSERT_EQ(snapshot.count(), 1u);
    size_t bucket = 0;
    while (snapshot.buckets[bucket] == 0) ++bucket;
    if (bucket + 1 < snapshot.buckets.size()) {
      ASSERT_LE(value, snapshot.UpperBound(bucket));
    } else {
      ASSERT_GT(value, range.largest);
    }
    if (bucket > 0) {
      ASSERT_GT(value, snapshot.UpperBound(bucket - 1));
    }
    ASSERT_EQ(snapshot.sum, value > 0 ? static_cast<uint64_t>(value) : 0);
  }
}

TEST(HistogramTest, BoundsAscendFromSmallestToLargest) {
  const HistogramRange range{.smallest = 4, .largest = 64};
  const Histogram::Snapshot snapshot = Histogram(range).Read();
  EXPECT_EQ(snapshot.UpperBound(0), 4);
  EXPECT_EQ(snapshot.UpperBound(1), 5);
  EXPECT_EQ(snapshot.UpperBound(4), 8);
  EXPECT_EQ(snapshot.UpperBound(snapshot.buckets.size() - 2), 64);
  for (size_t bucket = 1; bucket + 1 < snapshot.buckets.size(); ++bucket) {
    EXPECT_GT(snapshot.UpperBound(bucket), snapshot.UpperBound(bucket - 1));
  }
}

TEST(HistogramTest, QuantilesAreWithinAQuarter) {
  Histogram histogram(kSecondsRange);
  EXPECT_EQ(histogram.Read().Quantile(0.5), 0);
  for (int i = 1; i <= 100'000; ++i) histogram.Observe(i);
  const Histogram::Snapshot snapshot = histogram.Read();
  for (const double q : {0.1, 0.5, 0.9, 0.99}) {
    EXPECT_NEAR(snapshot.Quantile(q), q * 100'000, q * 25'000) << q;
  }
  histogram.Observe(int64_t{1} << 40);
  EXPECT_EQ(histogram.Read().Quantile(1), static_cast<double>(kSecondsRange.largest));
}

TEST(MetricsRegistryTest, ThePageIsInPrometheusTextFormat) {
  MetricsRegistry registry;
  MetricsGroup group(registry);
  group.AddCounter("sluice_requests_total", "Requests\nby \\ API.", {{"api", "fetch"}}).Add(3);
  group.AddCounter("sluice_requests_total", "Requests\nby \\ API.", {{"api", "a\"b\\c\nd"}}).Add();
  group.AddGauge("sluice_connections", "Open connections.").Set(-2);
  group.AddCallbackGauge("sluice_ratio", "A ratio.", [] { return 0.25; });
  group.AddCallbackGauge("sluice_unknown", "Not a number.",
                         [] { return std::numeric_limits<double>::quiet_NaN(); });
  Histogram& histogram = group.AddHistogram("sluice_wait_seconds", "Waiting.",
                                            {.smallest = 1024, .largest = 4096, .divisor = 1e6},
                                            {{"z", "1"}, {"a", "2"}});
  for (const int64_t micros : {1, 1024, 1025, 1500, 4096, 4097}) histogram.Observe(micros);
  EXPECT_EQ(registry.PrometheusText(),
            R"(# HELP sluice_connections Open connections.
# TYPE sluice_connections gauge
sluice_connections -2
# HELP sluice_ratio A ratio.
# TYPE sluice_ratio gauge
sluice_ratio 0.25
# HELP sluice_requests_total Requests\nby \\ API.
# TYPE sluice_requests_total counter
sluice_requests_total{api="a\"b\\c\nd"} 1
sluice_requests_total{api="fetch"} 3
# HELP sluice_unknown Not a number.
# TYPE sluice_unknown gauge
sluice_unknown NaN
# HELP sluice_wait_seconds Waiting.
# TYPE sluice_wait_seconds histogram
sluice_wait_seconds_bucket{a="2",z="1",le="0.001024"} 2
sluice_wait_seconds_bucket{a="2",z="1",le="0.002048"} 4
sluice_wait_seconds_bucket{a="2",z="1",le="0.004096"} 5
sluice_wait_seconds_bucket{a="2",z="1",le="+Inf"} 6
sluice_wait_seconds_sum{a="2",z="1"} 0.011743
sluice_wait_seconds_count{a="2",z="1"} 6
)");
  EXPECT_EQ(registry.SeriesCount(), 11u);
}

TEST(MetricsRegistryTest, GroupsLabelTheirMetricsAndTakeThemAlong) {
  MetricsRegistry registry;
  {
    MetricsGroup group(registry, {{"topic", "orders"}});
    group.AddGauge("sluice_size_bytes", "Size.", {{"partition", "3"}}).Set(7);
    EXPECT_EQ(registry.PrometheusText(),
              "# HELP sluice_size_bytes Size.\n# TYPE sluice_size_bytes gauge\n"
              "sluice_size_bytes{partition=\"3\",topic=\"orders\"} 7\n");
  }
  EXPECT_EQ(registry.PrometheusText(), "");
  EXPECT_EQ(registry.SeriesCount(), 0u);
}

TEST(MetricsRegistryTest, EqualSeriesAreAddedUp) {
  MetricsRegistry registry;
  MetricsGroup a(registry);
  auto b = std::make_unique<MetricsGroup>(registry);
  const HistogramRange range{.smallest = 4, .largest = 8};
  for (MetricsGroup* group : {&a, b.get()}) {
    group->AddCounter("n_total", "N.").Add(2);
    group->AddHistogram("h", "H.", range).Observe(6);
  }
  b->AddCounter("n_total", "N.").Add(3);
  a.AddCallbackCounter("m_total", "M.", [] { return 1.0; });
  b->AddCallbackCounter("m_total", "M.", [] { return 1.5; });
  EXPECT_NE(registry.PrometheusText().find("\nn_total 7\n"), std::string::npos);
  EXPECT_NE(registry.PrometheusText().find("\nm_total 2.5\n"), std::string::npos);
  EXPECT_NE(registry.PrometheusText().find("\nh_count 2\n"), std::string::npos);
  b.reset();
  EXPECT_NE(registry.PrometheusText().find("\nn_total 2\n"), std::string::npos);
  EXPECT_NE(registry.PrometheusText().find("\nh_count 1\n"), std::string::npos);
}

TEST(MetricsRegistryTest, LargeCountsStayExact) {
  MetricsRegistry registry;
  MetricsGroup group(registry);
  group.AddCounter("n_total", "N.").Add((uint64_t{1} << 53) + 1);
  EXPECT_NE(registry.PrometheusText().find("n_total 9007199254740993\n"), std::string::npos);
}

TEST(MetricsRegistryTest, ReadingGoesOnWhileOthersCountAndLeave) {
  MetricsRegistry registry;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      while (!stop) {
        MetricsGroup group(registry, {{"thread", std::to_string(t)}});
        group.AddCounter("n_total", "N.").Add();
        group.AddHistogram("h", "H.", kBytesRange).Observe(100);
        group.AddCallbackGauge("g", "G.", [&t] { return t; });
      }
    });
  }
  for (int i = 0; i < 200; ++i) registry.PrometheusText();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(registry.PrometheusText(), "");
}

using MetricsDeathTest = ::testing::Test;

TEST(MetricsDeathTest, NamesAreChecked) {
  MetricsRegistry registry;
  MetricsGroup group(registry);
  EXPECT_DEATH(group.AddCounter("requests", "No _total."), "requests");
  EXPECT_DEATH(group.AddGauge("x_total", "A gauge."), "x_total");
  EXPECT_DEATH(group.AddGauge("9lives", "A digit first."), "metric name");
  EXPECT_DEATH(group.AddGauge("x", "X.", {{"a:b", "1"}}), "label name");
  group.AddGauge("x", "X.");
  EXPECT_DEATH(group.AddHistogram("x", "X.", kBytesRange), "x");
}

}  // namespace
}  // namespace sluice
