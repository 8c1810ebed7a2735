"""Unmodified clients in groups of the classic protocol, all at once on one cluster: members join, leave, are killed and paused while the one coordinator of all the
groups is killed. Every acknowledged record is read at least once, no group ends stuck, no committed offset moves back or is lost."""
import json
import pathlib
import re
import signal
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import foreign  # noqa: E402
from cluster import OFFSETS_TOPIC, Cluster, SteadyProducer, partition_of_group, wait_until  # noqa: E402

TOPIC, PARTITIONS, RATE = 'orders', 6, 200
# Those that tell of each acknowledged commit, and those that do not.
TELLING = ('confluent-range', 'confluent-cooperative', 'confluent-static', 'aiokafka', 'verifiable-consumer')
SILENT = ('console-consumer', 'kcat', 'kafka-python', 'kafkajs', 'kafka-go', 'sarama')
# kafka-go hands out what it had fetched in an old generation and commits that in the new one, in which it began at the last position committed before. aiokafka (0.14.0 and
# before: commit_offsets) repeats a commit that its coordinator's death has cut off under the generation that it has by then, though the partition has been another's meanwhile.
# librdkafka repeats a commit of its timer that was in flight when its coordinator died, after later ones (kcat; those of confluent here commit one at a time).
GOING_BACK = ('kafka-go', 'aiokafka', 'kcat')
# kcat drops the record that it has in hand when SIGTERM comes, after librdkafka has taken it for read and before it is printed. One member of each group gets SIGTERM.
NOT_READ_MAX = {'kcat': 1}
JAVA = ('console-consumer', 'verifiable-consumer')
GROUPS_TOOL = 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand'
# As the members of ours print it, or as Kafka's console consumer does; one that was killed may leave a part of a line.
RECORD = re.compile(r'(?:Partition:)?(\d+) (?:Offset:)?(\d+) (\d+)\n')
STEP_S_MAX = 120  # for what takes about a session, where much else is done and JVMs start


def commits_of(stored):
    """(group, topic, partition, offset) of each commit in what `read_all` with %K %S %k%s gave, in the order of the log."""
    at = 0
    while at < len(stored):
        end = stored.index(b'|', at)
        key_size, value_size = map(int, stored[at:end].split())
        key, value = stored[end + 1:end + 1 + key_size], stored[end + 1 + key_size:end + 1 + key_size + max(value_size, 0)]
        at = end + 1 + len(key) + len(value)
        if value_size <= 0 or struct.unpack_from('>h', key)[0] not in (0, 1):
            continue
        group_size, = struct.unpack_from('>h', key, 2)
        topic_size, = struct.unpack_from('>h', key, 4 + group_size)
        topic_at = 6 + group_size
        yield (key[4:4 + group_size].decode(), key[topic_at:topic_at + topic_size].decode(),
               struct.unpack_from('>i', key, topic_at + topic_size)[0], struct.unpack_from('>q', value, 2)[0])


def verifiable_consumer(bootstrap, group, protocol):
    ours = {'classic': ('--session-timeout', '6000', '--assignment-strategy', 'org.apache.kafka.clients.consumer.CooperativeStickyAssignor'),
            'consumer': ('--group-protocol', 'consumer')}[protocol]  # there the broker says how long a session lasts
    return foreign.java_command('org.apache.kafka.tools.VerifiableConsumer', '--bootstrap-server', bootstrap, '--topic', TOPIC, '--group-id', group, '--verbose',
                                '--reset-policy', 'earliest', *ours)


def console_consumer(bootstrap, group, protocol):
    settings = {'group.protocol': protocol, 'auto.commit.interval.ms': 100, **({'session.timeout.ms': 6000} if protocol == 'classic' else {})}
    settings = [word for key, value in settings.items() for word in ('--consumer-property', f'{key}={value}')]
    shown = [word for property_ in ('print.partition=true', 'print.offset=true', 'key.separator= ') for word in ('--formatter-property', property_)]
    return foreign.java_command('org.apache.kafka.tools.consumer.ConsoleConsumer', '--bootstrap-server', bootstrap, '--topic', TOPIC, '--group', group, '--from-beginning',
                                *settings, *shown)


def kcat(bootstrap, group):
    settings = {'session.timeout.ms': 6000, 'heartbeat.interval.ms': 1000, 'auto.commit.interval.ms': 100, 'auto.offset.reset': 'earliest'}
    return ['kcat', '-b', bootstrap, '-G', group, '-u', '-f', '%p %o %s\n', *(word for key, value in settings.items() for word in ('-X', f'{key}={value}')), TOPIC]


