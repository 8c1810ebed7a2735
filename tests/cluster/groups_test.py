"""Consumer groups on real processes: kcat's members go on over the death of their coordinator, and nobody starts over."""
import collections
import pathlib
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from cluster import OFFSETS_TOPIC, Cluster, SteadyProducer, partition_of_group, wait_until  # noqa: E402

STOPPED_S_MAX = 10  # for tests; the figure is measured elsewhere


class Member:
    """One `kcat -G` in the background; `records` grows while it reads."""

    def __init__(self, cluster, group, topic, **properties):
        self.records, self.log = [], []
        settings = {'auto.offset.reset': 'earliest', 'auto.commit.interval.ms': '100', 'session.timeout.ms': '6000', **properties}
        words = [word for key, value in settings.items() for word in ('-X', f'{key.replace("_", ".")}={value}')]
        self.process = subprocess.Popen(['kcat', '-b', cluster.bootstrap(), *words, '-u', '-f', '%p %o %s\n', '-G', group, topic],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.threads = [threading.Thread(target=self.follow, args=(self.process.stdout, self.take)),
                        threading.Thread(target=self.follow, args=(self.process.stderr, self.log.append))]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def follow(stream, take):
        for line in stream:
            take(line)

    def take(self, line):
        partition, offset, value = line.split()
        self.records.append((int(partition), int(offset), int(value)))

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(timeout=30)
        for thread in self.threads:
            thread.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return self.records


class GroupsTest(unittest.TestCase):

    def member(self, *arguments, **properties):
        member = Member(*arguments, **properties)
        self.addCleanup(lambda: member.process.poll() is None and member.end(signal.SIGKILL))
        return member

    def coordinator(self, cluster, group):
        partitions = cluster.partitions(OFFSETS_TOPIC)
        return partitions[partition_of_group(group, len(partitions))]['leader']

    def test_a_group_outlives_its_coordinator(self):
        group, topic = 'the-group', 'orders'
        with Cluster(3, settings=['group.initial.rebalance.delay.ms=100']) as cluster:
            cluster.create_topic(topic, 6, 3)
            with SteadyProducer(cluster, topic, rate=500).running() as producer:
                members = [self.member(cluster, group, topic) for _ in range(2)]
                wait_until(lambda: all(len(member.records) > 500 for member in members), 'both members read', 30)
                killed = self.coordinator(cluster, group)
                cluster.kill(killed)
                begin = time.monotonic()
                before = [len(member.records) for member in members]
                wait_until(lambda: all(len(member.records) > count + 500 for member, count in zip(members, before)), 'both members read on', 30)
                print(f'  500 more records for each member {time.monotonic() - begin:.2f} s after the coordinator, node {killed}, was killed', flush=True)
                self.assertNotEqual(self.coordinator(cluster, group), killed)
                summary = producer.finish()
            read = [record for member in members for record in member.end()]
            third = self.member(cluster, group, topic)
            acknowledged = {(partition, offset): number for number, partition, offset in summary['acks']}
            wait_until(lambda: {record[:2] for record in read + third.records} >= set(acknowledged), 'every acknowledged record read', 30)
            again = third.end()
            for partition, offset, number in read + again:
                self.assertEqual(acknowledged.get((partition, offset), number), number)
            firsts = collections.defaultdict(lambda: sys.maxsize)
            for partition, offset, _ in again:
                firsts[partition] = min(firsts[partition], offset)
            self.assertTrue(all(offset > 0 for offset in firsts.values()), f'the third member began anew: {dict(firsts)}')

    def test_positions_outlive_the_death_of_all_nodes(self):
        group, topic = 'other-group', 'payments'
        with Cluster(3, settings=['group.initial.rebalance.delay.ms=100']) as cluster:
            cluster.create_topic(topic, 3, 3)
            with SteadyProducer(cluster, topic, rate=500).running() as producer:
                first = self.member(cluster, group, topic)
                wait_until(lambda: len(first.records) > 1000, 'a member reads', 30)
                first.end()
                count = len(first.records)
                cluster.kill_all()
                producer.abandon()
            cluster.start_all()
            second = self.member(cluster, group, topic)
            wait_until(lambda: len(second.records) > 0 or second.process.poll() is not None, 'the next member reads', 30)
            again = {record[:2] for record in second.end()} & {record[:2] for record in first.records}
            self.assertEqual(again, set(), f'of {count} records whose positions were committed {len(again)} came again')


if __name__ == '__main__':
    unittest.main(verbosity=2)
