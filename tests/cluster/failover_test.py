"""How long a producer with librdkafka's defaults hears nothing when a node goes: a few rounds of what bench/failover.py measures, each asserted at three times
its bar."""
import pathlib
import statistics
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from cluster import Cluster  # noqa: E402
from failover import BARS_MS, Failover, PLANNED  # noqa: E402
from scenarios import SLACK  # noqa: E402

ROUNDS = 3


class FailoverTest(unittest.TestCase):

    def test_silences_are_short(self):
        with Cluster(3) as cluster, Failover(cluster) as failover:
            for what, (_, bar_ms) in BARS_MS.items():
                with self.subTest(what):
                    silences_ms = failover.rolling_restart() if what == PLANNED else [failover.round(what) for _ in range(ROUNDS)]
                    print(f'  {what}: {", ".join(f"{each:.0f}" for each in silences_ms)} ms of silence (bar {bar_ms} ms at p99)', flush=True)
                    # Of a leader that is stopped librdkafka may be told in vain (broker/lost_leaders.h): most of its clients are told.
                    longest_ms = statistics.median(silences_ms) if what == 'leader stopped' else max(silences_ms)
                    self.assertLess(longest_ms, SLACK * bar_ms)


if __name__ == '__main__':
    unittest.main(verbosity=2)
