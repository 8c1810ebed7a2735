"""The `sluice` program towards scripts: exit codes, JSON on every verb, and three lines for whatever cannot be done."""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from cluster import SLUICE, Cluster, free_base_port, run  # noqa: E402

PLAN = {'cluster_id': 'AAAAAAAAAAAAAAAAAAAAAQ', 'voters': [{'id': 1, 'address': 'a:1', 'disk_id': 'AAAAAAAAAAAAAAAAAAAAAg'}]}


class CliTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(1))
        cls.grpc, cls.kafka = cls.cluster.addresses[1]['grpc'], cls.cluster.addresses[1]['kafka']

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='sluice-cli-'))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def topic(self, *words):
        return run(SLUICE, 'topic', *words, '--server', self.grpc, check=False)

    def assert_refused(self, done, code, *parts):
        """Three lines, what, why and what to do, and the exit code."""
        self.assertEqual(done.returncode, code, done.stderr)
        lines = [line for line in done.stderr.strip().splitlines() if not line.startswith(('I2', 'W2', 'E2'))]
        self.assertEqual([line.split(':')[0].strip() for line in lines], ['sluice', 'why', 'do'], done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)

    def config(self, text, name='server.properties'):
        path = self.directory / name
        path.write_text(text)
        return str(path)

    def combined(self, data, port, extra=''):
        """A node of its own quorum whose directories are below `data`."""
        return self.config(f'process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n'
                           f'listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{port + 3}\n'
                           f'controller.quorum.voters=1@127.0.0.1:{port + 3}\nhttp.listener=127.0.0.1:{port + 4}\nlog.dirs={data}\n{extra}')

    def test_topics_that_are_not_there_or_there_already(self):
        self.assert_refused(self.topic('describe', 'nothing'), 3, 'nothing')
        self.assertEqual(self.topic('create', 'once').returncode, 0)
        self.assert_refused(self.topic('create', 'once'), 4, 'once')
        self.assert_refused(self.topic('create', 'bad name'), 2, 'bad name')
        self.assert_refused(self.topic('create', 'other', '--config', 'retention.ms=soon'), 2, 'retention.ms')
        # The partitions are added, the setting is refused.
        self.assert_refused(self.topic('alter', 'once', '--partitions', '2', '--config', 'nonsense=1'), 7, 'nonsense')
        self.assert_refused(run(SLUICE, 'topic', 'list', '--server', '127.0.0.1:1', '--timeout-ms', '500', check=False), 6)

    def test_nodes_that_do_not_answer(self):
        for address in ('localhost:99999', 'localhost:', ':9095', 'localhost:0', 'localhost', ''):
            self.assert_refused(run(SLUICE, 'quorum', 'status', '--server', address, check=False), 2, 'host:port')
            self.assert_refused(run(SLUICE, 'quorum', 'add', address, '--server', self.grpc, check=False), 2, 'host:port')
        # One that speaks Kafka is no better than none.
        for address in (self.kafka, '127.0.0.1:1'):
            done = run(SLUICE, 'quorum', 'status', '--server', address, '--timeout-ms', '1000', check=False)
            self.assert_refused(done, 6, f'nobody answers in gRPC on {address}', 'are others')

    def test_commands_that_are_not_understood(self):
        for words, parts in ((('group', 'desc'), ("no verb 'desc'", "'describe'")), (('grop',), ("no verb 'grop'", "'group'")),
                             (('group', 'offsets', 'reset', '-dash'), ('if -dash is a name, put -- before it',)), (('topic', 'create'), ('--help',)), ((), ('--help',))):
            self.assert_refused(run(SLUICE, *words, check=False), 2, *parts)
        self.assert_refused(self.topic('describe', 'two\nlines'), 3, 'two\\nlines')

    def test_commands_that_contradict_themselves(self):
        """Neither of the two is done, and none is dropped without a word."""
        both = [(('broker', 'decommission', '1'), pair) for pair in (('--status', '--cancel'), ('--cancel', '--dry-run'), ('--status', '--wait'), ('--wait', '--dry-run'))]
        both += [(('broker', 'drain', '1'), ('--dry-run', '--wait')), (('partition', 'move', 'once', '0', '--to', '1'), ('--dry-run', '--wait')),
                 (('partition', 'move'), ('--file', '--to'))]
        for words, (one, other) in both:
            values = {'--file': ('moves.json',), '--to': ('1',)}
            done = run(SLUICE, *words, one, *values.get(one, ()), other, *values.get(other, ()), '--server', self.grpc, check=False)
            self.assert_refused(done, 2, one, other, 'cannot be given together', 'leave one of them out')
        for words in (('partition', 'elect', 'once', '--all'), ('partition', 'cancel', 'once', '--all'), ('cluster', 'rebalance', 'run', '--leaders-only', '--throttle', '1MiB'),
                      ('cluster', 'init', '--voters', '1@a:1', '--config', 'f'), ('dev', 'status', '--nodes', '3')):
            self.assert_refused(run(SLUICE, *words, check=False), 2, 'cannot be given together')
        self.assert_refused(run(SLUICE, 'group', 'offsets', 'reset', 'g', '--to', 'start', '--undo-file', 'f', check=False), 2, '--execute')
        self.assert_refused(run(SLUICE, 'produce', 'once', 'x', '-K', ':', check=False), 2, '--key-delimiter')
        self.assert_refused(self.topic('create', 'twice', '--config', 'retention.ms=1', '--config', 'retention.ms=2'), 2, 'retention.ms is given two values, 1 and 2')

    def test_dry_runs_say_what_would_be(self):
        self.topic('create', 'steady', '--partitions', '1')
        for words in (('topic', 'create', 'dry', '--partitions', '2'), ('topic', 'alter', 'steady', '--config', 'retention.ms=7'), ('broker', 'decommission', '1'),
                      ('broker', 'drain', '1'), ('partition', 'move', 'steady', '0', '--to', '1'), ('broker', 'undrain', '1'), ('topic', 'delete', 'steady'),
                      ('partition', 'elect', '--all'), ('partition', 'elect', 'steady', '0'), ('partition', 'cancel', '--all'), ('cluster', 'rebalance', 'cancel'),
                      ('quorum', 'remove', '1')):
            done = run(SLUICE, *words, '--dry-run', '--server', self.grpc, check=False)
            if words[1] in ('drain', 'decommission', 'remove'):  # the only one
                self.assertIn(done.returncode, (1, 2), done.stderr)
                continue
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stderr, r'dry run: .*(would|there already|not drained).*, nothing changed')
        self.assertIn('steady', self.topic('list').stdout)
        log = (pathlib.Path(self.cluster.directory) / 'node-1/server.log').read_text()
        self.assertNotIn('is drained', log)
        self.assertNotIn('is decommissioned', log)

    def test_moves_of_a_file_that_would_not_be_done(self):
        move = {'topic': 'once', 'partition': 0, 'replicas': [1]}
        for plan, part in (({'version': 2, 'partitions': [move]}, 'version 2, known is 1'),
                           ({'version': 1, 'partitions': [{**move, 'log_dirs': ['/elsewhere']}]}, '"/elsewhere"')):
            path = self.config(json.dumps(plan), 'moves.json')
            self.assert_refused(run(SLUICE, 'partition', 'move', '--file', path, '--server', self.grpc, check=False), 2, path, part)

    def test_advice_that_fits(self):
        self.topic('create', 'advised', '--partitions', '1')
        run(SLUICE, 'produce', 'advised', 'x', '--bootstrap', self.kafka)
        self.assert_refused(self.topic('trim', 'advised', '--partition', '0', '--before-offset', '99'), 2, 'offset 99 is outside of advised-0', '0 to 1', '-1 stands')
        move = ('partition', 'move', 'advised', '0', '--server', self.grpc, '--change-replication-factor', '--to')
        self.assert_refused(run(SLUICE, *move, '1,1', check=False), 2, 'broker 1 is assigned twice', 'name each node once')
        self.assert_refused(run(SLUICE, *move, '7', check=False), 2, 'broker 7 is not registered', 'sluice broker list')
        self.assert_refused(run(SLUICE, 'quorum', 'remove', '1', '--server', self.grpc, check=False), 2, 'is the only voter', 'another controller a voter first')
        of_node = str(pathlib.Path(self.cluster.directory) / 'node-1')
        for words in (('dev', '--detach'), ('dev', 'status')):
            self.assert_refused(run(SLUICE, *words, '--dir', of_node, check=False), 2, 'the directory of one node', f'lives in {self.cluster.directory}: name that')
        done = self.topic('create', 'demanding', '--partitions', '1', '--replication-factor', '1', '--config', 'min.insync.replicas=3')
        self.assertIn('min.insync.replicas=3 is above the replication factor of demanding, 1, and counts as 1', done.stderr)

    def test_the_log_names_all_doors(self):
        log = (pathlib.Path(self.cluster.directory) / 'node-1/server.log').read_text()
        up = next(line for line in log.splitlines() if ' is up: ' in line)
        for door in ('kafka', 'grpc', 'http'):
            self.assertIn(self.cluster.addresses[1][door], up)

    def test_records_that_cannot_be_moved(self):
        """One exit code and three lines, nothing of the library's own log between them."""
        self.assert_refused(run(SLUICE, 'produce', 'bad!', 'x', '--bootstrap', self.kafka, check=False), 2, 'bad!', '--help')
        self.assert_refused(run(SLUICE, 'consume', 'nothing', '-e', '--bootstrap', self.kafka, check=False), 3, 'sluice topic list')
        for verb in (('produce', 'once', 'x'), ('consume', 'once', '-e')):
            done = run(SLUICE, *verb, '--bootstrap', '127.0.0.1:1', '--timeout-ms', '500', check=False)
            self.assert_refused(done, 6, 'Connection refused', '--bootstrap')

    def test_compacted_topics_say_why_they_are_not_trimmed(self):
        self.topic('create', 'compacted', '--config', 'cleanup.policy=compact')
        trim = ('trim', 'compacted', '--partition', '0', '--before-offset', '0')
        self.assert_refused(self.topic(*trim), 2, 'cleanup.policy=compact, without delete', 'alter compacted --config cleanup.policy=compact,delete')
        self.assertEqual(self.topic('alter', 'compacted', '--config', 'cleanup.policy=compact,delete').returncode, 0)
        self.assertEqual(self.topic(*trim).returncode, 0)

    def test_places_to_read_from_that_are_none(self):
        self.topic('create', 'places', '--partitions', '1')
        run(SLUICE, 'produce', 'places', 'a', '--bootstrap', self.kafka)
        run(SLUICE, 'produce', 'places', 'b', '--bootstrap', self.kafka)
        self.topic('trim', 'places', '--partition', '0', '--before-offset', '1')
        consume = lambda start: run(SLUICE, 'consume', 'places', f'--from={start}', '-e', '--bootstrap', self.kafka, check=False)  # noqa: E731
        for outside in ('0', '3', '99'):
            self.assert_refused(consume(outside), 2, f'--from {outside}', 'places-0 can be read from 1 to 2', 'give an offset in that range')
        for nonsense in ('@-5', '-5', '5th', '@', 'first'):
            self.assert_refused(consume(nonsense), 2, f'--from {nonsense}', '0 or more')
        for start, records in (('1', 'b\n'), ('2', ''), ('@0', 'b\n'), ('start', 'b\n')):
            done = consume(start)
            self.assertEqual((done.returncode, done.stdout), (0, records), done.stderr)

    def test_errors_as_json(self):
        for verb, code in ((('topic', 'describe', 'nothing', '--server', self.grpc), 3), (('consume', 'nothing', '--bootstrap', self.kafka), 3)):
            done = run(SLUICE, *verb, '-o', 'json', check=False)
            self.assertEqual((done.returncode, done.stdout), (code, ''))
            self.assertEqual(list(json.loads(done.stderr)['error']), ['what', 'why', 'do'])

    def test_json_on_what_changes_things(self):
        self.assertEqual(json.loads(self.topic('create', 'dry', '--dry-run', '-o', 'json').stdout), {'name': 'dry', 'dry_run': True})
        with Cluster(1) as other:
            for verb, state in (('kill', 'stopped'), ('start', 'ready'), ('pause', 'paused')):
                done = run(SLUICE, 'dev', verb, '1', '--dir', other.directory, '-o', 'json')
                self.assertEqual(json.loads(done.stdout)['nodes'][0]['state'], state)
            run(SLUICE, 'dev', 'kill', '1', '--dir', other.directory)
            done = run(SLUICE, 'dev', 'stop', '--dir', other.directory, '-o', 'json')
            self.assertEqual(json.loads(done.stdout)['nodes'][0]['state'], 'stopped')

    def test_output_that_cannot_be_written_is_a_failure(self):
        run(SLUICE, 'produce', 'out', 'x', '--bootstrap', self.kafka)
        for command in (['topic', 'list', '--server', self.grpc],
                        ['consume', 'out', '--from', 'start', '-n', '1', '--bootstrap', self.kafka]):
            with open('/dev/full', 'w') as full:
                done = subprocess.run([SLUICE, *command], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
            self.assert_refused(done, 1, 'output')

    def test_header_keys_that_are_no_text(self):
        run('kcat', '-P', '-b', self.kafka, '-t', 'headers', '-H', b'\xff=v', stdin='x', text=True)
        done = run(SLUICE, 'consume', 'headers', '--from', 'start', '-n', '1', '-o', 'json', '--bootstrap', self.kafka)
        self.assertEqual(json.loads(done.stdout)['headers'], [{'key': 'base64:/w', 'value': 'v'}])

    def test_damaged_records_do_not_pass_for_values(self):
        self.topic('create', 'damaged', '--partitions', '1')
        run(SLUICE, 'produce', 'damaged', 'the-true-value', '--bootstrap', self.kafka)
        log = next(pathlib.Path(self.cluster.directory).glob('node-1/**/damaged-0/*.log'))
        with open(log, 'r+b') as file:
            file.seek(log.read_bytes().index(b'true'))
            file.write(b'fake')
        done = run(SLUICE, 'consume', 'damaged', '--from', 'start', '-e', '--bootstrap', self.kafka, check=False, timeout=30)
        self.assertEqual((done.returncode, done.stdout), (1, ''), done.stderr)

    def test_plans_that_are_none(self):
        config = self.combined(self.directory / 'data', free_base_port(1))
        voter = PLAN['voters'][0]
        for plan in ('{', '[]', '{"cluster_id":5,"voters":[]}', json.dumps({**PLAN, 'voters': [1]}), json.dumps({**PLAN, 'voters': []}),
                     json.dumps({**PLAN, 'voters': [{**voter, 'id': 'one'}]}), json.dumps({**PLAN, 'voters': [voter, voter]}),
                     json.dumps({**PLAN, 'voters': [voter, {**voter, 'id': 2, 'address': 'b:1'}]})):
            path = self.config(plan, 'plan.json')
            self.assert_refused(run(SLUICE, 'cluster', 'init', '--config', config, '--plan', path, check=False), 2)
            self.assertFalse((self.directory / 'data').exists())
        for voters in ('1@a:1,1@b:2', '1@a:1,2@a:1', 'a:1', '1@a:0', '1@:1', '1@a:1,'):
            self.assert_refused(run(SLUICE, 'cluster', 'init', '--voters', voters, check=False), 2)

    def test_a_broker_alone_makes_no_cluster(self):
        config = self.config(f'process.roles=broker\nnode.id=7\nlisteners=PLAINTEXT://127.0.0.1:9092\n'
                             f'controller.listener.names=CONTROLLER\ncontroller.quorum.voters=1@127.0.0.1:9095\nlog.dirs={self.directory}/data\n')
        self.assert_refused(run(SLUICE, 'cluster', 'init', '--config', config, check=False), 2, 'no controller')

    def test_servers_that_cannot_start_say_so_in_three_lines(self):
        port = free_base_port(1)
        server = lambda config: run(SLUICE, 'server', '--config', config, check=False, timeout=20)  # noqa: E731
        self.assert_refused(server(self.combined('/proc/nope', port)), 3, '/proc/nope')
        running = pathlib.Path(self.cluster.directory) / 'node-1/server.properties'
        self.assert_refused(server(str(running)), 6, 'in use')
        mine = self.combined(self.directory / 'mine', port)
        formatted = run(SLUICE, 'cluster', 'init', '--config', mine, '-o', 'json')
        self.assertEqual(json.loads(formatted.stdout)['node_id'], 1)
        run(SLUICE, 'cluster', 'init', '--config', self.combined(self.directory / 'other', port))
        foreign = self.combined(self.directory / 'mine', port, f'metadata.log.dir={self.directory}/other\n')
        self.assert_refused(server(foreign), 2, 'the metadata log is not this node')

    def test_a_damaged_dev_directory_is_told(self):
        for text in ('', '[]', '{"nodes":3}', '{"nodes":[1]}', '{"nodes":[{"id":"x"}]}'):
            (self.directory / 'dev.json').write_text(text)
            self.assert_refused(run(SLUICE, 'dev', 'status', '--dir', str(self.directory), check=False), 1, 'dev.json')


if __name__ == '__main__':
    unittest.main(verbosity=2)
