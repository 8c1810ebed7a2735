"""What operators do with brokers, on real processes: drain, stop, start, undrain; decommission; rebalance. A producer with acks=all notices nothing that it
would have to tell anybody, and nothing acknowledged is lost."""
import os
import pathlib
import signal
import sys
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from cluster import Cluster, SteadyProducer, check_history, wait_until  # noqa: E402

SILENCE_MS_MAX = 3 * 150  # at most, on a shared machine; bench/planned_stop.py measures it


class BrokersTest(unittest.TestCase):

    def start_cluster(self, nodes):
        self.cluster = self.enterContext(Cluster(nodes))
        self.node = self.cluster.addresses[1]['grpc']

    def broker(self, node, ask=None):
        return next((each for each in self.cluster.admin('broker', 'list', node=ask)['brokers'] if each['id'] == node), None)

    def verb(self, *words, code=0, ask=1):
        done = self.cluster.sluice('broker', *words, '--server', self.cluster.addresses[ask]['grpc'], check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        if code not in (0, 7):
            self.assertEqual([line.split(':')[0].strip() for line in done.stderr.strip().splitlines()], ['sluice', 'why', 'do'], done.stderr)
        return done.stderr

    def stop(self, node):
        os.kill(next(each['pid'] for each in self.cluster.status() if each['id'] == node), signal.SIGTERM)
        wait_until(lambda: node not in self.cluster.live_nodes(), f'node {node} has stopped', 30)

    def safe_to_stop(self, node):
        try:
            with urllib.request.urlopen(f'http://{self.cluster.addresses[node]["http"]}/safe-to-stop', timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    def test_each_node_is_drained_stopped_and_comes_back(self):
        self.start_cluster(3)
        self.cluster.create_topic('orders', 6, 3, ['min.insync.replicas=2'])
        with SteadyProducer(self.cluster, 'orders', rate=500).running() as producer:
            producer.wait_for_acks(500)
            for node in (1, 2, 3):
                other = node % 3 + 1
                self.assertIn('is drained: it leads nothing', self.verb('drain', str(node), '--wait', ask=other))
                self.assertEqual((self.broker(node, other)['goal'], self.broker(node, other)['leaders']), ('drain', 0))
                wait_until(lambda: self.safe_to_stop(node)[0] == 200, f'node {node} is safe to stop', 30)
                self.verb('can-stop', str(node), ask=other)
                self.stop(node)
                # The others are needed now: two of three replicas, two of three controllers.
                self.assertIn('would be left', self.verb('can-stop', str(other), code=1, ask=other))
                status, text = self.safe_to_stop(other)
                self.assertEqual(status, 503, text)
                self.assertIn('orders-0 (in sync are', self.verb('drain', str(other), code=1, ask=other))
                self.cluster.start(node)
                wait_until(lambda: self.cluster.fully_in_sync('orders'), f'node {node} is back', 30)
                self.assertEqual(self.broker(node, other)['leaders'], 0, 'it is drained still')
                self.verb('undrain', str(node), ask=other)
                wait_until(lambda: self.broker(node, other)['leaders'] == 2, f'node {node} has its leads back', 30)
            summary = producer.finish()
        self.assertEqual(summary['failed'], 0)
        check_history(self.cluster.read_all('orders'), summary['acks'], idempotent=True)
        print(f'  three drains and stops: longest silence {summary["longest_silence_ms"]} ms, no client error', flush=True)
        self.assertLessEqual(summary['longest_silence_ms'], SILENCE_MS_MAX)

    def test_a_broker_leaves_for_good_and_a_new_plan_evens_out(self):
        self.start_cluster(5)
        self.cluster.create_topic('orders', 8, 3, ['min.insync.replicas=2'])
        with SteadyProducer(self.cluster, 'orders', rate=500).running() as producer:
            producer.wait_for_acks(500)
            self.verb('decommission', '5', '--dry-run')
            self.assertEqual(self.broker(5)['goal'], 'serve')
            self.verb('decommission', '5', '--wait', '--timeout-ms', '60000')
            self.assertEqual(self.broker(5)['replicas'], 0)
            self.assertIn('stop its process', self.verb('decommission', '5', '--status'))
            # The controller that goes on with it may be another one.
            active = self.cluster.active_controller()
            self.stop(5)
            wait_until(lambda: self.broker(5) is None, 'broker 5 is unregistered', 30)
            self.verb('decommission', '5', '--status', code=3)
            print(f'  broker 5 is gone, controller {active} was active', flush=True)
            # It comes back as a new broker, without anything; a plan gives it its share.
            self.cluster.start(5)
            wait_until(lambda: (self.broker(5) or {}).get('state') == 'active', 'broker 5 is back', 30)
            plan = self.cluster.admin('cluster', 'rebalance', 'plan')
            self.assertTrue(plan['partitions'])
            self.assertTrue(all(move['reason'] for move in plan['partitions']))
            self.assertEqual(self.broker(5)['replicas'], 0, 'a plan changes nothing')
            begin = time.monotonic()
            self.cluster.admin('cluster', 'rebalance', 'run', '--in-flight', '2')
            print(f'  {len(plan["partitions"])} moves in {time.monotonic() - begin:.1f} s', flush=True)
            counts = [self.broker(node)['replicas'] for node in range(1, 6)]
            self.assertLessEqual(max(counts) - min(counts), 1, counts)
            self.assertEqual(self.cluster.admin('cluster', 'rebalance', 'plan')['partitions'], [])
            self.assertEqual(self.cluster.admin('cluster', 'rebalance', 'cancel'), {'cancelled': 0})
            summary = producer.finish()
        self.assertEqual(summary['failed'], 0)
        check_history(self.cluster.read_all('orders'), summary['acks'], idempotent=True)

    def test_what_cannot_be_is_said_in_three_lines(self):
        self.start_cluster(3)
        self.cluster.create_topic('orders', 2, 3, ['min.insync.replicas=2'])
        self.cluster.create_topic('alone', 3, 1)
        for verb in ('drain', 'undrain', 'can-stop', 'decommission'):
            self.assertIn('broker 9 is not registered', self.verb(verb, '9', code=3))
            self.assertIn('Value x not in range 0', self.verb(verb, 'x', code=2))
        node = self.cluster.partitions('alone')[0]['leader']
        self.assertIn('alone-0 (broker', self.verb('drain', str(node), code=1))
        self.assertIn('orders-0 (its replication factor is 3, 2 brokers would be left)', self.verb('decommission', '1', code=1))
        self.assertIn('is not being decommissioned', self.verb('decommission', '1', '--cancel', code=1))
        self.assertIn('still leads alone-0', self.verb('drain', str(node), '--force', '--wait', '--timeout-ms', '1500', code=7))
        self.assertEqual(self.broker(node)['leaders'], 1)
        self.verb('undrain', str(node))
        self.assertIn('was not drained', self.verb('undrain', str(node)))

    def test_a_drain_of_a_dead_broker_says_what_it_does_not_help(self):
        self.start_cluster(3)
        self.cluster.create_topic('alone', 3, 1)
        dead = next(each['leader'] for each in self.cluster.partitions('alone') if each['leader'] != 1)
        index = next(each['partition'] for each in self.cluster.partitions('alone') if each['leader'] == dead)
        self.cluster.kill(dead)
        wait_until(lambda: self.broker(dead)['state'] == 'fenced', f'broker {dead} is fenced', 30)
        for words in (('drain', str(dead), '--dry-run'), ('drain', str(dead))):
            said = self.verb(*words)
            self.assertIn(f'cannot be moved, and has no leader: alone-{index}: broker {dead} has it alone, and does not run', said)
        health = self.cluster.sluice('cluster', 'health', '--server', self.node, check=False)
        self.assertIn(f'note: broker {dead} is drained', health.stdout)
        self.assertIn(f'sluice broker undrain {dead} lets it serve again', health.stdout)
        self.assertIn('would serve again, nothing changed', self.verb('undrain', str(dead), '--dry-run'))
        self.assertEqual(self.broker(dead)['goal'], 'drain')
        self.verb('undrain', str(dead))


if __name__ == '__main__':
    unittest.main(verbosity=2)
