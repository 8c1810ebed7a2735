"""Acceptance story 5: topics by grpcurl, by Kafka's TopicCommand and by `sluice topic`; all three tell the same."""
import json
import pathlib
import re
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import foreign  # noqa: E402
from cluster import Cluster, run  # noqa: E402


class TopicsTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        foreign.java_classpath()
        cls.grpcurl = foreign.grpcurl()
        cls.cluster = cls.enterClassContext(Cluster(3))

    def call(self, method, request, check=True):
        address = self.cluster.addresses[2]['grpc']
        done = run(self.grpcurl, '-plaintext', '-d', json.dumps(request), address, f'sluice.admin.Admin/{method}', check=check)
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr

    def topic_command(self, *arguments, check=True):
        return foreign.kafka_tool('org.apache.kafka.tools.TopicCommand', '--bootstrap-server', self.cluster.bootstrap(), *arguments, check=check)

    def create(self, tool, name):
        if tool == 'grpcurl':
            self.call('CreateTopic', {'name': name, 'partitions': 4, 'replicationFactor': 3, 'configs': {'retention.ms': '3600000'}})
        elif tool == 'java':
            self.topic_command('--create', '--topic', name, '--partitions', '4', '--replication-factor', '3', '--config', 'retention.ms=3600000')
        else:
            self.cluster.create_topic(name, 4, 3, ['retention.ms=1h'])

    def delete(self, tool, name):
        if tool == 'grpcurl':
            self.call('DeleteTopic', {'name': name})
        elif tool == 'java':
            self.topic_command('--delete', '--topic', name)
        else:
            self.cluster.admin('topic', 'delete', name)

    def views(self, name):
        """The topic as each tool tells it: (id, [(partition, leader, replicas, isr)])."""
        ours = self.cluster.admin('topic', 'describe', name)
        theirs = self.call('DescribeTopic', {'name': name})['topic']
        text = self.topic_command('--describe', '--topic', name).stdout
        numbers = lambda csv: sorted(map(int, csv.split(',')))  # noqa: E731
        java = re.findall(r'Partition: (\d+)\tLeader: (\d+)\tReplicas: ([\d,]+)\tIsr: ([\d,]+)', text)
        self.assertRegex(text, r'retention\.ms=3600000')
        return {
            'sluice': (ours['topic_id'], [(p['partition'], p['leader'], sorted(p['replicas']), sorted(p['isr'])) for p in ours['partitions']]),
            'grpcurl': (theirs['topic_id'], [(p.get('partition', 0), p['leader'], sorted(p['replicas']), sorted(p['isr'])) for p in theirs['partitions']]),
            'java': (re.search(r'TopicId: (\S+)', text).group(1), [(int(p), int(leader), numbers(r), numbers(i)) for p, leader, r, i in java]),
        }

    def test_three_tools_make_show_and_delete_the_same_topics(self):
        tools = ('grpcurl', 'java', 'sluice')
        for tool in tools:
            name = f'by-{tool}'
            self.create(tool, name)
            views = self.views(name)
            self.assertEqual(len(views['java'][1]), 4)
            self.assertEqual(views['sluice'], views['grpcurl'])
            self.assertEqual(views['sluice'], views['java'])
        for creator, deleter in zip(tools, tools[1:] + tools[:1]):
            self.delete(deleter, f'by-{creator}')
        self.assertEqual(self.topic_command('--list').stdout.split(), [])
        self.assertEqual(self.call('ListTopics', {}), {})
        self.assertEqual(self.cluster.admin('topic', 'list')['topics'], [])

    def test_delete_records_moves_the_starts_of_logs_on_every_replica(self):
        self.cluster.create_topic('trimmed', 2)
        for partition in (0, 1):
            run('kcat', '-P', '-b', self.cluster.bootstrap(), '-t', 'trimmed', '-p', str(partition), '-X', 'acks=all', stdin=''.join(f'{n}\n' for n in range(50)))
        wanted = {'version': 1, 'partitions': [{'topic': 'trimmed', 'partition': 0, 'offset': 20}, {'topic': 'trimmed', 'partition': 1, 'offset': -1}]}
        with tempfile.NamedTemporaryFile('w', suffix='.json') as file:
            json.dump(wanted, file)
            file.flush()
            text = foreign.kafka_tool('org.apache.kafka.tools.DeleteRecordsCommand', '--bootstrap-server', self.cluster.bootstrap(),
                                      '--offset-json-file', file.name).stdout
        self.assertRegex(text, r'partition: trimmed-0\s+low_watermark: 20')
        self.assertRegex(text, r'partition: trimmed-1\s+low_watermark: 50')
        lines = self.cluster.read_all('trimmed', '%p %o\n').split()
        self.assertEqual([int(o) for o in lines[1::2]], list(range(20, 50)))
        wanted['partitions'][0]['offset'] = 51
        with tempfile.NamedTemporaryFile('w', suffix='.json') as file:
            json.dump(wanted, file)
            file.flush()
            refused = foreign.kafka_tool('org.apache.kafka.tools.DeleteRecordsCommand', '--bootstrap-server', self.cluster.bootstrap(),
                                         '--offset-json-file', file.name, check=False)
        trimmed = self.cluster.admin('topic', 'trim', 'trimmed', '--partition', '0', '--before-offset', '30', node=1)
        self.assertEqual(trimmed['low_watermark'], 30)
        for node in (1, 2, 3):
            done = run(self.grpcurl, '-plaintext', '-d', json.dumps({'topic': 'trimmed', 'partition': 0, 'beforeOffset': 30 + node}),
                       self.cluster.addresses[node]['grpc'], 'sluice.admin.Admin/DeleteRecords')
            self.assertEqual(json.loads(done.stdout), {'low_watermark': str(30 + node)})
        self.assertIn('not within the range', refused.stdout + refused.stderr)
        self.topic_command('--delete', '--topic', 'trimmed')

    def test_grpcurl_lists_and_describes_the_service(self):
        address = self.cluster.addresses[1]['grpc']
        services = run(self.grpcurl, '-plaintext', address, 'list').stdout.split()
        self.assertIn('sluice.admin.Admin', services)
        self.assertIn('grpc.health.v1.Health', services)
        self.assertIn('rpc CreateTopic', run(self.grpcurl, '-plaintext', address, 'describe', 'sluice.admin.Admin').stdout)

    def test_grpcurl_checks_the_health_of_the_node_and_of_each_service(self):
        address = self.cluster.addresses[1]['grpc']
        check = 'grpc.health.v1.Health/Check'
        self.assertEqual(json.loads(run(self.grpcurl, '-plaintext', address, check).stdout), {'status': 'SERVING'})
        for service in ('sluice.admin.Admin', 'sluice.controller.Controller', 'sluice.controller.Feed', 'sluice.raftpb.Raft'):
            done = run(self.grpcurl, '-plaintext', '-d', json.dumps({'service': service}), address, check)
            self.assertEqual(json.loads(done.stdout), {'status': 'SERVING'}, service)
        done = run(self.grpcurl, '-plaintext', '-d', json.dumps({'service': 'sluice.Other'}), address, check, check=False)
        self.assertIn('NotFound', done.stderr)

    def test_bad_values_are_refused_alike(self):
        error = self.call('CreateTopic', {'name': 'bad', 'partitions': 1, 'replicationFactor': 9}, check=False)
        self.assertIn('InvalidArgument', error)
        self.assertIn('9', error)
        java = self.topic_command('--create', '--topic', 'bad', '--partitions', '1', '--replication-factor', '9', check=False)
        self.assertRegex(java.stdout + java.stderr, r'replication factor 9\b.*1 to 3')
        error = self.call('CreateTopic', {'name': 'bad name', 'partitions': 1, 'replicationFactor': 1}, check=False)
        self.assertIn('InvalidArgument', error)
        error = self.call('CreateTopic', {'name': 'bad', 'partitions': 1, 'configs': {'retention.ms': 'soon'}}, check=False)
        self.assertIn('soon', error)


if __name__ == '__main__':
    unittest.main(verbosity=2)
