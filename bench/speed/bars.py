"""The bars, in one place. A ratio is the median over the rounds of Sluice / Apache Kafka; of processor time, latency, memory and time it may be at most the
limit, of throughput it must be at least that."""
from speed.ratios import Bar

FSYNC, REPLICATED, FLOOR = 'fsync', 'replicated', 'floor'
END_TO_END = ('e2e-1000', 'e2e-5000', 'e2e-1000-rf3', 'e2e-5000-rf3')

BARS = (
    Bar('produce-1k', REPLICATED, 'cpu', 0.40), Bar('produce-1k', REPLICATED, 'throughput', 1.5),
    Bar('produce-1k', FSYNC, 'cpu', 0.50), Bar('produce-1k', FSYNC, 'throughput', 1.0, or_disk=0.9),
    Bar('produce-100b', REPLICATED, 'cpu', 0.50), Bar('produce-100b', REPLICATED, 'throughput', 1.1),
    Bar('produce-zstd', FSYNC, 'cpu', 0.20), Bar('produce-zstd', FSYNC, 'throughput', 1.0),
    Bar('produce-1k-rf3', REPLICATED, 'cpu', 0.55), Bar('produce-1k-rf3', REPLICATED, 'throughput', 1.4),
    Bar('produce-1k-rf3-100', REPLICATED, 'cpu', 0.55), Bar('produce-1k-rf3-100', REPLICATED, 'throughput', 1.4),
    *(Bar(name, FSYNC, 'cpu', 1.1) for name in ('consume-1k', 'consume-100b')),
    *(Bar(name, FSYNC, 'throughput', 1.0) for name in ('consume-1k', 'consume-100b')),
    Bar('e2e-1000', REPLICATED, 'cpu', 0.35), Bar('e2e-1000', REPLICATED, 'p50', 0.8), Bar('e2e-1000', REPLICATED, 'p99', 0.5),
    Bar('e2e-5000', REPLICATED, 'cpu', 0.35), Bar('e2e-5000', REPLICATED, 'p50', 0.8), Bar('e2e-5000', REPLICATED, 'p99', 0.2),
    Bar('e2e-1000-rf3', REPLICATED, 'cpu', 0.35), Bar('e2e-1000-rf3', REPLICATED, 'p50', 0.7), Bar('e2e-1000-rf3', REPLICATED, 'p99', 0.3),
    Bar('e2e-5000-rf3', REPLICATED, 'cpu', 0.30), Bar('e2e-5000-rf3', REPLICATED, 'p99', 10, against=None),  # ms; Kafka does not keep up
    # In fsync mode, against Kafka without fsync.
    *(Bar(name, FSYNC, figure, limit) for name in END_TO_END for figure, limit in (('cpu', 0.50), ('p50', 1.5), ('p99', 1.0))),
    Bar('catch-up', FSYNC, 'acknowledged_p99', 0.3),
    Bar('produce-1k', REPLICATED, 'cpu', 1.6, against=FLOOR), Bar('produce-100b', REPLICATED, 'cpu', 1.6, against=FLOOR),
    Bar('consume-1k', FSYNC, 'cpu', 1.3, against=FLOOR), Bar('consume-100b', FSYNC, 'cpu', 1.3, against=FLOOR),
    *(Bar('footprint', FSYNC, figure, limit) for figure, limit in (('start', 1 / 8), ('idle_rss', 1 / 6), ('loaded_rss', 1 / 5), ('idle_cpu', 1 / 5))),
    Bar('many-partitions', FSYNC, 'created', 1 / 10), Bar('many-partitions', FSYNC, 'rss', 1 / 6), Bar('many-partitions', FSYNC, 'written_again', 1 / 10),
)

# The cost of a GB at the far corner of the curve beside that at its beginning.
CURVE_SYSTEM, CURVE_FROM, CURVE_TO, CURVE_LIMIT = REPLICATED, 'curve-p6-c1', 'curve-p1000-c100', 1.5
