"""Controllers that come and go, by the commands of docs/tasks/replace_a_controller.md: one whose disk is gone is replaced, others join and leave,
and the cluster goes on with the voters that it has then, wherever the files say they were."""
import contextlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from cluster import HTTP_PORT_OFFSET, SLUICE, free_base_port, has_failed, run, wait_until  # noqa: E402


class QuorumTest(unittest.TestCase):

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='sluice-quorum-'))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.processes = {}
        self.addCleanup(self.end_processes)
        self.port = free_base_port(5)

    def end_processes(self):
        failed = has_failed(self)
        for node, process in self.processes.items():
            if process.poll() is None:
                process.kill()
            process.wait()
            log = (self.directory / f'node-{node}.log').read_text(errors='replace').splitlines()
            if failed:
                print(f'--- node {node}', *log[-30:], sep='\n', file=sys.stderr)

    def kafka(self, node):
        return f'127.0.0.1:{self.port + 100 * (node - 1)}'

    def grpc(self, node):
        return f'127.0.0.1:{self.port + 100 * (node - 1) + 3}'

    def configure(self, node, voters, roles='broker,controller'):
        port = self.port + 100 * (node - 1)
        kafka = f'PLAINTEXT://127.0.0.1:{port},' if 'broker' in roles else ''
        lines = [f'node.id={node}', f'process.roles={roles}', f'listeners={kafka}CONTROLLER://{self.grpc(node)}', 'controller.listener.names=CONTROLLER',
                 'controller.quorum.voters=' + ','.join(f'{voter}@{self.grpc(voter)}' for voter in voters),
                 f'http.listener=127.0.0.1:{port + HTTP_PORT_OFFSET}', f'log.dirs={self.directory}/data-{node}']
        (self.directory / f'{node}.properties').write_text('\n'.join(lines) + '\n')

    def config(self, node):
        return str(self.directory / f'{node}.properties')

    def start(self, node):
        with open(self.directory / f'node-{node}.log', 'a', encoding='utf-8') as log:
            self.processes[node] = subprocess.Popen([SLUICE, 'server', '--config', self.config(node)], stdout=log, stderr=log)

    def kill(self, node):
        self.processes[node].kill()
        self.processes[node].wait()

    def alive(self):
        return [node for node, process in self.processes.items() if process.poll() is None]

    def ready(self, node):
        url = f'http://127.0.0.1:{self.port + 100 * (node - 1) + HTTP_PORT_OFFSET}/ready'
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status == 200
        return False

    def format_with_plan(self, node):
        run(SLUICE, 'cluster', 'init', '--config', self.config(node), '--plan', str(self.directory / 'cluster.json'))

    def format_three(self):
        voters = ','.join(f'{node}@{self.grpc(node)}' for node in (1, 2, 3))
        run(SLUICE, 'cluster', 'init', '--voters', voters, '--plan', str(self.directory / 'cluster.json'))
        for node in (1, 2, 3):
            self.configure(node, (1, 2, 3))
            self.format_with_plan(node)

    def three_nodes(self):
        self.format_three()
        for node in (1, 2, 3):
            self.start(node)
        wait_until(lambda: all(map(self.ready, (1, 2, 3))), 'three nodes ready', 30)

    def admin(self, node, *arguments, check=True):
        """A verb by way of `node`: its JSON, or None where it failed and may."""
        done = run(SLUICE, *map(str, arguments), '--server', self.grpc(node), '-o', 'json', check=check)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def quorum(self, node):
        return self.admin(node, 'quorum', 'status')

    def voters(self, node):
        return {voter['id']: voter['disk_id'] for voter in self.quorum(node)['voters']}

    def change(self, node, *arguments):
        """A change that may have to be tried again, as the page says: the leader has just taken over, or the change before is on its way."""
        return wait_until(lambda: self.admin(node, 'quorum', *arguments, check=False), f'quorum {arguments}', 20)

    def join(self, node, by):
        """Steps 2 to 4 of the page."""
        run(SLUICE, 'cluster', 'init', '--config', self.config(node), '--join', '--server', self.grpc(by))
        self.start(node)
        added = wait_until(lambda: self.admin(by, 'quorum', 'add', self.grpc(node), check=False), f'node {node} added', 20)
        self.change(by, 'promote', node)
        return added['disk_id']

    def create_topic(self, node, name):
        """Answered by the active controller, and known to the broker that was asked."""
        return wait_until(lambda: self.admin(node, 'topic', 'create', name, '--partitions', 1, '--replication-factor', 1, check=False) or
                          self.admin(node, 'topic', 'describe', name, check=False), f'topic {name}', 20)

    def in_sync(self, topic, node):
        described = self.admin(node, 'topic', 'describe', topic, check=False)
        return described and all(len(partition['isr']) == 3 for partition in described['partitions'])

    def refusals(self):
        """Each in three lines, with the exit code of its kind."""
        grpc = ('--server', self.grpc(1))
        for command, code, words in (
                (('quorum', 'remove', '9', *grpc), 3, 'node 9 is no member'),
                (('quorum', 'promote', '9', *grpc), 3, 'node 9 is no member'),
                (('quorum', 'transfer', '9', *grpc), 2, 'node 9 is not a voter'),
                (('quorum', 'add', f'127.0.0.1:{self.port + 4}', '--timeout-ms', '500', *grpc), 6, 'does not answer'),
                (('cluster', 'init', '--config', self.config(4), '--join', *grpc), 4, 'formatted'),
                (('cluster', 'init', '--join', *grpc), 2, '--config')):
            with self.subTest(' '.join(command[:3])):
                done = run(SLUICE, *command, check=False)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertEqual(len(done.stderr.strip().splitlines()), 3, done.stderr)
                self.assertIn(words, done.stderr)

    def test_a_controller_whose_disk_is_gone_is_replaced(self):
        self.three_nodes()
        self.admin(1, 'topic', 'create', 'kept', '--partitions', 3, '--replication-factor', 3, '--config', 'min.insync.replicas=2')
        values = [f'value-{n}' for n in range(1000)]
        run('kcat', '-P', '-q', '-b', self.kafka(1), '-t', 'kept', '-X', 'acks=all', stdin='\n'.join(values) + '\n')

        lost = self.quorum(1)['leader_id']
        first, second = [node for node in (1, 2, 3) if node != lost]
        before = self.voters(first)
        self.kill(lost)
        shutil.rmtree(self.directory / f'data-{lost}')
        self.change(first, 'remove', lost)
        self.outdated_plan_is_refused(lost, by=first)
        disk = self.join(lost, by=first)
        self.assertNotEqual(disk, before[lost])
        self.assertEqual(self.voters(first), {**before, lost: disk})
        wait_until(lambda: self.in_sync('kept', first), 'its partitions copied again', 30)

        # Without the new one there would be no majority.
        self.kill(second)
        self.create_topic(first, 'after')
        wait_until(lambda: self.ready(lost), f'node {lost} in service', 20)
        read = run('kcat', '-C', '-q', '-b', f'{self.kafka(first)},{self.kafka(lost)}', '-t', 'kept', '-o', 'beginning', '-e').stdout
        self.assertEqual(sorted(read.split()), sorted(values))
        self.assertEqual(set(self.voters(lost)), {1, 2, 3})

    def outdated_plan_is_refused(self, node, by):
        self.format_with_plan(node)
        self.start(node)
        wait_until(lambda: 'whether its disk is new' in self.health(node), 'it asks whether its disk is new', 20)
        done = run(SLUICE, 'quorum', 'add', self.grpc(node), '--server', self.grpc(by), check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn('was formatted with a plan', done.stderr)
        self.assertIn('--join', done.stderr)
        self.kill(node)
        shutil.rmtree(self.directory / f'data-{node}')

    def health(self, node):
        return run(SLUICE, 'cluster', 'health', '--server', self.grpc(node), '--timeout-ms', '1000', check=False).stdout

    def test_a_controller_that_waits_says_for_what(self):
        self.format_three()
        self.start(1)
        wait_until(lambda: 'no answer yet from voter 2, 3' in self.health(1), 'it says whom it waits for', 20)
        self.assertIn("on a cluster's first day all of them", self.health(1))
        done = run(SLUICE, 'quorum', 'status', '--server', self.grpc(1), '--timeout-ms', '1000', check=False)
        self.assertEqual(done.returncode, 6)
        self.assertIn('sluice cluster health', done.stderr)
        done = run(SLUICE, 'quorum', 'add', self.grpc(1), '--server', self.grpc(1), '--timeout-ms', '1000', check=False)
        self.assertEqual(done.returncode, 6, f'who the members are nobody knows now: {done.stderr}')
        for node in (2, 3):
            self.start(node)
        wait_until(lambda: all(map(self.ready, (1, 2, 3))), 'three nodes ready', 30)

    def test_controllers_join_and_the_leader_leaves(self):
        self.three_nodes()
        for node in (4, 5):
            self.configure(node, (1, 2, 3, node), roles='controller')
            self.join(node, by=1)
        self.assertEqual(set(self.voters(1)), {1, 2, 3, 4, 5})
        self.assertFalse(self.admin(1, 'quorum', 'promote', 5)['changed'], 'it votes already')
        self.refusals()
        self.assertTrue(self.admin(1, 'quorum', 'remove', 2, '--dry-run')['dry_run'])
        self.assertEqual(set(self.voters(1)), {1, 2, 3, 4, 5})

        self.admin(1, 'quorum', 'transfer', 2)
        self.change(1, 'remove', 2)
        wait_until(lambda: self.quorum(1)['leader_id'] not in (2, -1), 'another leader', 20)
        self.assertEqual(set(self.voters(1)), {1, 3, 4, 5})

        # 5 leads, whom the files of the brokers do not name, that of 2 among them, which is no controller any more.
        self.admin(1, 'quorum', 'transfer', 5)
        self.create_topic(2, 'by-a-former-controller')
        self.kill(3)
        self.create_topic(1, 'by-new-controllers')

        # A broker that starts again knows them too.
        self.kill(1)
        self.start(1)
        wait_until(lambda: self.ready(1), 'node 1 in service again', 30)
        self.create_topic(1, 'after-a-restart')


if __name__ == '__main__':
    unittest.main(verbosity=2)
