"""Partitions that move between real processes under producers with acks=all and a consumer: nothing acknowledged is lost, whoever dies in the middle."""
import json
import pathlib
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from cluster import Cluster, SteadyProducer, check_history, run, wait_until  # noqa: E402

NODES = 5
MOVE_S_MAX = 60


class Follower:
    """A kcat that reads a topic from its beginning while all else happens; what it saw, as (partition, offset, number)."""

    def __init__(self, cluster, topic):
        self.records = []
        self.process = subprocess.Popen(['kcat', '-C', '-u', '-q', '-b', cluster.bootstrap(), '-t', topic, '-o', 'beginning', '-f', '%p %o %s\n'],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.thread = threading.Thread(target=self.follow)
        self.thread.start()

    def follow(self):
        for line in self.process.stdout:
            self.records.append(tuple(map(int, line.split())))

    def end(self):
        self.process.kill()
        self.process.wait(timeout=30)
        self.thread.join()
        self.process.stdout.close()
        return self.records


class MovesTest(unittest.TestCase):

    def setUp(self):
        self.cluster = self.enterContext(Cluster(NODES))
        self.cluster.create_topic('orders', 3, 3, ['min.insync.replicas=2'])

    def partition(self, index):
        return self.cluster.partitions('orders')[index]

    def others(self, index):
        """Nodes that have no replica of it."""
        return [node for node in range(1, NODES + 1) if node not in self.partition(index)['replicas']]

    def move(self, index, target):
        self.cluster.admin('partition', 'move', 'orders', str(index), '--to', ','.join(map(str, target)))

    def wait_until_moved(self, index, target):
        def moved():
            now = self.partition(index)
            return now['replicas'] == target and not now['adding'] and sorted(now['isr']) == sorted(target)
        begin = time.monotonic()
        wait_until(moved, f'orders-{index} on {target}', MOVE_S_MAX)
        print(f'  orders-{index} is on {target} after {time.monotonic() - begin:.2f} s', flush=True)

    def has_log(self, node, index):
        return any(pathlib.Path(self.cluster.directory).glob(f'node-{node}/**/orders-{index}'))

    def check(self, producer, follower):
        summary = producer.finish()
        acks = summary['acks']
        check_history(self.cluster.read_all('orders'), acks, idempotent=True)
        acknowledged = {(partition, offset): number for number, partition, offset in acks}
        wait_until(lambda: {record[:2] for record in follower.records} >= set(acknowledged), 'the consumer has read all that was acknowledged', 30)
        for partition, offset, number in follower.end():
            self.assertEqual(acknowledged.get((partition, offset), number), number)
        print(f'  all {len(acks)} acknowledged records are there', flush=True)

    def test_partitions_move_though_nodes_die(self):
        with SteadyProducer(self.cluster, 'orders', rate=500).running() as producer:
            follower = Follower(self.cluster, 'orders')
            self.addCleanup(lambda: follower.process.poll() is None and follower.end())
            producer.wait_for_acks(1000)

            # Nobody dies: the first partition goes to other nodes, its leader too.
            first = self.partition(0)['replicas']
            target = self.others(0) + first[1:2]
            self.move(0, target)
            self.wait_until_moved(0, target)
            self.assertEqual(self.partition(0)['leader'], target[0])
            wait_until(lambda: not self.has_log(first[0], 0), f'the log of orders-0 on node {first[0]} is deleted', 30)

            # One that is to stay is away: the move waits for it, and is given up. Begun anew, it ends when that one is back.
            before = self.partition(1)['replicas']
            away = next(node for node in before if node != self.partition(1)['leader'])
            new = self.others(1)[0]
            target = [new] + [node for node in before if node != self.partition(1)['leader']]
            self.cluster.kill(away)
            wait_until(lambda: away not in self.partition(1)['isr'], f'node {away} is out of sync', 30)
            self.move(1, target)
            wait_until(lambda: new in self.partition(1)['isr'], f'node {new} is in sync', 30)
            self.cluster.admin('partition', 'cancel', 'orders', '1')
            now = self.partition(1)
            self.assertEqual((sorted(now['replicas']), now['adding'], now['removing']), (sorted(before), [], []))
            wait_until(lambda: not self.has_log(new, 1), f'the log of orders-1 on node {new} is deleted', 30)
            self.move(1, target)
            self.cluster.start(away)
            self.wait_until_moved(1, target)

            # The target dies just when it has been asked.
            target = self.others(1)[:1] + self.partition(1)['replicas'][1:]
            self.move(1, target)
            self.cluster.kill(target[0])
            self.cluster.start(target[0])
            self.wait_until_moved(1, target)

            # The leader dies in the middle, and is one of those to be dropped.
            leader = self.partition(2)['leader']
            target = self.others(2) + [node for node in self.partition(2)['replicas'] if node != leader][:1]
            acks = producer.acks_so_far()
            self.move(2, target)
            self.cluster.kill(leader)
            self.wait_until_moved(2, target)
            producer.wait_for_acks(acks + 1000)
            self.cluster.start(leader)
            wait_until(lambda: self.active(leader), f'node {leader} is back', 30)
            self.cluster.admin('partition', 'elect', '--all')
            self.check(producer, follower)

    def active(self, node):
        return any(n['id'] == node and n['state'] == 'active' for n in self.cluster.admin('cluster', 'describe')['nodes'])

    def test_an_unclean_election_takes_who_has_the_most(self):
        """Who led last, and at the end alone, is gone for good. Of the others the second has more, and nothing of it is cut."""
        self.cluster.create_topic('left', 1, 3, ['min.insync.replicas=1'])
        last, first, second = self.cluster.partitions('left')[0]['replicas']
        written = 0

        def write_ten():
            nonlocal written
            text = ''.join(f'{number}\n' for number in range(written, written + 10))
            run('kcat', '-P', '-b', self.cluster.bootstrap(), '-t', 'left', '-X', 'acks=all', stdin=text)
            written += 10

        def partition():
            return self.cluster.partitions('left')[0]
        write_ten()
        for node, isr in ((first, [last, second]), (second, [last])):
            self.cluster.kill(node)
            wait_until(lambda isr=isr: sorted(partition()['isr']) == sorted(isr), f'the ISR is {isr}', 30)
            write_ten()
        self.cluster.kill(last)
        for node in (first, second):
            self.cluster.start(node)
        wait_until(lambda: self.active(first) and self.active(second) and not self.active(last), 'two of three are back', 30)
        self.assertNotIn(partition()['leader'], [first, second])
        wait_until(lambda: self.cluster.admin('partition', 'elect', 'left', '0', '--unclean', check=False) and partition()['leader'] == second,
                   f'node {second} leads', 10)
        wait_until(lambda: sorted(partition()['isr']) == sorted([first, second]), 'the other one follows', 30)
        self.assertEqual(self.cluster.read_all('left', '%s\n').decode().split(), [str(number) for number in range(written - 10)])

    def test_what_cannot_be_is_said_in_three_lines(self):
        node = self.cluster.addresses[1]['grpc']

        def refuse(code, *words):
            done = self.cluster.sluice('partition', *words, '--server', node, check=False)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertEqual([line.split(':')[0].strip() for line in done.stderr.strip().splitlines()], ['sluice', 'why', 'do'], done.stderr)
            return done.stderr
        replicas = self.partition(0)['replicas']
        self.assertIn('broker 9 is not registered', refuse(2, 'move', 'orders', '0', '--to', '1,2,9'))
        self.assertIn('from 3 to 2', refuse(2, 'move', 'orders', '0', '--to', '1,2'))
        self.assertIn("'nothing' does not exist", refuse(3, 'move', 'nothing', '0', '--to', '1,2,3'))
        self.assertIn('no partition 7', refuse(3, 'elect', 'orders', '7'))
        self.assertIn('is not being reassigned', refuse(1, 'cancel', 'orders', '0'))
        refuse(2, 'move', 'orders', '0')
        refuse(2, 'elect', '--unclean', '--all')
        self.assertEqual(self.partition(0)['replicas'], replicas)
        # Dry runs change nothing, and the leader that leads is no failure.
        others = ','.join(map(str, self.others(0) + replicas[:1]))
        outcome, = self.cluster.admin('partition', 'move', 'orders', '0', '--to', others, '--dry-run')['partitions']
        self.assertEqual((outcome['replicas'], outcome['would_be']['replicas']), (replicas, [int(node) for node in others.split(',')]))
        self.assertEqual(self.partition(0)['replicas'], replicas)
        self.assertEqual(self.cluster.admin('partition', 'elect', 'orders', '0')['partitions'][0]['code'], 'ELECTION_NOT_NEEDED')
        plan = pathlib.Path(self.cluster.directory) / 'moves.json'
        plan.write_text(json.dumps({'version': 1, 'partitions': [{'topic': 'orders', 'partition': 0, 'replicas': replicas[:2], 'log_dirs': ['any', 'any']}]}))
        moved = self.cluster.admin('partition', 'move', '--file', str(plan), '--change-replication-factor', '--wait')
        self.assertEqual(moved['partitions'][0]['replicas'], replicas[:2])
        self.assertEqual(self.cluster.admin('partition', 'list', '--moving')['partitions'], [])


if __name__ == '__main__':
    unittest.main(verbosity=2)
