"""One minute of `make chaos` without its namespaces: nodes are killed with -9 again and again, one of them or all, while clients write down what they are told.
Safety is judged exactly; that all is well again in the end, with a deadline that is generous."""
import pathlib
import random
import shutil
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from cluster import Cluster, wait_until  # noqa: E402
from watched_clients import WatchedClients, told  # noqa: E402

TOPIC, PARTITIONS = 'chaos', 6
HURT_S = 60
WELL_S_MAX = 120


class ChaosTest(unittest.TestCase):

    def kill_and_start(self, cluster, rng):
        victims = rng.sample(sorted(cluster.addresses), rng.choice([1, 1, 1, 2, 3]))
        for node in victims:
            cluster.kill(node)
        time.sleep(rng.uniform(0.2, 4))
        cluster.start_all()  # at once: of two that are gone none is ready alone
        time.sleep(rng.uniform(0.2, 3))
        return victims

    def test_nodes_are_killed_for_a_minute(self):
        seed = random.randrange(1 << 32)
        rng = random.Random(seed)
        directory = tempfile.mkdtemp(prefix='sluice-chaos-test-')
        killed = []
        with Cluster(3) as cluster, WatchedClients(cluster.bootstrap(), TOPIC, PARTITIONS, directory) as clients:
            cluster.create_topic(TOPIC, PARTITIONS, 3, ['min.insync.replicas=2'])
            for mode in ('produce', 'produce', 'follow', 'follow'):
                clients.start(mode)
            deadline = time.monotonic() + HURT_S
            while time.monotonic() < deadline and not clients.ended_early():
                killed += self.kill_and_start(cluster, rng)
            self.assertEqual(clients.ended_early(), [], f'seed {seed}, files in {directory}')
            wait_until(lambda: (cluster.admin('cluster', 'health', check=False) or {}).get('healthy'), 'the cluster is well', WELL_S_MAX)
            self.assertEqual(clients.finish(), [], f'seed {seed}, files in {directory}')
            verdict, kinds = clients.judge()
        print(f'  {len(killed)} kills; {", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))}', flush=True)
        self.assertGreater(kinds['send'], 0)
        self.assertEqual(told(verdict), [], f'seed {seed}, files in {directory}')
        shutil.rmtree(directory)


if __name__ == '__main__':
    unittest.main(verbosity=2)
