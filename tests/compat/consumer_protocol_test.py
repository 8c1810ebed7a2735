"""Unmodified clients in a group of the consumer protocol (KIP-848): librdkafka and Java beside a member of the classic protocol, which was there before them and stays
after them, while the coordinator is killed. Every acknowledged record is read at least once, and the group is of the protocol that its members make it."""
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import foreign  # noqa: E402
from cluster import OFFSETS_TOPIC, Cluster, SteadyProducer, partition_of_group, wait_until  # noqa: E402
from groups_test import STEP_S_MAX, Group, verifiable_consumer  # noqa: E402

TOPIC, PARTITIONS, RATE, NAME = 'orders', 6, 200, 'moving'


class ConsumerProtocolTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        foreign.java_classpath()
        cls.python = foreign.python_with_clients()

    def member_command(self, group, instance):
        bootstrap = self.cluster.bootstrap()
        if group.client == 'verifiable-consumer':
            return verifiable_consumer(bootstrap, group.name, 'consumer'), {}
        return [self.python, str(foreign.COMPAT / 'group_member.py'), group.client, bootstrap, group.name, TOPIC, instance], {}

    def group_type(self):
        """As Kafka's own tool lists it."""
        listed = foreign.kafka_tool('org.apache.kafka.tools.consumer.group.ConsumerGroupCommand', '--bootstrap-server', self.cluster.bootstrap(), '--list', '--type').stdout
        return next((line.split()[1].lower() for line in listed.splitlines() if line.split()[:1] == [NAME]), None)

    def wait_for_progress(self, groups, what):
        """Until all their running members have read something new."""
        members = [member for group in groups for member in group.members if member.process.poll() is None]
        before = [len(member.read) for member in members]
        try:
            wait_until(lambda: all(len(member.read) > count for member, count in zip(members, before)), what, STEP_S_MAX)
        except AssertionError as error:
            raise AssertionError(f'{error}: ' + '\n'.join(group.client + group.tell() for group in groups)) from None
        print(f'  {what}', flush=True)

    def test_a_group_moves_to_the_consumer_protocol_and_back(self):
        with Cluster(3, settings=['group.initial.rebalance.delay.ms=100']) as self.cluster:
            self.cluster.create_topic(TOPIC, PARTITIONS, 3)
            classic, librdkafka, java = groups = [Group(self, client, NAME) for client in ('confluent-cooperative', 'confluent-consumer', 'verifiable-consumer')]
            with SteadyProducer(self.cluster, TOPIC, rate=RATE).running() as producer:
                classic.start()
                self.wait_for_progress([classic], 'the classic member reads')
                self.assertEqual(self.group_type(), 'classic')
                librdkafka.start()
                java.start()
                self.wait_for_progress(groups, 'one of each protocol and client reads')
                self.assertEqual(self.group_type(), 'consumer')
                partitions = self.cluster.partitions(OFFSETS_TOPIC)
                self.cluster.kill(partitions[partition_of_group(NAME, len(partitions))]['leader'])
                self.wait_for_progress(groups, 'all three read on without the coordinator that they had')
                for group in (librdkafka, java):
                    group.members[0].end(signal.SIGTERM)
                wait_until(lambda: self.group_type() == 'classic', 'the group is a classic one again', STEP_S_MAX)
                self.wait_for_progress([classic], 'the classic member reads on')
                acknowledged = {(partition, offset): number for number, partition, offset in producer.finish()['acks']}

            def missing():
                read = {record for group in groups for record in group.read()}
                return set(acknowledged) - read
            wait_until(lambda: not missing(), f'all {len(acknowledged)} acknowledged records read', STEP_S_MAX)

    def test_the_java_console_consumer(self):
        with Cluster(3) as self.cluster:
            self.cluster.create_topic(TOPIC, PARTITIONS, 3)
            with SteadyProducer(self.cluster, TOPIC, rate=RATE).running() as producer:
                read = foreign.kafka_tool('org.apache.kafka.tools.consumer.ConsoleConsumer', '--bootstrap-server', self.cluster.bootstrap(), '--topic', TOPIC,
                                          '--group', NAME, '--from-beginning', '--consumer-property', 'group.protocol=consumer', '--max-messages', '500',
                                          '--timeout-ms', str(STEP_S_MAX * 1000)).stdout
                producer.finish()
            self.assertEqual(len([line for line in read.splitlines() if line.isdigit()]), 500, read[:500])
            self.assertEqual(self.group_type(), 'consumer')


if __name__ == '__main__':
    unittest.main(verbosity=2)
