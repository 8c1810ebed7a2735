"""The files of deploy/three-hosts, as its page says to use them: three loopback addresses stand for the three hosts, so that ports stay as written."""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from cluster import ROOT, SLUICE, run, wait_until  # noqa: E402

HOSTS = {'host-a': '127.0.0.11', 'host-b': '127.0.0.12', 'host-c': '127.0.0.13'}
VOTERS = ','.join(f'{i}@{address}:9095' for i, address in enumerate(HOSTS.values(), 1))


class ThreeHostsTest(unittest.TestCase):

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='sluice-hosts-'))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.processes = {}
        self.addCleanup(self.end_processes)
        self.plan = self.directory / 'cluster.json'

    def end_processes(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.communicate()

    def config(self, node):
        """server-N.properties with this test's addresses and directory."""
        text = (ROOT / f'deploy/three-hosts/server-{node}.properties').read_text()
        for host, address in HOSTS.items():
            text = text.replace(host, address)
        path = self.directory / f'server-{node}.properties'
        path.write_text(text.replace('/var/lib/sluice', str(self.directory / f'data-{node}')))
        return str(path)

    def init(self, node, check=True):
        return run(SLUICE, 'cluster', 'init', '--config', self.config(node), '--plan', str(self.plan), check=check)

    def server(self, node):
        log = open(self.directory / f'node-{node}.log', 'a')
        self.addCleanup(log.close)
        self.processes[node] = subprocess.Popen([SLUICE, 'server', '--config', self.config(node)], stdout=log, stderr=log, text=True)

    def refusal(self, node):
        """What a server that will not start prints, and its exit code."""
        done = run(SLUICE, 'server', '--config', self.config(node), check=False, timeout=20)
        self.assertNotEqual(done.returncode, 0)
        lines = done.stderr.strip().splitlines()
        self.assertGreaterEqual(len(lines), 3, done.stderr)
        return done.stderr

    def health(self, node):
        return run(SLUICE, 'cluster', 'health', '--server', f'{list(HOSTS.values())[node - 1]}:9095', '--timeout-ms', '2000', check=False)

    def answers(self, node):
        try:
            with urllib.request.urlopen(f'http://{list(HOSTS.values())[node - 1]}:8080/live', timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def test_three_hosts_from_the_page(self):
        run(SLUICE, 'cluster', 'init', '--voters', VOTERS, '--plan', str(self.plan))
        self.assertIn('not formatted', self.refusal(1))
        for node in (1, 2, 3):
            self.init(node)
        self.assertEqual(self.init(1, check=False).returncode, 4)

        for node in (1, 2):
            self.server(node)
        wait_until(lambda: all(self.answers(node) for node in (1, 2)), 'nodes 1 and 2 run', 20)
        self.server(3)
        wait_until(lambda: self.health(3).returncode == 0, 'all three healthy', 20)
        server = '127.0.0.13:9095'
        run(SLUICE, 'topic', 'create', 'orders', '--partitions', '3', '--replication-factor', '3', '--server', server)
        run(SLUICE, 'produce', 'orders', 'hello', '-k', 'a', '--bootstrap', '127.0.0.12:9092')
        out = run('kcat', '-C', '-q', '-b', '127.0.0.11:9092', '-t', 'orders', '-o', 'beginning', '-e')
        self.assertEqual(out.stdout, 'hello\n')

        self.assertIn('another process', self.refusal(2))
        for process in self.processes.values():
            process.terminate()
        for node, process in self.processes.items():
            self.assertEqual(process.wait(timeout=20), 0, f'node {node} did not stop cleanly')

        # A directory of another node.
        shutil.copytree(self.directory / 'data-1', self.directory / 'kept')
        shutil.rmtree(self.directory / 'data-1')
        shutil.copytree(self.directory / 'data-2', self.directory / 'data-1')
        self.assertIn('node', self.refusal(1))

    def test_a_disk_formatted_again_with_the_plan_loses_nothing(self):
        """Its node has its voter's former identity and nothing of what it acknowledged. Neither the log of the metadata nor that of a
        partition may be the one that it has, though nobody else is left of those that were in sync last."""
        run(SLUICE, 'cluster', 'init', '--voters', VOTERS, '--plan', str(self.plan))
        for node in (1, 2, 3):
            self.init(node)
            self.server(node)
        wait_until(lambda: self.health(3).returncode == 0, 'all three healthy', 20)
        brokers = ','.join(f'{address}:9092' for address in HOSTS.values())
        run(SLUICE, 'topic', 'create', 'orders', '--partitions', '3', '--replication-factor', '3', '--server', '127.0.0.11:9095')
        records = ''.join(f'record {i}\n' for i in range(1000))
        run('kcat', '-P', '-b', brokers, '-t', 'orders', '-X', 'acks=all', stdin=records)

        def stop(node, how):
            getattr(self.processes[node], how)()
            self.processes[node].wait(timeout=20)
        # The last two in sync, one after the other, the first of them for good.
        for node in (1, 2):
            stop(node, 'kill')
        shutil.rmtree(self.directory / 'data-2')
        self.init(2)
        stop(3, 'kill')
        self.server(2)
        self.server(1)
        # Each of them answers, and for as long as several elections take they are no cluster: both may lack the newest entries.
        wait_until(lambda: all(self.answers(node) for node in (1, 2)), 'nodes 1 and 2 run', 20)
        several_elections = time.monotonic() + 3
        while time.monotonic() < several_elections:
            asked = run(SLUICE, 'quorum', 'status', '--server', '127.0.0.11:9095', '--timeout-ms', '500', check=False)
            self.assertNotEqual(asked.returncode, 0, f'a majority was formed with a voter that has forgotten everything: {asked.stdout}')
        self.server(3)
        wait_until(lambda: all(self.health(node).returncode == 0 for node in (1, 2, 3)), 'all three healthy again', 40)
        out = run('kcat', '-C', '-q', '-b', brokers, '-t', 'orders', '-o', 'beginning', '-e')
        self.assertEqual(sorted(out.stdout.splitlines()), sorted(records.splitlines()))
        # It votes again: of the other two each may go.
        for node in (1, 3):
            stop(node, 'terminate')
            wait_until(lambda node=node: self.health(2).returncode == 10, f'the other two without {node}', 20)
            self.server(node)
            wait_until(lambda: self.health(2).returncode == 0, 'all three healthy', 20)

    def test_a_directory_of_another_cluster_is_refused(self):
        clusters = []
        for plan in ('theirs', 'other'):
            self.plan = self.directory / f'{plan}.json'
            run(SLUICE, 'cluster', 'init', '--voters', VOTERS, '--plan', str(self.plan))
            clusters.append(json.loads(self.plan.read_text())['cluster_id'])
            if plan == 'theirs':
                for node in (1, 2, 3):
                    self.init(node)
                    self.server(node)
                wait_until(lambda: self.health(2).returncode == 0, 'all three healthy', 20)
                self.processes[1].terminate()
                self.processes.pop(1).wait(timeout=20)
                shutil.rmtree(self.directory / 'data-1')
        self.init(1)
        said = self.refusal(1)
        lines = said.strip().splitlines()[-3:]
        self.assertIn('cannot join the cluster', lines[0], said)
        for cluster in clusters:
            self.assertIn(cluster, lines[1], said)
        self.assertIn('sluice cluster init', lines[2], said)
        for node in (2, 3):
            self.assertIsNone(self.processes[node].poll(), f'node {node} went down with it')

    def test_an_unknown_key_is_refused_with_its_place_and_the_nearest(self):
        path = pathlib.Path(self.config(1))
        path.write_text(path.read_text() + 'log.segment.byte=1GiB\n')
        done = run(SLUICE, 'server', '--config', str(path), check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn(f'{path.name}:{len(path.read_text().splitlines())}', done.stderr)
        self.assertIn('log.segment.bytes', done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 3, done.stderr)


if __name__ == '__main__':
    unittest.main(verbosity=2)
