"""kafka-reassign-partitions and kafka-leader-election of Apache Kafka, unmodified, against five nodes."""
import json
import pathlib
import re
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import foreign  # noqa: E402
from cluster import Cluster, run, wait_until  # noqa: E402

REASSIGN = 'org.apache.kafka.tools.reassign.ReassignPartitionsCommand'
ELECT = 'org.apache.kafka.tools.LeaderElectionCommand'
CONFIGS = 'kafka.admin.ConfigCommand'
LOG_DIRS = 'org.apache.kafka.tools.LogDirsCommand'
TOPICS = 'org.apache.kafka.tools.TopicCommand'


class ReassignTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        foreign.java_classpath()
        cls.cluster = cls.enterClassContext(Cluster(5))
        cls.cluster.reconfigure(lambda node, properties: {'log.dirs': properties['log.dirs'] + ',' + cls.second_disk()} if node == 1 else {})
        cls.tools = cls.enterClassContext(foreign.ToolBox())

    @classmethod
    def second_disk(cls):
        return str(pathlib.Path(cls.cluster.directory) / 'second-disk-of-1')

    def file(self, name, content):
        path = pathlib.Path(self.cluster.directory) / name
        path.write_text(json.dumps(content))
        return str(path)

    def plan(self, topic, assignments):
        return self.file('plan.json', {'version': 1, 'partitions': [{'topic': topic, 'partition': i, 'replicas': r} for i, r in enumerate(assignments)]})

    def tool(self, main_class, *words):
        done = self.tools.run(main_class, '--bootstrap-server', self.cluster.bootstrap(), *words)
        return done.returncode, done.stdout + done.stderr

    def reassign(self, *words, code=0):
        got, text = self.tool(REASSIGN, *words)
        self.assertEqual(got, code, text)
        return text

    def create(self, topic, assignments):
        text = ','.join(':'.join(map(str, replicas)) for replicas in assignments)
        code, said = self.tool(TOPICS, '--create', '--topic', topic, '--replica-assignment', text)
        self.assertEqual(code, 0, said)
        run('kcat', '-P', '-b', self.cluster.bootstrap(), '-t', topic, '-p', '0', '-X', 'acks=all', stdin=''.join(f'{n}\n' for n in range(500)))

    def replicas(self, topic):
        return [p['replicas'] for p in self.cluster.partitions(topic)]

    def bring_back(self, node):
        if node not in self.cluster.live_nodes():
            self.cluster.start(node)
        wait_until(lambda: any(n['id'] == node and n['state'] == 'active' for n in self.cluster.admin('cluster', 'describe')['nodes']), f'node {node} is back', 30)

    def test_a_plan_is_made_carried_out_and_verified(self):
        self.create('orders', [[1, 2, 3], [2, 3, 1]])
        wanted = self.file('topics.json', {'version': 1, 'topics': [{'topic': 'orders'}]})
        text = self.reassign('--generate', '--topics-to-move-json-file', wanted, '--broker-list', '3,4,5')
        current, proposed = (json.loads(line) for line in text.splitlines() if line.startswith('{'))
        self.assertEqual([p['replicas'] for p in sorted(current['partitions'], key=lambda p: p['partition'])], [[1, 2, 3], [2, 3, 1]])
        plan = self.file('proposed.json', proposed)
        self.assertRegex(self.reassign('--execute', '--reassignment-json-file', plan), r'Successfully started partition reassignments? for')

        def verified():
            text = self.reassign('--verify', '--reassignment-json-file', plan)
            return 'is still in progress' not in text and text
        text = wait_until(verified, 'the plan carried out', 60)
        for index in (0, 1):
            self.assertIn(f'Reassignment of partition orders-{index} is completed', text)
        self.assertEqual(self.replicas('orders'), [p['replicas'] for p in sorted(proposed['partitions'], key=lambda p: p['partition'])])
        self.assertEqual(len(self.cluster.read_all('orders').splitlines()), 500)
        self.assertIn('No partition reassignments found', self.reassign('--list'))

    def test_a_move_is_listed_shown_and_cancelled(self):
        self.create('slow', [[1, 2, 3]])
        # A replica that is to stay is away, so the move cannot end.
        self.cluster.kill(3)
        self.addCleanup(self.bring_back, 3)
        wait_until(lambda: 3 not in self.cluster.partitions('slow')[0]['isr'], 'node 3 is out of sync', 30)
        self.cluster.admin('partition', 'move', 'slow', '0', '--to', '4,2,3')
        wait_until(lambda: 4 in self.cluster.partitions('slow')[0]['isr'], 'node 4 is in sync', 30)
        plan = self.plan('slow', [[4, 2, 3]])
        self.assertIn('slow-0', self.reassign('--list'))
        self.assertIn('Reassignment of partition slow-0 is still in progress', self.reassign('--verify', '--reassignment-json-file', plan))
        code, text = self.tool(TOPICS, '--describe', '--topic', 'slow')
        self.assertEqual(code, 0, text)
        self.assertRegex(text, r'Adding Replicas: 4\s+Removing Replicas: 1')
        # Else the tool wants to take away the throttles of each node, and waits for the one that is down.
        self.assertRegex(self.reassign('--cancel', '--preserve-throttles', '--reassignment-json-file', plan), r'Successfully cancelled partition reassignments? for: slow-0')
        self.assertEqual(sorted(self.replicas('slow')[0]), [1, 2, 3])
        self.assertIn('No partition reassignments found', self.reassign('--list'))
        self.bring_back(3)
        wait_until(lambda: 3 in self.cluster.partitions('slow')[0]['isr'], 'node 3 is back in sync', 30)
        self.assertEqual(len(self.cluster.read_all('slow').splitlines()), 500)

    def throttles(self):
        """What is set of the throttles anywhere, in words."""
        found = []
        for kind, name in (*(('brokers', str(node)) for node in self.cluster.addresses), ('topics', 'heavy')):
            code, text = self.tool(CONFIGS, '--describe', '--entity-type', kind, '--entity-name', name)
            self.assertEqual(code, 0, text)
            found += re.findall(r'^ +((?:leader|follower)\.replication\.throttled\.\S+=\S*)', text, re.MULTILINE)
        return found

    def test_a_throttled_move_keeps_its_rate_and_verify_takes_the_throttle_away(self):
        self.create('heavy', [[1, 2, 3]])
        total_bytes, rate = 3_000_000, 300_000
        line = 'x' * 999 + '\n'
        run('kcat', '-P', '-b', self.cluster.bootstrap(), '-t', 'heavy', '-X', 'acks=all', '-X', 'batch.size=16384', stdin=line * (total_bytes // len(line)))
        plan = self.plan('heavy', [[1, 2, 4]])
        begin = time.monotonic()
        text = self.reassign('--execute', '--reassignment-json-file', plan, '--throttle', str(rate))
        self.assertIn(f'The inter-broker throttle limit was set to {rate} B/s', text)
        self.assertIn(f'leader.replication.throttled.rate={rate}', self.throttles())
        # Replicas in sync are not slowed down: acknowledgements go on.
        produced = time.monotonic()
        run('kcat', '-P', '-b', self.cluster.bootstrap(), '-t', 'heavy', '-X', 'acks=all', stdin='meanwhile\n')
        self.assertLess(time.monotonic() - produced, 3)
        self.assertEqual(sorted(self.cluster.partitions('heavy')[0]['isr']), [1, 2, 3])
        wait_until(lambda: self.replicas('heavy') == [[1, 2, 4]], 'the move is done', 60)
        took = time.monotonic() - begin
        # A second's worth goes at once.
        bar = total_bytes / rate - 1
        self.assertGreater(took, bar / 3)
        self.assertLess(took, bar * 3)
        self.assertNotEqual(self.throttles(), [])
        text = self.reassign('--verify', '--reassignment-json-file', plan)
        self.assertIn('Clearing broker-level throttles', text)
        self.assertIn('Clearing topic-level throttles', text)
        self.assertEqual(self.throttles(), [])

    def disks(self, topic):
        """Of node 1: by directory what it holds of the topic, and the sizes of copies that move there."""
        code, text = self.tool(LOG_DIRS, '--describe', '--broker-list', '1', '--topic-list', topic)
        self.assertEqual(code, 0, text)
        answer = next(json.loads(line) for line in text.splitlines() if line.startswith('{'))
        self.assertTrue(all(directory['error'] is None for directory in answer['brokers'][0]['logDirs']), text)
        return {directory['logDir']: directory['partitions'] for directory in answer['brokers'][0]['logDirs']}

    def test_a_replica_moves_to_another_disk_of_its_node(self):
        self.create('disks', [[1, 2, 3]])
        total_bytes, rate = 1_500_000, 300_000
        run('kcat', '-P', '-b', self.cluster.bootstrap(), '-t', 'disks', '-X', 'acks=all', '-X', 'batch.size=16384', stdin=('x' * 999 + '\n') * (total_bytes // 1000))
        before = self.disks('disks')
        there = next(path for path, held in before.items() if not held)
        plan = self.file('disks.json', {'version': 1, 'partitions': [{'topic': 'disks', 'partition': 0, 'replicas': [1, 2, 3], 'log_dirs': [there, 'any', 'any']}]})
        text = self.reassign('--execute', '--reassignment-json-file', plan, '--replica-alter-log-dirs-throttle', str(rate))
        self.assertIn(f'Successfully started moving log directory to {there} for replica disks-0 with broker 1', text)
        copy, = self.disks('disks')[there]
        self.assertTrue(copy['isFuture'])
        self.assertGreater(copy['offsetLag'], 0)
        # It serves meanwhile.
        run('kcat', '-P', '-b', self.cluster.bootstrap(), '-t', 'disks', '-X', 'acks=all', stdin='meanwhile\n')

        def verified():
            text = self.reassign('--verify', '--reassignment-json-file', plan)
            return 'is still in progress' not in text and text
        text = wait_until(verified, 'the replica on its new disk', 60)
        self.assertIn('Reassignment of replica disks-0-1 completed successfully', text)
        held, = self.disks('disks')[there]
        self.assertFalse(held['isFuture'])
        self.assertEqual([path for path, partitions in self.disks('disks').items() if partitions], [there])
        self.assertEqual(sorted(self.cluster.partitions('disks')[0]['isr']), [1, 2, 3])
        # On the way back the node is killed; the move goes on when it is back, and without the throttle takes no time.
        back = next(path for path in before if path != there)
        plan = self.file('back.json', {'version': 1, 'partitions': [{'topic': 'disks', 'partition': 0, 'replicas': [1, 2, 3], 'log_dirs': [back, 'any', 'any']}]})
        self.reassign('--execute', '--reassignment-json-file', plan, '--replica-alter-log-dirs-throttle', str(rate))
        copy, = self.disks('disks')[back]
        self.assertTrue(copy['isFuture'])
        self.cluster.kill(1)
        self.bring_back(1)
        self.assertEqual(self.tool(CONFIGS, '--alter', '--entity-type', 'brokers', '--entity-name', '1', '--delete-config', 'replica.alter.log.dirs.io.max.bytes.per.second')[0], 0)
        wait_until(lambda: [path for path, partitions in self.disks('disks').items() if partitions] == [back], 'the replica is back', 30)
        wait_until(lambda: 1 in self.cluster.partitions('disks')[0]['isr'], 'node 1 is in sync', 30)
        self.assertEqual(len(self.cluster.read_all('disks').splitlines()), 500 + total_bytes // 1000 + 1)

    def test_what_cannot_be_is_refused(self):
        self.create('firm', [[1, 2, 3]])
        text = self.reassign('--execute', '--reassignment-json-file', self.plan('firm', [[1, 2, 9]]), code=1)
        self.assertIn('9', text)
        text = self.reassign('--execute', '--reassignment-json-file', self.plan('firm', [[1, 2]]), '--disallow-replication-factor-change', code=1)
        self.assertIn('the replication factor would change from 3 to 2', text)
        self.assertEqual(self.replicas('firm'), [[1, 2, 3]])
        text = self.reassign('--cancel', '--reassignment-json-file', self.plan('firm', [[1, 2, 4]]))
        self.assertIn('None of the specified partition reassignments are active', text)

    def test_leaders_are_elected(self):
        self.create('led', [[2, 1, 3], [1, 2, 3]])
        code, text = self.tool(ELECT, '--election-type', 'preferred', '--topic', 'led', '--partition', '0')
        self.assertEqual(code, 0, text)
        self.assertIn('Valid replica already elected for partitions led-0', text)
        # The preferred leader changes with the order of the replicas; the leader only when asked.
        self.reassign('--execute', '--reassignment-json-file', self.plan('led', [[3, 2, 1], [3, 1, 2]]))
        self.assertEqual([p['leader'] for p in self.cluster.partitions('led')], [2, 1])
        code, text = self.tool(ELECT, '--election-type', 'preferred', '--all-topic-partitions')
        self.assertEqual(code, 0, text)
        self.assertIn('Successfully completed leader election (PREFERRED) for partitions', text)
        self.assertEqual([p['leader'] for p in self.cluster.partitions('led')], [3, 3])
        code, text = self.tool(ELECT, '--election-type', 'unclean', '--topic', 'led', '--partition', '1')
        self.assertEqual(code, 0, text)
        self.assertTrue(re.search('Valid replica already elected', text), text)
        code, text = self.tool(ELECT, '--election-type', 'preferred', '--topic', 'nothing', '--partition', '0')
        self.assertEqual(code, 1, text)
        self.assertIn("does not exist", text)


if __name__ == '__main__':
    unittest.main(verbosity=2)
