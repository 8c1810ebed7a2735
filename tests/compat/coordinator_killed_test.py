"""Members of librdkafka, with its defaults, whose coordinator is killed with -9: how long none gets through, and that nobody has to rebalance. A few kills only, with
room for a busy machine; bench/coordinator_killed.py measures."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from cluster import Cluster  # noqa: E402
from coordinator_kills import CoordinatorKills  # noqa: E402

KILLS = 3
SILENCE_S_MAX = 3 * 1.3


class CoordinatorKilledTest(unittest.TestCase):

    def check(self, *settings):
        with Cluster(3) as cluster, CoordinatorKills(cluster, members=2, settings=settings) as kills:
            for _ in range(KILLS):
                figures = kills.kill()
                print(f'  {figures}', flush=True)
                self.assertLess(max(figures['commit'], figures['record']), SILENCE_S_MAX)
                self.assertEqual(figures['rebalances'], 0)

    def test_classic_groups(self):
        self.check()

    def test_the_consumer_protocol(self):
        self.check('group.protocol=consumer')


if __name__ == '__main__':
    unittest.main(verbosity=2)
