"""Kafka's own MirrorMaker 2, unmodified, between two clusters of ours: records, topics and the positions of a group arrive in the other cluster, also those that were
written and committed while the coordinator of that group was killed."""
import pathlib
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import foreign  # noqa: E402
from cluster import OFFSETS_TOPIC, Cluster, partition_of_group, run, wait_until  # noqa: E402

TOPIC, COPY, PARTITIONS, GROUP, STEP_S_MAX = 'orders', 'primary.orders', 3, 'billing', 90
EVERY_SECOND = ('refresh.topics', 'refresh.groups', 'emit.checkpoints', 'sync.group.offsets', 'sync.topic.configs')
MADE = ('checkpoints.topic', 'offset-syncs.topic', 'heartbeats.topic', 'config.storage', 'offset.storage', 'status.storage')
SETTINGS = {'clusters': 'primary, backup', 'primary->backup.enabled': 'true', 'backup->primary.enabled': 'false', 'topics': TOPIC, 'groups': GROUP, 'offset.lag.max': 0,
            'sync.topic.acls.enabled': 'false', 'sync.group.offsets.enabled': 'true', 'replication.factor': 3,
            **{f'{what}.replication.factor': 3 for what in MADE}, **{f'{what}.interval.seconds': 1 for what in EVERY_SECOND}}


class MirrorMakerTest(unittest.TestCase):

    def setUp(self):
        foreign.java_classpath()
        self.primary = self.enterContext(Cluster(3))
        self.backup = self.enterContext(Cluster(3))
        self.primary.create_topic(TOPIC, PARTITIONS, 3, configs=['retention.ms=7200000'])
        self.written = 0

    def write(self, count):
        lines = ''.join(f'{n}:{n}\n' for n in range(self.written, self.written + count))
        run('kcat', '-P', '-b', self.primary.bootstrap(), '-t', TOPIC, '-K:', '-X', 'enable.idempotence=true', stdin=lines)
        self.written += count

    def read_and_commit(self, count):
        run('kcat', '-b', self.primary.bootstrap(), '-G', GROUP, '-q', '-c', str(count), '-X', 'auto.offset.reset=earliest', TOPIC)

    def start_mirror_maker(self):
        directory = pathlib.Path(self.primary.directory)
        config = directory / 'mirror.properties'
        lines = {**SETTINGS, 'primary.bootstrap.servers': self.primary.bootstrap(), 'backup.bootstrap.servers': self.backup.bootstrap()}
        config.write_text(''.join(f'{key}={value}\n' for key, value in lines.items()))
        with open(directory / 'mirror.log', 'w') as log:
            process = subprocess.Popen(foreign.java_command('org.apache.kafka.connect.mirror.MirrorMaker', str(config), heap='256m'), stdout=log, stderr=log)
        self.addCleanup(process.wait, STEP_S_MAX)
        self.addCleanup(process.send_signal, signal.SIGKILL)

    @staticmethod
    def positions(cluster, topic):
        """By partition (committed, log end) of the group."""
        lag = cluster.admin('group', 'lag', GROUP, check=False)
        return {partition['partition']: (partition['committed'], partition['log_end']) for partition in lag['partitions'] if partition['topic'] == topic} if lag else {}

    def wait_for(self, condition, what):
        begin = time.monotonic()
        try:
            wait_until(condition, what, STEP_S_MAX)
        except AssertionError as error:
            told = [self.positions(cluster, topic) for cluster, topic in ((self.primary, TOPIC), (self.backup, COPY))]
            raise AssertionError(f'{error}: {told}') from None
        print(f'  {time.monotonic() - begin:5.1f} s: {what}', flush=True)

    def copy(self):
        return self.backup.admin('topic', 'describe', COPY, check=False)

    def records(self, cluster, topic):
        return sorted(cluster.read_all(topic).splitlines())

    def wait_until_mirrored(self, what):
        expected = self.records(self.primary, TOPIC)
        self.assertEqual(len(expected), self.written)
        self.wait_for(lambda: self.records(self.backup, COPY) == expected, f'{len(expected)} records mirrored {what}')

    def all_read(self, cluster, topic):
        positions = self.positions(cluster, topic)
        return len(positions) == PARTITIONS and all(committed == end for committed, end in positions.values())

    def test_records_and_positions_are_mirrored_though_the_coordinator_is_killed(self):
        self.write(900)
        self.read_and_commit(900)
        self.start_mirror_maker()
        self.wait_for(lambda: self.copy() is not None, 'the topic is made')
        self.assertEqual(len(self.copy()['partitions']), PARTITIONS)
        self.wait_until_mirrored('at first')
        self.wait_for(lambda: self.all_read(self.backup, COPY), 'the group begins in the copy where it stood')
        partitions = self.primary.partitions(OFFSETS_TOPIC)
        self.primary.kill(partitions[partition_of_group(GROUP, len(partitions))]['leader'])
        self.write(600)
        self.read_and_commit(600)
        self.wait_for(lambda: self.all_read(self.primary, TOPIC), 'the group has read on without its coordinator')
        self.wait_until_mirrored('after the coordinator was killed')
        self.wait_for(lambda: self.all_read(self.backup, COPY), 'and its positions')
        self.wait_for(lambda: self.copy()['configs'].get('retention.ms') == '7200000', 'and the configs of the topic')


if __name__ == '__main__':
    unittest.main(verbosity=2)
