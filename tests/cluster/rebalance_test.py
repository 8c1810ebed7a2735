"""A cluster that is evened out while clients work: at the rate that was asked for, and the rate is gone whoever ends the moves, and however."""
import json
import pathlib
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from cluster import SLUICE, Cluster, SteadyProducer, check_history, run, wait_until  # noqa: E402

SILENCE_MS_MAX = 3 * 150  # at most, on a shared machine; bench/planned_stop.py measures it
LINE = 'x' * 999 + '\n'


class RebalanceTest(unittest.TestCase):

    def setUp(self):
        self.cluster = self.enterContext(Cluster(4))
        # Broker 4 is as good as new: it gets nothing of what is made while it is drained.
        self.cluster.admin('broker', 'drain', '4')

    def fill(self, topic, partitions, bytes_each):
        for partition in range(partitions):
            run('kcat', '-P', '-b', self.cluster.bootstrap(), '-t', topic, '-p', str(partition), '-X', 'acks=all', stdin=LINE * (bytes_each // len(LINE)))

    def moving(self):
        return self.cluster.admin('partition', 'list', '--moving')['partitions']

    def no_throttle_left(self):
        return all(each['move_bytes_per_second'] == 0 for each in self.cluster.admin('partition', 'list')['partitions'])

    def begin_run(self, *words):
        """A run in a process of its own, once it moves something."""
        command = [str(part) for part in (SLUICE, 'cluster', 'rebalance', 'run', '--server', self.cluster.addresses[1]['grpc'], *words)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        wait_until(self.moving, 'something moves', 30)
        return process

    def test_a_new_broker_is_filled_at_the_rate_that_was_asked_for(self):
        self.cluster.create_topic('heavy', 8, 3, ['min.insync.replicas=2'])
        self.cluster.create_topic('orders', 3, 3, ['min.insync.replicas=2'])
        self.fill('heavy', 8, 3_000_000)
        self.cluster.admin('broker', 'undrain', '4')
        with SteadyProducer(self.cluster, 'orders', rate=500).running() as producer:
            producer.wait_for_acks(500)
            self.given_up()
            self.left_alone()
            self.carried_out()
            summary = producer.finish()
        self.assertEqual(summary['failed'], 0)
        check_history(self.cluster.read_all('orders'), summary['acks'], idempotent=True)
        print(f'  longest silence {summary["longest_silence_ms"]} ms, no client error', flush=True)
        self.assertLessEqual(summary['longest_silence_ms'], SILENCE_MS_MAX)

    def given_up(self):
        """A run so slow that it would not end, and somebody who gives its moves up."""
        process = self.begin_run('--throttle', '16KiB', '--in-flight', '3')
        self.assertEqual({each['move_bytes_per_second'] for each in self.moving()}, {16384})
        self.assertGreaterEqual(self.cluster.admin('cluster', 'rebalance', 'cancel')['cancelled'], 1)
        _, said = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 7, said)
        self.assertIn('cancelled by another command', said)
        wait_until(lambda: not self.moving(), 'nothing moves', 30)
        self.assertTrue(self.no_throttle_left())

    def left_alone(self):
        """The program that asked dies; what it has begun ends by itself, and the rate with it."""
        process = self.begin_run('--throttle', '2MiB', '--in-flight', '1')
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        wait_until(lambda: not self.moving(), 'what had begun has ended', 60)
        self.assertTrue(self.no_throttle_left())

    def carried_out(self):
        rate = 2 << 20
        plan = self.cluster.admin('cluster', 'rebalance', 'plan', '--throttle', '2MiB')
        bar = plan['seconds']
        self.assertGreaterEqual(bar, 4, plan)
        begin = time.monotonic()
        self.cluster.admin('cluster', 'rebalance', 'run', '--throttle', '2MiB')
        slow = time.monotonic() - begin
        self.assertTrue(self.no_throttle_left())
        self.assertEqual(self.cluster.admin('cluster', 'rebalance', 'plan')['partitions'], [])
        # All of it back, as fast as can be.
        back = {'partitions': [{**each, 'replicas': each['from']} for each in plan['partitions']]}
        path = pathlib.Path(self.cluster.directory) / 'back.json'
        path.write_text(json.dumps(back))
        begin = time.monotonic()
        self.cluster.admin('partition', 'move', '--file', str(path), '--wait', '--timeout-ms', '60000')
        fast = time.monotonic() - begin
        print(f'  {plan["copied_bytes"]} bytes at {rate} B/s for each broker: {slow:.1f} s, about {bar} s were foretold; without a rate {fast:.1f} s', flush=True)
        self.assertGreater(slow, fast)
        # A second's worth goes at once, and what is asked for last is paid for later.
        self.assertGreater(slow, (bar - 2) * 0.8)
        self.assertLess(slow, bar * 3)

    def test_without_a_controller_a_run_ends_and_what_is_remembered_is_marked(self):
        self.cluster.create_topic('heavy', 8, 3, ['min.insync.replicas=2'])
        self.fill('heavy', 8, 1_000_000)
        self.cluster.admin('broker', 'undrain', '4')
        process = self.begin_run('--throttle', '16KiB', '--controller-timeout-ms', '7000')
        self.cluster.kill(3)
        self.cluster.kill(4)
        begin = time.monotonic()
        _, said = process.communicate(timeout=60)
        self.assertLess(time.monotonic() - begin, 30)
        self.assertEqual(process.returncode, 7, said)
        self.assertRegex(said, r'(?m)^no active controller has answered for \d+ s, trying on')
        self.assertRegex(said, r'why: no active controller has answered for \d+ s')
        for words in (('broker', 'list'), ('topic', 'describe', 'heavy'), ('topic', 'list'), ('partition', 'list'), ('cluster', 'describe'), ('cluster', 'health')):
            told = self.cluster.admin(*words, node=1, check=False)['remembered']
            self.assertEqual(told['node'], 1)
            self.assertGreater(told['metadata_index'], 0)
            done = self.cluster.sluice(*words, '--server', self.cluster.addresses[1]['grpc'], check=False)
            self.assertRegex(done.stderr, r'no active controller: this is what node 1 knew \d+ s ago')
            self.assertEqual(done.returncode, 10 if words[1] == 'health' else 0)
        self.assertEqual(self.cluster.sluice('quorum', 'status', '--server', self.cluster.addresses[1]['grpc'], check=False).returncode, 6)
        self.cluster.start(3)
        self.cluster.start(4)
        wait_until(lambda: 'remembered' not in self.cluster.admin('broker', 'list', node=1), 'a controller is active', 30)
        self.cluster.stop_node(4)
        states = lambda: {each['id']: each['state'] for each in self.cluster.admin('broker', 'list', node=1)['brokers']}  # noqa: E731
        wait_until(lambda: states()[4] == 'stopped', 'node 4 is stopped', 20)

    def test_busy_leads_change_places_with_quiet_ones(self):
        self.cluster.create_topic('busy', 4, 2, ['min.insync.replicas=1'])
        for partition, replicas in enumerate(('1,2', '1,2', '2,1', '2,1')):
            self.cluster.admin('partition', 'move', 'busy', str(partition), '--to', replicas, '--wait')
        self.cluster.admin('broker', 'drain', '3')
        self.cluster.elect_preferred_leaders()
        ended = threading.Event()

        def write(partition):
            while not ended.is_set():
                run('kcat', '-P', '-b', self.cluster.bootstrap(), '-t', 'busy', '-p', str(partition), '-X', 'acks=all', stdin=LINE * 2000)
                ended.wait(1)
        writers = [threading.Thread(target=write, args=(partition,)) for partition in (0, 1)]
        for writer in writers:
            writer.start()
        try:
            plan = wait_until(self.plan_with_moves, 'a plan that knows rates', 60)
            self.assertEqual((len(plan['partitions']), plan['copied_bytes']), (2, 0), plan)
            for move in plan['partitions']:
                self.assertRegex(move['reason'], r'^broker 1 takes [0-9.]+ MiB/s as a leader, the mean is [0-9.]+ ')
            self.cluster.admin('cluster', 'rebalance', 'run')
            self.assertEqual(self.cluster.admin('cluster', 'rebalance', 'plan')['partitions'], [])
            self.assertNotEqual(*(partition['leader'] for partition in self.cluster.partitions('busy')[:2]))
        finally:
            ended.set()
            for writer in writers:
                writer.join()

    def plan_with_moves(self):
        plan = self.cluster.admin('cluster', 'rebalance', 'plan')
        return plan if plan['partitions'] else None

    def test_what_is_no_rate_is_refused(self):
        for words in (('cluster', 'rebalance', 'plan'), ('cluster', 'rebalance', 'run'), ('partition', 'move', 'orders', '0', '--to', '1')):
            done = self.cluster.sluice(*words, '--throttle', '50 parsecs', '--server', self.cluster.addresses[1]['grpc'], check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertEqual([line.split(':')[0].strip() for line in done.stderr.strip().splitlines()], ['sluice', 'why', 'do'], done.stderr)
            self.assertIn('50 parsecs', done.stderr)


if __name__ == '__main__':
    unittest.main(verbosity=2)
