"""Kafka's own clients go over to a new leader by what the old one tells them (KIP-951): no Metadata answer says so, for a relay lets none through."""
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import foreign  # noqa: E402
from cluster import Cluster, free_base_port, wait_until  # noqa: E402
from stale_metadata import Relay, View  # noqa: E402

PRODUCER = 'org.apache.kafka.tools.ConsoleProducer'
CONSUMER = 'org.apache.kafka.tools.consumer.ConsoleConsumer'


class LeaderHintsTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        foreign.java_classpath()
        cls.view = View()
        cls.relays = {node: Relay(cls.view) for node in (1, 2, 3)}
        cls.cluster = cls.enterClassContext(Cluster(3))
        cls.cluster.reconfigure(cls.behind_a_relay)
        cls.bootstrap = ','.join(f'127.0.0.1:{relay.port}' for relay in cls.relays.values())

    @classmethod
    def behind_a_relay(cls, node, properties):
        """Brokers and tests use the first listener, the clients in question the second one."""
        port, relay = free_base_port(1), cls.relays[node]
        relay.start(port)
        own = properties['listeners']
        brokers = ','.join(word for word in own.split(',') if not word.startswith('CONTROLLER'))
        return {'listeners': f'{own},CLIENTS://127.0.0.1:{port}', 'inter.broker.listener.name': 'PLAINTEXT',
                'advertised.listeners': f'{brokers},CLIENTS://127.0.0.1:{relay.port}',
                'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENTS:PLAINTEXT'}

    def start(self, main_class, *words, **options):
        process = subprocess.Popen(foreign.java_command(main_class, '--bootstrap-server', self.bootstrap, '--topic', 'orders', *words), text=True, **options)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def stored(self):
        return self.cluster.read_all('orders', '%s\n').decode().split()

    def lead(self, node):
        others = [other for other in (1, 2, 3) if other != node]
        self.cluster.admin('partition', 'move', 'orders', '0', '--to', ','.join(map(str, [node, *others])))
        self.cluster.admin('partition', 'elect', 'orders', '0')
        wait_until(lambda: all(self.cluster.partitions('orders', at)[0]['leader'] == node for at in (1, 2, 3)), f'node {node} leads', 30)

    def test_a_producer_and_a_consumer_go_over_without_metadata(self):
        self.cluster.create_topic('orders')
        self.lead(1)
        received = open(pathlib.Path(self.cluster.directory) / 'received', 'w+')
        self.addCleanup(received.close)
        self.start(CONSUMER, '--from-beginning', stdout=received)
        producer = self.start(PRODUCER, '--sync', stdin=subprocess.PIPE)

        def write(value):
            producer.stdin.write(value + '\n')
            producer.stdin.flush()
            wait_until(lambda: value in self.stored(), f'"{value}" is stored', 30)
            wait_until(lambda: value in pathlib.Path(received.name).read_text(), f'"{value}" is received', 30)
        write('one')
        self.view.frozen = True
        for value, leader in (('two', 2), ('three', 3), ('four', 1)):
            self.lead(leader)
            write(value)
        self.assertEqual(self.stored(), ['one', 'two', 'three', 'four'])
        # They asked all the same, and were told of the first leader.
        self.assertGreater(self.view.stale_answers, 0)


if __name__ == '__main__':
    unittest.main(verbosity=2)
