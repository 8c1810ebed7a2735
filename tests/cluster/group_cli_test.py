"""`sluice group` on a real cluster with real members: what it tells of them, and offsets moved there and back."""
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from cluster import SLUICE, Cluster, run, wait_until  # noqa: E402

RECORDS = 300
SESSION_MS = 6000


class GroupCliTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(3, settings=['group.initial.rebalance.delay.ms=0']))

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='sluice-groups-'))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def group(self, *words, node=1, check=True):
        """A verb of `sluice group` at one node, with its exit code and its JSON."""
        done = run(SLUICE, 'group', *words, '--server', self.cluster.addresses[node]['grpc'], '-o', 'json', check=check)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def table(self, *words, code=0):
        done = run(SLUICE, 'group', *words, '--server', self.cluster.addresses[1]['grpc'], check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def topic(self, name, partitions=2, records=RECORDS):
        """With `records` in each partition."""
        self.cluster.create_topic(name, partitions, 3)
        for partition in range(partitions):
            run('kcat', '-P', '-b', self.cluster.bootstrap(), '-t', name, '-p', str(partition), stdin=''.join(f'{i}\n' for i in range(records)))

    def member(self, group, topic, client):
        settings = {'auto.offset.reset': 'earliest', 'auto.commit.interval.ms': '200', 'session.timeout.ms': str(SESSION_MS),
                    'heartbeat.interval.ms': '500', 'client.id': client}
        words = [word for key, value in settings.items() for word in ('-X', f'{key}={value}')]
        process = subprocess.Popen(['kcat', '-q', '-b', self.cluster.bootstrap(), *words, '-G', group, topic], stdout=subprocess.DEVNULL)
        self.addCleanup(lambda: process.poll() is None and (process.kill(), process.wait()))
        return process

    def read_all(self, group, topic):
        """A member that reads all there is, commits and leaves."""
        run(SLUICE, 'consume', topic, '-g', group, '--from', 'start', '-e', '--bootstrap', self.cluster.bootstrap(), '--timeout-ms', '30000')
        # The client does not wait for the answer to its LeaveGroup.
        wait_until(lambda: self.group('describe', group)['members'] == [], 'the reader has left', 30)

    def lag_of(self, group):
        return self.group('lag', group)['lag']

    def test_a_group_from_its_beginning_to_its_end(self):
        self.topic('orders')
        members = [self.member('billing', 'orders', f'app-{i}') for i in range(2)]
        wait_until(lambda: (self.group('describe', 'billing', check=False) or {}).get('state') == 'Stable'
                   and len(self.group('describe', 'billing')['members']) == 2, 'two members', 30)
        wait_until(lambda: [p['lag'] for p in self.group('lag', 'billing')['partitions']] == [0, 0], 'all is read and committed', 30)
        for node in (1, 2, 3):
            described = self.group('describe', 'billing', node=node)
            self.assertEqual(sorted(member['client_id'] for member in described['members']), ['app-0', 'app-1'])
            self.assertEqual(sorted(p for member in described['members'] for topic in member['assignment'] for p in topic['partitions']), [0, 1])
            self.assertEqual({member['session_timeout_ms'] for member in described['members']}, {SESSION_MS})
            self.assertTrue(all(member['heard_ms_ago'] < SESSION_MS for member in described['members']))
            listed = {group['name']: group for group in self.group('list', node=node)['groups']}
            self.assertEqual((listed['billing']['state'], listed['billing']['protocol_type']), ('Stable', 'consumer'))
            self.assertEqual(listed['billing']['coordinator'], described['coordinator'])
        self.assertEqual([group['name'] for group in self.group('list', '--name', 'bill*', '--state', 'stable')['groups']], ['billing'])
        self.assertEqual(self.group('list', '--name', 'bill*', '--state', 'empty')['groups'], [])
        self.assertIn('app-0', self.table('describe', 'billing').stdout)
        refused = self.table('offsets', 'reset', 'billing', '--to', 'start', '--execute', code=1)
        self.assertIn('Stable with 2 members', refused.stderr)
        self.assertIn('still has members', self.table('delete', 'billing', code=1).stderr)

        members[0].send_signal(signal.SIGKILL)
        members[0].wait()
        killed = time.monotonic()
        silent = wait_until(lambda: next((finding for finding in self.group('explain', 'billing', '--sample', '0')['findings']
                                          if 'is silent' in finding['what']), None), 'explain tells of the silent member', SESSION_MS / 1000)
        self.assertIn("'app-0'", silent['what'])
        wait_until(lambda: len(self.group('describe', 'billing')['members']) == 1, 'the killed member is out', 30)
        self.assertGreater(time.monotonic() - killed, SESSION_MS / 1000 - 2)
        words = json.dumps(self.group('explain', 'billing', '--sample', '0')['findings'])
        self.assertIn('session', words)
        self.assertIn('app-0', words)

        members[1].send_signal(signal.SIGTERM)
        members[1].wait()
        wait_until(lambda: self.group('describe', 'billing')['state'] == 'Empty', 'the last one has left', 30)
        self.assertIn('no members', self.table('explain', 'billing', '--sample', '0').stdout)
        self.table('delete', 'billing')
        self.assertIn('sluice group list', self.table('describe', 'billing', code=3).stderr)
        self.assertIn('sluice group list', self.table('offsets', 'get', 'billing', code=3).stderr)

    def test_lag_in_records_and_in_seconds(self):
        self.topic('clicks', partitions=1, records=10)
        self.read_all('lagging', 'clicks')
        lag = self.group('lag', 'lagging')
        self.assertEqual((lag['lag'], lag['lag_seconds'], lag['partitions'][0]['committed']), (0, 0, 10))
        produced = time.time()
        run('kcat', '-P', '-b', self.cluster.bootstrap(), '-t', 'clicks', '-z', 'zstd', stdin='a\nb\nc\n')
        wait_until(lambda: self.group('lag', 'lagging')['lag_seconds'] >= 1, 'a lag of a second', 10)
        # From any node: the leader of the partition has the records' times.
        for node in (1, 2, 3):
            lag = self.group('lag', 'lagging', node=node)
            self.assertEqual((lag['lag'], lag['partitions'][0]['log_end']), (3, 13))
            self.assertTrue(1 <= lag['lag_seconds'] <= time.time() - produced, lag)
        lag = self.group('lag', 'lagging', '--sample', '1')
        self.assertEqual((lag['partitions'][0]['arriving_per_second'], lag['partitions'][0]['eta_seconds']), (0, None))
        self.assertIn('1.0 s apart', lag['measured'])
        self.assertIn('3 records behind', self.table('lag', 'lagging').stderr)

    def test_offsets_there_and_back(self):
        self.topic('steps')
        self.read_all('mover', 'steps')
        before = self.group('offsets', 'get', 'mover')['offsets']
        self.assertEqual([offset['offset'] for offset in before], [RECORDS, RECORDS])
        plan = self.group('offsets', 'reset', 'mover', '--to', 'start')
        self.assertEqual((plan['executed'], [c['new'] for c in plan['changes']], [c['repeated'] for c in plan['changes']]),
                         (False, [0, 0], [RECORDS, RECORDS]))
        self.assertEqual(self.group('offsets', 'get', 'mover')['offsets'], before)
        self.assertIn('dry run', self.table('offsets', 'reset', 'mover', '--to', 'start').stderr)

        undo = self.directory / 'undo.json'
        done = self.group('offsets', 'reset', 'mover', '--shift=-50', '--topic', 'steps:1', '--execute', '--undo-file', str(undo))
        self.assertEqual((done['executed'], done['undo_file']), (True, str(undo)))
        self.assertEqual([offset['offset'] for offset in self.group('offsets', 'get', 'mover')['offsets']], [RECORDS, RECORDS - 50])
        self.assertEqual(self.lag_of('mover'), 50)
        second = str(self.directory / 'second.json')
        self.assertIn('cannot be written', self.table('offsets', 'reset', 'mover', '--to', 'end', '--execute', '--undo-file', str(undo), code=1).stderr)
        self.table('offsets', 'import', str(undo), '--execute', '--undo-file', second)
        self.assertEqual(self.group('offsets', 'get', 'mover')['offsets'], before)

        self.table('offsets', 'copy', 'mover', 'copied', '--execute', '--undo-file', str(self.directory / 'copy.json'))
        self.assertEqual([o['offset'] for o in self.group('offsets', 'get', 'copied')['offsets']], [RECORDS, RECORDS])
        # Before that it had nothing: the way back deletes.
        self.table('offsets', 'import', str(self.directory / 'copy.json'), '--execute', '--undo-file', str(self.directory / 'copy2.json'))
        self.table('offsets', 'get', 'copied', code=3)

        exported = self.directory / 'exported.json'
        self.table('offsets', 'export', 'mover', '--file', str(exported))
        plan = self.group('offsets', 'import', str(exported), '--group', 'other')
        self.assertEqual([(c['old'], c['new']) for c in plan['changes']], [(None, RECORDS)] * 2)
        times = self.group('offsets', 'reset', 'mover', '--to', '@-1h')['changes']
        self.assertEqual([change['new'] for change in times], [0, 0])

    def test_what_cannot_be(self):
        self.topic('walls', partitions=1, records=1)
        self.read_all('walled', 'walls')
        for words, code, part in ((('describe', 'nobody'), 3, 'sluice group list'), (('lag', 'nobody'), 3, 'nobody'),
                                  (('offsets', 'reset', 'walled'), 2, 'exactly one'), (('offsets', 'reset', 'walled', '--to', 'soon'), 2, 'soon'),
                                  (('offsets', 'reset', 'walled', '--to', '@yesterday'), 2, '@yesterday'),
                                  (('offsets', 'reset', 'walled', '--to', 'start', '--topic', 'nothing'), 3, "'nothing'"),
                                  (('offsets', 'reset', 'walled', '--to', 'start', '--topic', 'walls:9'), 1, 'has no partition 9'),
                                  (('offsets', 'reset', 'walled', '--to', 'start', '--topic', 'walls:0,'), 2, 'behind the comma'),
                                  (('offsets', 'import', str(self.directory / 'none')), 3, 'none'),
                                  (('lag', 'walled', '--sample', '60'), 2, 'sample_ms'),
                                  (('list', '--state', 'bogus'), 2, 'PreparingRebalance'), (('list', '--type', 'bogus'), 2, 'classic, consumer'),
                                  (('offsets', 'get', 'nobody'), 3, 'sluice group list'), (('offsets', 'copy', 'nobody', 'x'), 3, "'nobody' does not exist"),
                                  (('offsets', 'reset', 'nobody', '--to', 'start'), 3, "'nobody' does not exist"),
                                  (('offsets', 'reset', 'walled', '--to', '@1795323000'), 2, '@1795323000000')):
            done = self.table(*words, code=code)
            self.assertIn(part, done.stderr)
            self.assertEqual([line.split(':')[0].strip() for line in done.stderr.strip().splitlines()][-3:], ['sluice', 'why', 'do'], done.stderr)

    def test_names_that_no_record_holds(self):
        """They ended the brokers once: every door refuses them, and the brokers live."""
        name = 'g' * 33000
        for words in (('describe',), ('delete',), ('lag',), ('explain',), ('offsets', 'get'), ('offsets', 'reset', '--to', 'start'), ('offsets', 'copy', 'x')):
            refused = self.table(*words, name, code=2).stderr
            self.assertIn('name is too long: it has 33000 bytes', refused)
            self.assertLess(len(refused), 1000)
        self.topic('short', partitions=1, records=1)
        for group, part in ((name, 'too long'), ('', 'empty')):
            done = run(SLUICE, 'consume', 'short', '-g', group, '--from', 'start', '-e', '--bootstrap', self.cluster.bootstrap(), check=False, timeout=10)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(part, done.stderr)
        done = run(SLUICE, 'consume', 'short', '-g', 'cc', '-X', 'session.timeout.ms=1', '--bootstrap', self.cluster.bootstrap(), check=False, timeout=30)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn('session.timeout.ms=1', done.stderr)
        self.table('list')

    def test_an_import_that_is_refused_in_part(self):
        self.topic('parts')
        offsets = [{'topic': 'parts', 'partition': p, 'offset': 5, 'metadata': 'm' * size} for p, size in ((0, 5000), (1, 10))]
        both, bad, undo = (self.directory / name for name in ('both', 'bad', 'undo'))
        both.write_text(json.dumps({'group': 'imported', 'offsets': offsets}))
        bad.write_text(json.dumps({'group': 'imported', 'offsets': offsets[:1]}))
        self.assertIn('offset.metadata.max.bytes', self.table('offsets', 'import', str(bad), code=1).stderr)
        done = self.table('offsets', 'import', str(both), '--execute', '--undo-file', str(undo), code=7)
        self.assertIn('changed 1 of 2 partitions', done.stderr)
        self.assertNotIn('done', done.stderr)

    def test_a_cluster_without_groups_says_how_they_come(self):
        with Cluster(1) as fresh:
            server = fresh.addresses[1]['grpc']
            done = run(SLUICE, 'group', 'list', '--server', server)
            self.assertIn('sluice consume hello -g demo', done.stderr)
            run(SLUICE, 'produce', 'hello', 'hi', '--bootstrap', fresh.addresses[1]['kafka'])
            run(SLUICE, 'consume', 'hello', '-g', 'demo', '--from', 'start', '-n', '1', '--bootstrap', fresh.addresses[1]['kafka'], timeout=60)
            self.assertIn('demo', run(SLUICE, 'group', 'list', '--server', server).stdout)


if __name__ == '__main__':
    unittest.main(verbosity=2)