class Member:
    """One consumer process; `read` grows while it reads, `committed` has its last acknowledged commits, of the clients that tell them."""

    def __init__(self, command, options):
        self.read, self.committed, self.log = {}, {}, []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        self.threads = [threading.Thread(target=self.follow, args=arguments, daemon=True)
                        for arguments in ((self.process.stdout, self.take), (self.process.stderr, self.log.append))]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def follow(stream, take):
        with stream:
            for line in stream:
                take(line)

    def take(self, line):
        if line.startswith('{'):
            event = json.loads(line)
            if event['name'] == 'record_data':
                self.read[event['partition'], event['offset']] = int(event['value'])
            elif event['name'] == 'offsets_committed' and event['success']:
                self.committed.update((position['partition'], position['offset']) for position in event['offsets'])
            elif event['name'] == 'offsets_committed':
                self.log.append(line)
        elif line.startswith('committed '):
            partition, offset = map(int, line.split()[1:])
            self.committed[partition] = offset
        elif RECORD.fullmatch(line):
            partition, offset, value = map(int, RECORD.fullmatch(line).groups())
            self.read[partition, offset] = value
        else:
            self.log.append(line)

    def end(self, how):
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(timeout=STEP_S_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            for thread in self.threads:
                thread.join()


class Group:
    """The group of one kind of client and everything that its members ever read."""

    def __init__(self, test, client, name):
        self.test, self.client, self.name = test, client, name
        self.members = []

    def start(self, count=1):
        for _ in range(count):
            command, options = self.test.member_command(self, f'instance-{len(self.members)}')
            self.members.append(Member(command, options))
            self.test.addCleanup(self.members[-1].end, signal.SIGKILL)

    def read(self):
        return {record: value for member in self.members for record, value in list(member.read.items())}

    def not_read(self, acknowledged):
        read = self.read()
        return sorted(record for record, value in acknowledged.items() if read.get(record) != value)

    def tell(self):
        return ''.join(f'\n  member {n}, {"ended with" if member.process.poll() is not None else "runs"} {member.process.poll()}, {len(member.read)} records; '
                       + ' | '.join(line.strip() for line in member.log[-6:]) for n, member in enumerate(self.members))


class GroupsTest(unittest.TestCase):
    PROTOCOL, TELLING, SILENT = 'classic', TELLING, SILENT
    SETTINGS = ('group.initial.rebalance.delay.ms=500',)

    @classmethod
    def setUpClass(cls):
        foreign.java_classpath()
        cls.python = foreign.python_with_clients()
        cls.node = foreign.node_directory()
        cls.go = foreign.go_member()

    def member_command(self, group, instance):
        bootstrap = self.cluster.bootstrap()
        if group.client == 'kafkajs':
            return (['node', str(foreign.COMPAT / 'kafkajs_member.js'), bootstrap, group.name, TOPIC],
                    {'cwd': self.node, 'env': {'NODE_PATH': str(self.node / 'node_modules'), 'PATH': '/usr/bin:/bin:/usr/local/bin'}})
        if group.client in ('kafka-go', 'sarama'):
            return [self.go, group.client, bootstrap, group.name, TOPIC], {}
        if group.client == 'kcat':
            return kcat(bootstrap, group.name), {}
        if group.client == 'verifiable-consumer':
            return verifiable_consumer(bootstrap, group.name, self.PROTOCOL), {}
        if group.client == 'console-consumer':
            return console_consumer(bootstrap, group.name, self.PROTOCOL), {}
        return [self.python, str(foreign.COMPAT / 'group_member.py'), group.client, bootstrap, group.name, TOPIC, instance], {}

    def names_of_one_coordinator(self):
        """For each client the id of a group; one node leads the partitions of all of them."""
        partitions = wait_until(lambda: self.offsets_partitions(), 'the offsets topic with leaders', 30)
        node = partitions[0]['leader']
        for client in (*self.TELLING, *self.SILENT):
            yield client, next(name for name in (f'{client}-{n}' for n in range(1000)) if partitions[partition_of_group(name, len(partitions))]['leader'] == node)

    def offsets_partitions(self):
        self.describe('nobody', '--state')  # who asks for a coordinator brings the topic about
        partitions = self.cluster.partitions(OFFSETS_TOPIC)
        return partitions if all(partition['leader'] > 0 for partition in partitions) else None

    def wait_for(self, groups, condition, what):
        """Until `condition` holds for each of the groups; tells which ones it does not hold for."""
        begin = time.monotonic()
        try:
            wait_until(lambda: all(map(condition, groups)), what, STEP_S_MAX)
        except AssertionError as error:
            late = [group for group in groups if not condition(group)]
            told = [group.name + group.tell() + ''.join(self.describe(group.name, what) for what in ('--state', '--members', '--offsets')) for group in late]
            raise AssertionError(f'{error}: ' + '\n'.join(told)) from None
        print(f'  {time.monotonic() - begin:5.1f} s: {what}', flush=True)

    def describe(self, name, what):
        return foreign.kafka_tool(GROUPS_TOOL, '--bootstrap-server', self.cluster.bootstrap(), '--describe', '--group', name, what, check=False).stdout

    def wait_for_progress(self, groups, members_of, what):
        """Until each of the members has read something new."""
        before = {id(member): len(member.read) for group in groups for member in members_of(group)}
        self.wait_for(groups, lambda group: all(len(member.read) > before.get(id(member), 0) for member in members_of(group)), what)

    def test_members_come_and_go_while_their_coordinator_is_killed(self):
        with Cluster(3, settings=self.SETTINGS) as self.cluster:
            self.cluster.create_topic(TOPIC, PARTITIONS, 3)
            names = list(self.names_of_one_coordinator())
            partitions = self.cluster.partitions(OFFSETS_TOPIC)
            coordinator = partitions[partition_of_group(names[0][1], len(partitions))]['leader']
            groups = [Group(self, client, name) for client, name in names]
            with SteadyProducer(self.cluster, TOPIC, rate=RATE).running() as producer:
                self.disturb(groups, coordinator)
                acknowledged = {(partition, offset): number for number, partition, offset in producer.finish()['acks']}
            self.wait_for_all(groups, acknowledged)
            self.check_protocol(groups)
            for group in groups:
                for member in group.members:
                    member.end(signal.SIGTERM)
                self.assertEqual({value for record, value in group.read().items() if acknowledged.get(record, value) != value}, set(), group.name)
            self.check_commits(groups)

    def wait_for_all(self, groups, acknowledged):
        try:
            self.wait_for(groups, lambda group: len(group.not_read(acknowledged)) <= NOT_READ_MAX.get(group.client, 0), f'all {len(acknowledged)} acknowledged records read by every group')
        except AssertionError as error:
            missing = {group.name: group.not_read(acknowledged) for group in groups}
            raise AssertionError(f'{error}; (partition, offset) not read: ' + ', '.join(f'{name}: {len(records)}, {records[:10]}' for name, records in missing.items() if records)) from None

    def disturb(self, groups, coordinator):
        for group in groups:
            group.start(3)
        self.wait_for_progress(groups, lambda group: group.members, 'three members of each group read')
        for group in groups:
            killed, paused, _ = group.members
            killed.process.kill()
            paused.process.send_signal(signal.SIGSTOP)
        self.cluster.kill(coordinator)
        for group in groups:
            group.start()
        self.wait_for_progress(groups, lambda group: group.members[2:], 'the healthy one and a new one read on')
        for group in groups:
            group.members[1].process.send_signal(signal.SIGCONT)
        self.cluster.start(coordinator)
        self.wait_for_progress(groups, lambda group: self.revived(group)[1:4], 'the one that was paused reads again')
        for group in groups:
            group.members[2].process.terminate()
        self.wait_for_progress(groups, lambda group: self.revived(group)[1:4:2], 'one left, two read on')

    def revived(self, group):
        """Java's client for the consumer protocol may end when it is put out of the group while it hands out records ("No current assignment for partition": its two threads
        are in each other's way), and is started anew."""
        if self.PROTOCOL == 'consumer' and group.client in JAVA and group.members[1].process.poll() is not None:
            group.start()
            group.members[1], group.members[-1] = group.members[-1], group.members[1]
        return group.members

    def check_protocol(self, groups):
        listed = foreign.kafka_tool(GROUPS_TOOL, '--bootstrap-server', self.cluster.bootstrap(), '--list', '--type').stdout
        types = dict(line.split() for line in listed.splitlines())
        self.assertEqual({types[group.name].lower() for group in groups}, {self.PROTOCOL})

    def check_commits(self, groups):
        """In the log of commits, which has not been compacted yet, no offset goes back, and none is missing that was acknowledged."""
        last = {}
        for group, topic, partition, offset in commits_of(self.cluster.read_all(OFFSETS_TOPIC, '%K %S|%k%s')):
            if not group.startswith(GOING_BACK):
                self.assertGreaterEqual(offset, last.get((group, partition), 0), f'{group}, partition {partition}: a committed offset moved back')
            self.assertEqual(topic, TOPIC)
            last[group, partition] = offset
        for group in groups:
            self.assertEqual({partition for name, partition in last if name == group.name}, set(range(PARTITIONS)), group.name)
            for member in group.members:
                for partition, offset in member.committed.items():
                    self.assertGreaterEqual(last[group.name, partition], offset, f'{group.name}, partition {partition}: an acknowledged commit is lost')
        told = {group.client for group in groups if any(member.committed for member in group.members)}
        self.assertEqual(told, set(self.TELLING))


if __name__ == '__main__':
    unittest.main(verbosity=2)
