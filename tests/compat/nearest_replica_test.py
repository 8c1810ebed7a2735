"""Consumers of others that tell their rack read from the replica that stands there (KIP-392), and go on when it is lost."""
import pathlib
import re
import sys
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import foreign  # noqa: E402
from cluster import Cluster, run, wait_until  # noqa: E402

RECORDS = 2000
CONSUMER = 'org.apache.kafka.tools.consumer.ConsoleConsumer'


class NearestReplicaTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        foreign.java_classpath()
        cls.cluster = cls.enterClassContext(Cluster(3))
        cls.cluster.reconfigure(lambda node, _: {'broker.rack': f'rack-{node}'})
        cls.cluster.create_topic('orders')
        run('kcat', '-P', '-b', cls.cluster.bootstrap(), '-t', 'orders', '-X', 'acks=all', stdin=''.join(f'{n}\n' for n in range(RECORDS)))
        wait_until(lambda: cls.cluster.fully_in_sync('orders'), 'all replicas in sync', 30)
        cls.leader = cls.cluster.partitions('orders')[0]['leader']
        # The active controller, if it can be: its own death is the one that the others hear of last.
        controller = cls.cluster.active_controller()
        cls.near = max((node for node in cls.cluster.addresses if node != cls.leader), key=lambda node: node == controller)
        cls.java = foreign.ToolBox()
        cls.enterClassContext(cls.java)

    def sent_by(self, node):
        """Bytes of records that consumers got from the node so far."""
        page = urllib.request.urlopen(f'http://{self.cluster.addresses[node]["http"]}/metrics', timeout=10).read().decode()
        return float(re.search(r'^kafka_server_brokertopicmetrics_bytesout_total (\S+)', page, re.MULTILINE).group(1))

    def who_sent(self, read):
        """Nodes that consumers got records from while `read` ran, and what it returned."""
        before = {node: self.sent_by(node) for node in self.cluster.addresses}
        result = read()
        return {node for node, sent in before.items() if self.sent_by(node) > sent}, result

    def read_by_librdkafka(self, rack):
        return run('kcat', '-C', '-q', '-b', self.cluster.bootstrap(), '-t', 'orders', '-o', 'beginning', '-e', '-X', f'client.rack={rack}').stdout.split()

    def read_by_java(self, rack):
        done = self.java.run(CONSUMER, '--bootstrap-server', self.cluster.bootstrap(), '--topic', 'orders', '--from-beginning', '--max-messages', str(RECORDS),
                             '--timeout-ms', '30000', '--command-property', f'client.rack={rack}')
        return done.stdout.split()

    def test_in_the_rack_of_a_follower(self):
        for client in (self.read_by_librdkafka, self.read_by_java):
            nodes, read = self.who_sent(lambda: client(f'rack-{self.near}'))
            self.assertEqual(sorted(map(int, read)), list(range(RECORDS)), client.__name__)
            self.assertEqual(nodes, {self.near}, client.__name__)

    def test_without_a_replica_in_the_rack_or_in_that_of_the_leader(self):
        for rack in ('elsewhere', f'rack-{self.leader}', ''):
            nodes, read = self.who_sent(lambda: self.read_by_librdkafka(rack))
            self.assertEqual(len(read), RECORDS, rack)
            self.assertEqual(nodes, {self.leader}, rack)

    def test_when_the_follower_is_lost_consumers_read_on_elsewhere(self):
        self.cluster.kill(self.near)
        try:
            for client in (self.read_by_librdkafka, self.read_by_java):
                self.assertEqual(len(client(f'rack-{self.near}')), RECORDS, client.__name__)
        finally:
            self.cluster.start(self.near)


if __name__ == '__main__':
    unittest.main(verbosity=2)
