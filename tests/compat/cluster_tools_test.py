"""Tools of Apache Kafka about the cluster, unmodified: kafka-metadata-quorum, kafka-cluster, kafka-features, kafka-log-dirs and kafka-delete-records."""
import json
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import foreign  # noqa: E402
from cluster import GRPC_PORT_OFFSET, HTTP_PORT_OFFSET, SLUICE, Cluster, free_base_port, run, wait_until  # noqa: E402

QUORUM = 'org.apache.kafka.tools.MetadataQuorumCommand'
CLUSTER = 'org.apache.kafka.tools.ClusterTool'
FEATURES = 'org.apache.kafka.tools.FeatureCommand'
LOG_DIRS = 'org.apache.kafka.tools.LogDirsCommand'
DELETE_RECORDS = 'org.apache.kafka.tools.DeleteRecordsCommand'


class ClusterToolsTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        foreign.java_classpath()
        cls.cluster = cls.enterClassContext(Cluster(3))
        cls.tools = cls.enterClassContext(foreign.ToolBox())

    def tool(self, main_class, *words, code=0):
        done = self.tools.run(main_class, *words)
        text = done.stdout + done.stderr
        self.assertEqual(done.returncode, code, text)
        return text

    def asked(self, main_class, *words, code=0):
        return self.tool(main_class, '--bootstrap-server', self.cluster.bootstrap(), *words, code=code)

    def test_the_quorum_is_described(self):
        status = dict(re.findall(r'^(\w+): +(.*)$', self.asked(QUORUM, 'describe', '--status'), re.MULTILINE))
        quorum = self.cluster.admin('quorum', 'status')
        self.assertEqual(int(status['LeaderId']), quorum['leader_id'])
        self.assertEqual(int(status['LeaderEpoch']), quorum['term'])
        self.assertGreater(int(status['HighWatermark']), 0)
        self.assertGreaterEqual(int(status['MaxFollowerLag']), 0)
        voters = {voter['id']: voter for voter in json.loads(status['CurrentVoters'])}
        self.assertEqual(sorted(voters), [1, 2, 3])
        for node, voter in voters.items():
            self.assertEqual(voter['endpoints'], [f'CONTROLLER://{self.cluster.addresses[node]["grpc"]}'])
        rows = [line.split() for line in self.asked(QUORUM, 'describe', '--replication').splitlines() if re.match(r'^\d', line)]
        self.assertEqual(sorted(row[0] for row in rows), ['1', '2', '3'])
        self.assertEqual(sorted(row[-1] for row in rows), ['Follower', 'Follower', 'Leader'])
        self.assertEqual({row[1] for row in rows}, {voter['directoryId'] for voter in voters.values()})

    def test_a_controller_comes_and_goes(self):
        node, directory = 9, pathlib.Path(self.cluster.directory) / 'controller-9'
        directory.mkdir()
        port = free_base_port(1)
        grpc, own = self.cluster.addresses[1]['grpc'], f'127.0.0.1:{port + GRPC_PORT_OFFSET}'
        voters = ','.join(f'{other}@{address["grpc"]}' for other, address in self.cluster.addresses.items())
        config = directory / 'server.properties'
        config.write_text(f'node.id={node}\nprocess.roles=controller\nlisteners=CONTROLLER://{own}\ncontroller.listener.names=CONTROLLER\n'
                          f'controller.quorum.voters={voters},{node}@{own}\nhttp.listener=127.0.0.1:{port + HTTP_PORT_OFFSET}\nlog.dirs={directory}/data\n')
        run(SLUICE, 'cluster', 'init', '--config', str(config), '--join', '--server', grpc)
        with open(directory / 'server.log', 'w', encoding='utf-8') as log:
            process = subprocess.Popen([SLUICE, 'server', '--config', str(config)], stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        wait_until(lambda: run(SLUICE, 'quorum', 'status', '--server', own, check=False).returncode == 0, 'the new controller answers', 30)
        # The tool looks for the disk's id where the metadata is: beside a log directory's own id, the disk of a voter has one there.
        tool = directory / 'tool.properties'
        tool.write_text(config.read_text() + f'metadata.log.dir={directory}/data/__cluster_metadata-0\n')
        add = ('--command-config', str(tool), 'add-controller')
        self.assertIn('Added controller 9', self.asked(QUORUM, *add))
        voters = {voter['id']: voter for voter in self.cluster.admin('quorum', 'status')['voters']}
        self.assertEqual(sorted(voters), [1, 2, 3, 9])
        self.assertIn('DuplicateVoter', self.asked(QUORUM, *add, code=1))
        disk = voters[9]['disk_id']
        words = ('remove-controller', '--controller-id', str(node), '--controller-directory-id')
        self.assertIn('VoterNotFound', self.asked(QUORUM, *words, voters[1]['disk_id'], code=1))
        self.assertEqual(len(self.cluster.admin('quorum', 'status')['voters']), 4)
        self.assertRegex(self.asked(QUORUM, *words, disk), r'Removed +KRaft controller 9')
        self.assertEqual(sorted(voter['id'] for voter in self.cluster.admin('quorum', 'status')['voters']), [1, 2, 3])
        self.assertIn('VoterNotFound', self.asked(QUORUM, *words, disk, code=1))

    def test_the_cluster(self):
        bootstrap = ('--bootstrap-server', self.cluster.bootstrap())
        self.assertRegex(self.tool(CLUSTER, 'cluster-id', *bootstrap), f'Cluster ID: {self.cluster.admin("cluster", "describe")["cluster_id"]}')
        endpoints = self.tool(CLUSTER, 'list-endpoints', *bootstrap)
        for address in self.cluster.addresses.values():
            self.assertRegex(endpoints, address['kafka'].replace(':', r'\s+'))

    def test_the_registration_of_a_broker(self):
        def unregister(node, code=0):
            return self.tool(CLUSTER, 'unregister', '--bootstrap-server', self.cluster.bootstrap(), '--id', str(node), code=code)
        self.assertIn('broker 3 runs', unregister(3, code=1))
        self.assertIn('broker 8 is not registered', unregister(8, code=1))
        self.cluster.create_topic('held')
        self.cluster.stop_node(3)
        self.addCleanup(self.cluster.start, 3)
        refused = wait_until(lambda: 'runs' not in (text := unregister(3, code=1)) and text, 'node 3 is fenced', 20)
        self.assertIn('broker 3 holds replicas of held-0', refused)
        self.cluster.admin('topic', 'delete', 'held')
        self.assertIn('Broker 3 is no longer registered', unregister(3))
        self.assertEqual([broker['id'] for broker in self.cluster.admin('broker', 'list')['brokers']], [1, 2])

    def test_features(self):
        text = self.asked(FEATURES, 'describe')
        self.assertRegex(text, r'Feature: metadata\.version.*FinalizedVersionLevel: \S+')
        self.assertRegex(text, r'Feature: group\.version.*FinalizedVersionLevel: 1')
        self.assertIn('group.version was upgraded to 1', self.asked(FEATURES, 'upgrade', '--feature', 'group.version=1'))
        self.assertIn("'transaction.version' is not supported", self.asked(FEATURES, 'upgrade', '--feature', 'transaction.version=2', code=1))
        self.assertIn('works at level 1 only', self.asked(FEATURES, 'downgrade', '--feature', 'group.version=0', code=1))
        self.assertRegex(self.asked(FEATURES, 'describe'), r'Feature: group\.version.*FinalizedVersionLevel: 1')

    def test_log_directories_and_deleted_records(self):
        self.cluster.create_topic('short')
        self.addCleanup(self.cluster.admin, 'topic', 'delete', 'short')
        run('kcat', '-P', '-b', self.cluster.bootstrap(), '-t', 'short', '-X', 'acks=all', stdin=''.join(f'{n}\n' for n in range(10)))
        plan = pathlib.Path(self.cluster.directory) / 'delete.json'

        def delete(topic, offset, code=0):
            plan.write_text(json.dumps({'version': 1, 'partitions': [{'topic': topic, 'partition': 0, 'offset': offset}]}))
            return self.asked(DELETE_RECORDS, '--offset-json-file', str(plan), code=code)
        self.assertRegex(delete('short', 4), r'partition: short-0\s+low_watermark: 4')
        self.assertEqual(self.cluster.read_all('short', '%s ').split(), [str(n).encode() for n in range(4, 10)])
        self.assertIn('OffsetOutOfRange', delete('short', 11))
        text = self.asked(LOG_DIRS, '--describe', '--topic-list', 'short')
        brokers = json.loads(next(line for line in text.splitlines() if line.startswith('{')))['brokers']
        self.assertEqual(sorted(broker['broker'] for broker in brokers), [1, 2, 3])
        for broker in brokers:
            (directory,) = broker['logDirs']
            self.assertEqual(directory['error'], None)
            self.assertEqual([p['partition'] for p in directory['partitions']], ['short-0'])
            self.assertEqual([(p['offsetLag'], p['isFuture']) for p in directory['partitions']], [(0, False)])
            self.assertGreater(directory['partitions'][0]['size'], 0)


if __name__ == '__main__':
    unittest.main(verbosity=2)
