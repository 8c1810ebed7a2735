"""The acceptance stories on real processes. Safety is asserted exactly, time at three times the bar; the bar is printed beside the figure."""
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import scenarios  # noqa: E402
from cluster import Cluster, SteadyProducer, check_history, wait_until  # noqa: E402

CREATE_AFTER_KILL_BAR_S = 1.0


def say(line):
    print(f'  {line}', flush=True)


class AcceptanceTest(unittest.TestCase):

    def test_1_real_input_comes_out_as_it_went_in(self):
        with Cluster(3) as cluster:
            say(f'three nodes ready in {cluster.started_in_s:.2f} s (bar 2 s)')
            self.assertLess(cluster.started_in_s, scenarios.SLACK * 2)
            scenarios.real_input(cluster, say)

    def test_2_a_killed_leader_loses_nothing(self):
        for durability in ('fsync', 'replicated'):
            with self.subTest(durability=durability), Cluster(3, settings=[f'durability={durability}']) as cluster:
                say(f'durability={durability}')
                victim = scenarios.leader_kill(cluster, say)
                scenarios.rejoin(cluster, say, victim, 'failover')

    def test_2_without_idempotence_nothing_acknowledged_is_lost(self):
        with Cluster(3) as cluster:
            scenarios.leader_kill(cluster, say, idempotent=False)

    def test_3_a_killed_controller_is_replaced(self):
        with Cluster(3) as cluster:
            cluster.create_topic('before', 6, 3)
            victim = cluster.active_controller()
            survivor = next(node for node in cluster.addresses if node != victim)
            cluster.kill(victim)
            begin = time.monotonic()
            wait_until(lambda: cluster.admin('topic', 'create', 'after', '--partitions', '3', '--replication-factor', '2',
                                             node=survivor, check=False), 'a topic created after the kill', 10)
            took_s = time.monotonic() - begin
            say(f'topic created {took_s:.2f} s after the active controller, node {victim}, was killed (bar {CREATE_AFTER_KILL_BAR_S} s)')
            self.assertLess(took_s, scenarios.SLACK * CREATE_AFTER_KILL_BAR_S)
            scenarios.rejoin(cluster, say, victim, 'before')

    def test_4_all_nodes_killed_at_once_keep_every_acknowledged_record(self):
        for durability in ('fsync', 'replicated'):
            with self.subTest(durability=durability), Cluster(3, settings=[f'durability={durability}']) as cluster:
                cluster.create_topic('crash', 6, 3, ['min.insync.replicas=2'])
                with SteadyProducer(cluster, 'crash', rate=2000).running() as producer:
                    producer.wait_for_acks(4000)
                    cluster.kill_all()
                    acks = producer.abandon()
                cluster.start_all()
                check_history(cluster.read_all('crash'), acks, idempotent=True)
                say(f'durability={durability}: all three nodes killed under load; all {len(acks)} acknowledged records are there')
                wait_until(lambda: cluster.fully_in_sync('crash'), 'every replica back in sync', 30)


if __name__ == '__main__':
    unittest.main(verbosity=2)
