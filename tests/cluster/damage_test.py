"""Sealed segments that were cut or removed while their broker was stopped cleanly: whoever reads gets every record from another replica, the
damaged one leads no more, and its node's health says what to do."""
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from cluster import SLUICE, Cluster, run, wait_until  # noqa: E402

RECORDS = 4500  # of 1,000 bytes: four sealed segments of 1 MiB and a part of the fifth
TOPICS = ('cut', 'removed', 'orphaned')


class DamageTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(3))

    def partition(self, topic):
        return self.cluster.partitions(topic)[0]

    def stop(self, node):
        run(SLUICE, 'dev', 'stop', str(node), '--dir', self.cluster.directory)

    def wait_in_sync(self, topics):
        wait_until(lambda: all(self.cluster.fully_in_sync(topic) for topic in topics), f'{topics} in sync', 30)

    def damage(self, topic, node):
        """Of the second segment: the last third, the .log with its indexes, or the .log alone."""
        directory, = pathlib.Path(self.cluster.directory).glob(f'node-{node}/**/{topic}-0')
        log = sorted(directory.glob('*.log'))[1]
        if topic == 'cut':
            log.write_bytes(log.read_bytes()[:log.stat().st_size * 2 // 3])
            return
        doomed = [log] if topic == 'orphaned' else [log, log.with_suffix('.index'), log.with_suffix('.timeindex')]
        for file in doomed:
            file.unlink()

    def test_every_record_is_read_and_the_damaged_replica_leads_no_more(self):
        for topic in TOPICS:
            self.cluster.create_topic(topic, configs=('segment.bytes=1048576',))
            run('kcat', '-P', '-b', self.cluster.bootstrap(), '-t', topic, '-X', 'batch.num.messages=20',
                stdin=''.join(f'{n}-{"v" * 1000}\n' for n in range(RECORDS)))
        for topic in TOPICS:
            with self.subTest(topic):
                self.check(topic)

    def check(self, topic):
        self.wait_in_sync([topic])
        replicas = self.partition(topic)['replicas']
        victim = replicas[0]
        self.stop(victim)
        self.damage(topic, victim)
        self.cluster.start(victim)
        if topic == 'orphaned':
            # Known at the start: it is not in sync, however long one waits for the others.
            wait_until(lambda: len(self.cluster.live_nodes()) == 3, 'the node back', 20)
        else:
            self.wait_in_sync([topic])
            leader = self.partition(topic)['leader']
            self.stop(leader)
            wait_until(lambda: self.partition(topic)['leader'] == victim, 'the first replica leads', 20)
            self.cluster.start(leader)
            self.wait_in_sync([topic])
            self.assertEqual(self.partition(topic)['leader'], victim)
        values = [line.split(b'-')[0] for line in self.cluster.read_all(topic, '%s\n').splitlines()]
        self.assertEqual(values, [str(n).encode() for n in range(RECORDS)])
        wait_until(lambda: victim not in self.partition(topic)['isr'], 'the damaged replica out of the ISR', 10)
        self.assertNotEqual(self.partition(topic)['leader'], victim)
        health = self.cluster.admin('cluster', 'health', node=self.partition(topic)['leader'], check=False)
        damaged, = [problem for problem in health['problems'] if 'damaged log' in problem['what']]
        self.assertIn(f'{topic}-0', damaged['what'])
        self.assertIn(f'node {victim}', damaged['what'])
        self.assertIn('.log', damaged['what'])
        self.assertIn('remove that partition\'s directory', damaged['next_step'])
        # The remedy.
        self.stop(victim)
        directory, = pathlib.Path(self.cluster.directory).glob(f'node-{victim}/**/{topic}-0')
        run('rm', '-r', str(directory))
        self.cluster.start(victim)
        self.wait_in_sync([topic])

    def test_a_replica_whose_directory_was_removed_leads_nobody_who_has_the_records(self):
        self.cluster.create_topic('gone')
        run('kcat', '-P', '-b', self.cluster.bootstrap(), '-t', 'gone', stdin=''.join(f'{n}\n' for n in range(1000)))
        self.wait_in_sync(['gone'])
        # The last one to stop leads, and is in sync, to the end.
        *_, last = nodes = sorted(self.cluster.live_nodes())
        for node in nodes:
            self.stop(node)
        directory, = pathlib.Path(self.cluster.directory).glob(f'node-{last}/**/gone-0')
        run('rm', '-r', str(directory))
        self.cluster.start_all()
        self.wait_in_sync(['gone'])
        values = self.cluster.read_all('gone', '%s\n').split()
        self.assertEqual(values, [str(n).encode() for n in range(1000)])


    def test_a_log_that_was_trimmed_within_a_batch_is_copied(self):
        self.cluster.create_topic('trimmed')
        run('kcat', '-P', '-b', self.cluster.bootstrap(), '-t', 'trimmed', '-X', 'linger.ms=1000', stdin=''.join(f'{n}\n' for n in range(100)))
        self.wait_in_sync(['trimmed'])
        self.cluster.admin('topic', 'trim', 'trimmed', '--partition', '0', '--before-offset', '55')
        victim = self.partition('trimmed')['replicas'][2]
        self.stop(victim)
        directory, = pathlib.Path(self.cluster.directory).glob(f'node-{victim}/**/trimmed-0')
        run('rm', '-r', str(directory))
        self.cluster.start(victim)
        self.wait_in_sync(['trimmed'])


class AloneTest(unittest.TestCase):
    """Damage that no other replica stands in for: clients get what is whole, and then an error that they show."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(1))

    def damage(self, kind):
        directory, = pathlib.Path(self.cluster.directory).glob(f'node-1/**/{kind}-0')
        logs = sorted(directory.glob('*.log'))
        if kind == 'newest':
            logs[-1].write_bytes(logs[-1].read_bytes()[:30000])
            return
        data = bytearray(logs[1].read_bytes())
        if kind == 'short':
            del data[30000:]
        else:
            data[:10000] = bytes(10000)  # the header and half of the first batch
        logs[1].write_bytes(data)
        if kind == 'crash':
            # As after a crash: what was synced is looked at in the start.
            (directory.parent / '.kafka_cleanshutdown').unlink()
            logs[-1].write_bytes(logs[-1].read_bytes()[:30000])

    def test_clients_show_it(self):
        kinds = ('zeroed', 'short', 'newest', 'crash')
        for kind in kinds:
            self.cluster.create_topic(kind, replication_factor=1, configs=('segment.bytes=1048576',))
            run('kcat', '-P', '-b', self.cluster.bootstrap(), '-t', kind, '-X', 'batch.num.messages=20',
                stdin=''.join(f'{n}-{"v" * 1000}\n' for n in range(RECORDS)))
        run(SLUICE, 'dev', 'stop', '--dir', self.cluster.directory)
        for kind in kinds:
            self.damage(kind)
        self.cluster.start_all()
        before = {}
        for kind in kinds:
            with self.subTest(kind):
                before[kind] = self.check(kind)
        # An append is refused there, and takes no reader anything.
        refused = run('kcat', '-P', '-b', self.cluster.bootstrap(), '-t', 'newest', '-X', 'message.timeout.ms=2000', stdin='x\n', check=False)
        self.assertNotEqual(refused.returncode, 0)
        with self.subTest('newest, again'):
            self.assertEqual(self.check('newest'), before['newest'])

    def check(self, topic):
        """How many records came, before the error."""
        read = run('kcat', '-C', '-q', '-b', self.cluster.bootstrap(), '-t', topic, '-o', 'beginning', '-e', '-f', '%s\n',
                   check=False, timeout=30)
        self.assertEqual(read.returncode, 1, read.stderr)
        self.assertIn('Invalid message', read.stderr)
        ours = run(SLUICE, 'consume', topic, '--from', 'start', '--until-end', '--bootstrap', self.cluster.bootstrap(), check=False, timeout=30)
        self.assertEqual(ours.returncode, 1, ours.stderr)
        self.assertIn('Invalid message', ours.stderr)
        for output in (read.stdout, ours.stdout):
            values = [line.split('-')[0] for line in output.splitlines()]
            self.assertEqual(values, [str(n) for n in range(len(values))])
            self.assertLess(len(values), RECORDS)
            if topic in ('zeroed', 'short'):
                self.assertGreater(len(values), 1000, (read.stderr, ours.stderr))
        return len(values)


class ControllerTest(unittest.TestCase):
    """A controller whose metadata log is damaged is given back what it lost by the others; one that has lost its votes says so in three
    lines, and the others go on without it."""

    def test_the_others_give_back_what_is_damaged(self):
        with Cluster(3) as cluster:
            cluster.create_topic('stays')
            node = pathlib.Path(cluster.directory) / 'node-2'
            log = node / 'data/__cluster_metadata-0/00000000000000000000.log'
            given_back, votes_not = 'was given back what its log had lost', 'neither votes nor stands for election'
            for damages, what in enumerate(('a flipped byte', 'a cut', 'nothing is left'), 1):
                with self.subTest(what):
                    run(SLUICE, 'dev', 'stop', '2', '--dir', cluster.directory)
                    # There may be one of the first start, if the other two had begun without it.
                    before = self.lines(node, given_back)
                    data = bytearray(log.read_bytes())
                    middle = len(data) // 2
                    if what == 'a flipped byte':
                        data[middle] ^= 0x41
                    log.unlink() if what == 'nothing is left' else log.write_bytes(data[:middle] if what == 'a cut' else data)
                    cluster.start(2)
                    wait_until(lambda: self.lines(node, given_back) == before + 1, 'all given back', 30)
                    self.assertEqual(self.lines(node, votes_not), damages)
                    if what == 'a flipped byte':
                        self.assertEqual((log.parent / (log.name + '.damaged')).read_bytes(), data)
                    wait_until(lambda: cluster.fully_in_sync('stays'), 'its replica in sync', 30)
                    wait_until(lambda: not self.names_controller_2(cluster), 'its health', 10)
            # It counts again: without one of the others it takes both that are left.
            cluster.kill(cluster.active_controller() if cluster.active_controller() != 2 else 1)
            names = iter(range(1000))
            wait_until(lambda: self.creates_a_topic(cluster, f'made-{next(names)}'), 'a topic made by two controllers', 30)

    def lines(self, node, part):
        return (node / 'server.log').read_text(errors='replace').count(part)

    def creates_a_topic(self, cluster, name):
        server = cluster.addresses[2]['grpc']
        return run(SLUICE, 'topic', 'create', name, '--replication-factor', '2', '--server', server, check=False).returncode == 0

    def test_without_its_votes_it_stays_away_and_its_node_can_be_a_broker(self):
        with Cluster(3) as cluster:
            cluster.create_topic('stays')
            run(SLUICE, 'dev', 'stop', '--dir', cluster.directory)
            node = pathlib.Path(cluster.directory) / 'node-2'
            metadata = node / 'data/__cluster_metadata-0'
            (metadata / 'quorum-state').write_bytes(bytes(1024))
            self.start_without(cluster, 'damaged', str(metadata))
            run(SLUICE, 'dev', 'stop', '--dir', cluster.directory)
            metadata.rename(node / 'away')
            self.start_without(cluster, 'missing', str(metadata))
            # What the message says.
            properties = node / 'server.properties'
            voters = ','.join(f'{n}@{cluster.addresses[n]["grpc"]}' for n in (1, 3))
            text = re.sub('(?m)^process.roles=.*', 'process.roles=broker', properties.read_text())
            properties.write_text(re.sub('(?m)^controller.quorum.voters=.*', f'controller.quorum.voters={voters}', text))
            cluster.start(2)
            wait_until(lambda: len(cluster.partitions('stays', node=1)[0]['isr']) == 3, 'its replica in sync', 30)
            wait_until(lambda: self.names_controller_2(cluster), 'the silent controller named', 30)

    def names_controller_2(self, cluster):
        health = cluster.admin('cluster', 'health', node=1, check=False)
        return any('controller 2' in problem['what'] for problem in health['problems'])

    def start_without(self, cluster, what, directory):
        done = run(SLUICE, 'dev', '--detach', '--dir', cluster.directory, check=False)
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertEqual([node['state'] for node in cluster.status()], ['ready', 'stopped', 'ready'])
        lines = done.stderr.splitlines()
        why, = [n for n, line in enumerate(lines) if line.startswith('  why: ')]
        self.assertIn(f'the metadata log of controller 2 is {what}', lines[why - 1])
        self.assertEqual(lines[why].count(directory), 1, lines[why])
        self.assertIn('process.roles=broker', lines[why + 1])
        self.assertNotIn('cluster init', done.stderr)
        self.assertIn('2 of 3 nodes are ready', done.stderr)


if __name__ == '__main__':
    unittest.main()
