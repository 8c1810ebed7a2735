"""Acceptance story 6: unmodified clients and tools of others. One cluster for all of them."""
import json
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import foreign  # noqa: E402
from cluster import Cluster, run  # noqa: E402

KEY_COUNT = 200
PARTITIONS = 6


class ClientsTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        foreign.java_classpath()
        cls.python = foreign.python_with_clients()
        cls.node = foreign.node_directory()
        cls.cluster = cls.enterClassContext(Cluster(3))
        cls.bootstrap = cls.cluster.bootstrap()

    def partition_of_keys(self, topic):
        """Key -> partition of what is stored."""
        lines = self.cluster.read_all(topic, '%k %p\n').decode().split('\n')
        return {line.split(' ')[0]: int(line.split(' ')[1]) for line in lines if line}

    def produce_by_java(self, topic, lines):
        foreign.kafka_tool('org.apache.kafka.tools.ConsoleProducer', '--bootstrap-server', self.bootstrap, '--topic', topic,
                           '--reader-property', 'parse.key=true', '--reader-property', 'key.separator=,', stdin='\n'.join(lines) + '\n')

    def test_console_producer_and_get_offsets(self):
        self.cluster.create_topic('console', PARTITIONS)
        self.produce_by_java('console', [f'key-{n},value {n}' for n in range(KEY_COUNT)])
        offsets = foreign.kafka_tool('org.apache.kafka.tools.GetOffsetShell', '--bootstrap-server', self.bootstrap, '--topic', 'console').stdout
        counts = {int(line.split(':')[1]): int(line.split(':')[2]) for line in offsets.split()}
        self.assertEqual(sorted(counts), list(range(PARTITIONS)))
        self.assertEqual(sum(counts.values()), KEY_COUNT)

    def test_compression_type_says_how_batches_are_stored(self):
        for codec, shown in (('zstd', 'ZSTD'), ('gzip', 'GZIP'), ('uncompressed', 'NONE'), ('producer', 'LZ4')):
            name = f'stored-{codec}'
            self.cluster.create_topic(name, configs=[f'compression.type={codec}'])
            foreign.kafka_tool('org.apache.kafka.tools.ConsoleProducer', '--bootstrap-server', self.bootstrap, '--topic', name,
                               '--compression-codec', 'lz4', stdin='one\ntwo\n')
            log = next(pathlib.Path(self.cluster.directory).glob(f'node-*/data/{name}-0/00000000000000000000.log'))
            text = foreign.kafka_tool('org.apache.kafka.tools.DumpLogSegments', '--files', str(log), '--print-data-log').stdout
            self.assertRegex(text, f'compresscodec: {shown.lower()}|compresscodec: {shown}')
            self.assertRegex(text, 'isvalid: true')
            self.assertIn('payload: two', text)

    def consumer_groups(self, *arguments):
        return foreign.kafka_tool('org.apache.kafka.tools.consumer.group.ConsumerGroupCommand', '--bootstrap-server', self.bootstrap, *arguments).stdout

    def test_consumer_groups_of_the_classic_protocol(self):
        self.cluster.create_topic('grouped', PARTITIONS)
        self.produce_by_java('grouped', [f'key-{n},value {n}' for n in range(KEY_COUNT)])
        read = foreign.kafka_tool('org.apache.kafka.tools.consumer.ConsoleConsumer', '--bootstrap-server', self.bootstrap, '--topic', 'grouped',
                                  '--group', 'java-group', '--from-beginning', '--max-messages', str(KEY_COUNT), '--timeout-ms', '30000').stdout
        self.assertEqual(sorted(read.split('\n')[:-1]), sorted(f'value {n}' for n in range(KEY_COUNT)))
        self.assertRegex(self.consumer_groups('--list', '--state'), r'java-group +Empty')
        rows = [line.split() for line in self.consumer_groups('--describe', '--group', 'java-group').splitlines() if line.startswith('java-group')]
        self.assertEqual(sum(int(row[3]) for row in rows), KEY_COUNT)
        self.assertEqual({row[5] for row in rows}, {'0'})
        self.consumer_groups('--reset-offsets', '--group', 'java-group', '--topic', 'grouped', '--to-earliest', '--execute')
        self.assertRegex(self.consumer_groups('--delete-offsets', '--group', 'java-group', '--topic', 'grouped:0'), r'grouped +0 +Successful')
        rows = [line.split() for line in self.consumer_groups('--describe', '--group', 'java-group').splitlines() if line.startswith('java-group')]
        # Kafka's tool shows a partition without position as "-".
        self.assertEqual(sorted((row[2], row[3]) for row in rows if row[3] != '-'), [(str(n), '0') for n in range(1, PARTITIONS)])
        self.assertIn('was successful', self.consumer_groups('--delete', '--group', 'java-group'))
        self.assertNotIn('java-group', self.consumer_groups('--list'))

    def test_producer_perf_test(self):
        self.cluster.create_topic('perf', PARTITIONS)
        done = foreign.kafka_tool('org.apache.kafka.tools.ProducerPerformance', '--topic', 'perf', '--num-records', '50000', '--record-size', '500',
                                  '--throughput', '-1', '--bootstrap-server', self.bootstrap, '--command-property', 'acks=all')
        self.assertIn('50000 records sent', done.stdout)
        self.assertEqual(len(self.cluster.read_all('perf', '%o\n').split()), 50000)

    def test_broker_api_versions(self):
        text = foreign.kafka_tool('org.apache.kafka.tools.BrokerApiVersionsCommand', '--bootstrap-server', self.bootstrap).stdout
        self.assertEqual(text.count('(id: '), 3, text)
        for api in ('Produce(0): 0 to 13', 'Fetch(1): 4 to 18', 'Metadata(3): 0 to 13', 'DeleteRecords(21): 0 to 2',
                    'DescribeTopicPartitions(75): 0'):
            self.assertIn(api, text)
        self.assertNotIn('UNKNOWN', text)

    def test_python_clients_produce_and_consume(self):
        for client in ('confluent', 'kafka-python'):
            with self.subTest(client=client):
                topic = f'python-{client}'
                self.cluster.create_topic(topic, PARTITIONS)
                done = run(self.python, str(foreign.COMPAT / 'python_clients.py'), client, self.bootstrap, topic, str(KEY_COUNT))
                self.assertEqual(json.loads(done.stdout)['found'], KEY_COUNT)

    def test_the_same_key_goes_to_the_same_partition_from_every_client(self):
        keys = [f'key-{n}' for n in range(KEY_COUNT)]
        for client in ('java', 'kafkajs', 'librdkafka', 'sluice'):
            self.cluster.create_topic(f'keys-{client}', PARTITIONS)
        self.produce_by_java('keys-java', [f'{key},x' for key in keys])
        subprocess.run(['node', str(foreign.COMPAT / 'kafkajs_produce.js'), self.bootstrap, 'keys-kafkajs'], cwd=self.node, check=True, text=True,
                       input='\n'.join(keys), timeout=60, env={'NODE_PATH': str(self.node / 'node_modules'), 'PATH': '/usr/bin:/bin:/usr/local/bin'})
        keyed = ('\n'.join(f'{key},x' for key in keys) + '\n').encode()
        run('kcat', '-P', '-b', self.bootstrap, '-t', 'keys-librdkafka', '-K', ',', '-X', 'partitioner=murmur2_random', text=False, stdin=keyed)
        self.cluster.sluice('produce', 'keys-sluice', '--bootstrap', self.bootstrap, '-K', ',', stdin=keyed.decode())
        expected = self.partition_of_keys('keys-java')
        self.assertEqual(sorted(expected), sorted(keys))
        self.assertEqual(len(set(expected.values())), PARTITIONS)
        for client in ('kafkajs', 'librdkafka', 'sluice'):
            self.assertEqual(self.partition_of_keys(f'keys-{client}'), expected, client)


if __name__ == '__main__':
    unittest.main(verbosity=2)
