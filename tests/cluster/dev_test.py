"""`sluice dev` as scripts and people use it, mistakes included."""
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from cluster import SLUICE, Cluster, free_base_port, run, wait_until  # noqa: E402


def listener(port):
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind(('127.0.0.1', port))
    taken.listen()
    return taken


class DevTest(unittest.TestCase):

    def states(self, cluster):
        return [node['state'] for node in cluster.status()]

    def wait_for_states(self, cluster, states):
        wait_until(lambda: self.states(cluster) == states, f'the nodes are {states}', 20)

    def test_nodes_are_killed_paused_and_started(self):
        with Cluster(3) as cluster:
            cluster.kill(2)
            # The others are ready while they hear from an active controller: it takes a moment to get another.
            self.wait_for_states(cluster, ['ready', 'stopped', 'ready'])
            run(SLUICE, 'dev', 'pause', '3', '--dir', cluster.directory)
            self.assertEqual(cluster.status()[2]['state'], 'paused')
            for node in (2, 3):
                cluster.start(node)
            self.wait_for_states(cluster, ['ready'] * 3)
            self.assertEqual(run(SLUICE, 'dev', 'kill', '9', '--dir', cluster.directory, check=False).returncode, 3)

    def test_a_node_is_started_while_it_still_dies(self):
        with Cluster(1) as cluster:
            cluster.kill(1)
            # A process that is there when the start looks, and gone a moment later, as a large one that was killed.
            with subprocess.Popen(['sleep', '0.3']) as dying:
                start_ticks = pathlib.Path(f'/proc/{dying.pid}/stat').read_text().split()[21]
                process = {'pid': dying.pid, 'start_ticks_since_boot': int(start_ticks)}
                (pathlib.Path(cluster.directory) / 'node-1/process.json').write_text(json.dumps(process))
                cluster.start(1)
            self.assertEqual(self.states(cluster), ['ready'])

    def test_a_pid_that_was_given_to_another_process_is_not_the_node(self):
        with Cluster(1) as cluster:
            file = pathlib.Path(cluster.directory) / 'node-1/process.json'
            held = json.loads(file.read_text())
            self.assertEqual(held['pid'], cluster.status()[0]['pid'])
            file.write_text(json.dumps({**held, 'start_ticks_since_boot': held['start_ticks_since_boot'] + 1}))
            self.assertEqual(self.states(cluster), ['stopped'])
            file.write_text(json.dumps(held))
            self.assertEqual(self.states(cluster), ['ready'])

    def test_one_node_is_stopped_cleanly(self):
        with Cluster(3) as cluster:
            cluster.create_topic('stays', 6, 3)
            run(SLUICE, 'dev', 'stop', '2', '--dir', cluster.directory)
            self.assertEqual(self.states(cluster), ['ready', 'stopped', 'ready'])
            self.assertNotIn(2, {partition['leader'] for partition in cluster.partitions('stays', node=1)})
            node = pathlib.Path(cluster.directory) / 'node-2'
            self.assertTrue((node / 'data/.kafka_cleanshutdown').exists())
            again = run(SLUICE, 'dev', 'stop', '2', '--dir', cluster.directory, check=False)
            self.assertEqual(again.returncode, 3, again.stderr)
            self.assertIn('does not run', again.stderr)
            self.assertEqual(run(SLUICE, 'dev', 'stop', '9', '--dir', cluster.directory, check=False).returncode, 3)
            cluster.start(2)
            self.assertIn('after a clean stop', (node / 'server.log').read_text())

    def test_a_wrong_setting_is_named_with_what_is_allowed(self):
        directory = pathlib.Path(tempfile.gettempdir()) / f'sluice-dev-settings-{os.getpid()}'
        for setting, parts in (('num.partitions=none', ("'none'", 'num.partitions', 'a whole number from 1')), ('flush.ms=5', ('log.flush.interval.ms',)),
                               ('durability=maybe', ("'maybe'", 'fsync,replicated')), ('nothing', ('key=value',))):
            done = run(SLUICE, 'dev', '--detach', '--dir', str(directory), '--port', str(free_base_port(1)), '--set', setting, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertEqual(len(done.stderr.strip().splitlines()), 3, done.stderr)
            for part in ('--set', *parts):
                self.assertIn(part, done.stderr)
            self.assertNotIn('port', done.stderr)
            self.assertFalse(directory.exists())

    def test_a_start_that_fails_leaves_running_nodes_alone(self):
        with Cluster(3) as cluster:
            cluster.kill(3)
            with listener(int(cluster.addresses[3]['kafka'].split(':')[1])):
                done = run(SLUICE, 'dev', '--detach', '--dir', cluster.directory, check=False)
            self.assertEqual(done.returncode, 6)
            self.assertIn('in use', done.stderr)
            self.assertEqual(self.states(cluster), ['ready', 'ready', 'stopped'])
            run(SLUICE, 'dev', '--detach', '--dir', cluster.directory)
            self.assertEqual(self.states(cluster), ['ready'] * 3)

    def test_an_existing_cluster_is_not_made_into_another(self):
        with Cluster(1) as cluster:
            for words in (['--nodes', '3'], ['--port', '9092'], ['--set', 'num.partitions=2']):
                done = run(SLUICE, 'dev', '--detach', '--dir', cluster.directory, *words, check=False)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn('a cluster of 1 nodes', done.stderr)
            # In the foreground it ends at once, and what ran before goes on.
            self.assertIn('ran already', run(SLUICE, 'dev', '--dir', cluster.directory).stderr)
            self.assertEqual(self.states(cluster), ['ready'])
            (pathlib.Path(cluster.directory) / 'dev.json').rename(pathlib.Path(cluster.directory) / 'kept.json')
            done = run(SLUICE, 'dev', '--detach', '--dir', cluster.directory, '--port', str(free_base_port(1)), check=False)
            self.assertIn('dev.json is missing', done.stderr)
            (pathlib.Path(cluster.directory) / 'kept.json').rename(pathlib.Path(cluster.directory) / 'dev.json')

    def test_a_busy_port_is_one_clear_error_and_makes_nothing(self):
        port = free_base_port(1)
        directory = pathlib.Path(tempfile.gettempdir()) / f'sluice-dev-test-{os.getpid()}'
        with listener(port):
            done = run(SLUICE, 'dev', '--detach', '--dir', str(directory), '--port', str(port), check=False)
        self.assertEqual(done.returncode, 6)
        self.assertEqual(len(done.stderr.strip().splitlines()), 3, done.stderr)
        self.assertIn(str(port), done.stderr)
        self.assertFalse(directory.exists())

    def test_a_directory_means_the_same_from_everywhere(self):
        with Cluster(1) as cluster:
            cluster.create_topic('here', 1, 1)
            cluster.kill(1)
            parent, name = os.path.split(cluster.directory)
            before = os.getcwd()
            self.addCleanup(os.chdir, before)
            os.chdir(parent)
            run(SLUICE, 'dev', 'start', '1', '--dir', name)
            os.chdir(before)
            self.assertEqual([topic['name'] for topic in cluster.admin('topic', 'list')['topics']], ['here'])

    def test_wrong_words_name_the_nearest_and_exit_with_2(self):
        done = run(SLUICE, 'topc', 'list', check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("the nearest is 'topic'", done.stderr)


if __name__ == '__main__':
    unittest.main(verbosity=2)
