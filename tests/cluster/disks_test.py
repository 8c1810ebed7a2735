"""Disks that fail and disks that fill up, for real: an ext4 file system on a loop device that is shut down under load (every call then gives EIO),
and tmpfs mounts with little room. Mounting needs root: without it the tests are skipped, and say so."""
import array
import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from cluster import SLUICE, SteadyProducer, check_history, free_base_port, has_failed, run, wait_until  # noqa: E402

MIB = 1 << 20
EXT4_IOC_SHUTDOWN = 0x8004587D
NO_FLUSH_OF_THE_JOURNAL = 2


def say(line):
    print(f'  {line}', flush=True)


def mount(*arguments):
    """Skips the test where mounting is not allowed."""
    done = run('mount', *map(str, arguments), check=False)
    if done.returncode != 0:
        reason = f'NOT RUN: cannot mount ({done.stderr.strip()}); it needs root'
        print(reason, flush=True)
        raise unittest.SkipTest(reason)


def shut_down(mounted):
    """The disk is gone, as far as anybody who uses its files can tell."""
    descriptor = os.open(mounted, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, array.array('I', [NO_FLUSH_OF_THE_JOURNAL]))
    finally:
        os.close(descriptor)


class DisksTest(unittest.TestCase):

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='sluice-disks-'))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.mounted = []
        self.addCleanup(self.unmount_all)
        self.processes = {}
        self.addCleanup(self.end_processes)

    def end_processes(self):
        for node, process in self.processes.items():
            if process.poll() is None:
                process.kill()
            process.wait()
            log = (self.directory / f'node-{node}.log').read_text(errors='replace').splitlines()
            if has_failed(self):
                print(f'--- node {node}', *log[-30:], sep='\n', file=sys.stderr)

    def unmount_all(self):
        for path in self.mounted:
            run('umount', '-l', str(path), check=False)

    def mount(self, path, *arguments):
        path.mkdir(parents=True, exist_ok=True)
        mount(*arguments, path)
        self.mounted.append(path)

    def configure(self, directories, settings=()):
        """Node n has directories[n]."""
        self.port = free_base_port(len(directories))
        self.nodes = {node: self.port + 100 * (node - 1) for node in directories}
        voters = ','.join(f'{node}@127.0.0.1:{port + 3}' for node, port in self.nodes.items())
        for node, port in self.nodes.items():
            lines = [f'node.id={node}', 'process.roles=broker,controller', f'controller.quorum.voters={voters}',
                     f'listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{port + 3}', 'controller.listener.names=CONTROLLER',
                     f'http.listener=127.0.0.1:{port + 2}', f'log.dirs={",".join(map(str, directories[node]))}', *settings]
            (self.directory / f'{node}.properties').write_text('\n'.join(lines) + '\n')
        if len(directories) > 1:
            plan = str(self.directory / 'cluster.json')
            run(SLUICE, 'cluster', 'init', '--voters', voters, '--plan', plan)
            for node in directories:
                run(SLUICE, 'cluster', 'init', '--config', str(self.directory / f'{node}.properties'), '--plan', plan)
        for node in directories:
            self.start(node)
        wait_until(lambda: all(self.ready(node) for node in directories), 'all nodes ready', 30)

    def start(self, node):
        with open(self.directory / f'node-{node}.log', 'a', encoding='utf-8') as log:
            command = [SLUICE, 'server', '--config', str(self.directory / f'{node}.properties')]
            self.processes[node] = subprocess.Popen(command, stdout=log, stderr=log)

    def get(self, node, path):
        url = f'http://127.0.0.1:{self.nodes[node] + 2}{path}'
        with contextlib.suppress(OSError):
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()
        return 0, ''

    def ready(self, node):
        return self.get(node, '/ready')[0] == 200

    def health(self, node):
        return run(SLUICE, 'cluster', 'health', '--server', f'127.0.0.1:{self.nodes[node] + 3}', check=False).stdout

    def metric(self, node, name):
        lines = self.get(node, '/metrics')[1].splitlines()
        return [float(line.split()[-1]) for line in lines if line.startswith(name)]

    def create_topic(self, name, partitions, factor, *configs):
        extra = [word for config in configs for word in ('--config', config)]
        run(SLUICE, 'topic', 'create', name, '--partitions', str(partitions), '--replication-factor', str(factor), *extra,
            '--server', f'127.0.0.1:{self.port + 3}')

    # What SteadyProducer asks of a cluster.
    def bootstrap(self):
        return ','.join(f'127.0.0.1:{port}' for port in self.nodes.values())

    def partitions(self, topic, node=2):
        done = run(SLUICE, 'topic', 'describe', topic, '--server', f'127.0.0.1:{self.nodes[node] + 3}', '-o', 'json')
        return {p['partition']: p for p in json.loads(done.stdout)['partitions']}

    def read_all(self, topic):
        return run('kcat', '-C', '-q', '-b', self.bootstrap(), '-t', topic, '-o', 'beginning', '-e', '-f', '%p %o %k %s\n', text=False).stdout

    def test_a_failed_disk_takes_only_its_replicas_away(self):
        for name in ('sound', 'disk'):
            image = self.directory / f'{name}.img'
            with open(image, 'wb') as file:
                file.truncate(4096 * MIB)  # sparse; what a node writes besides partitions is no difference in room
            run('mkfs.ext4', '-q', str(image))
            self.mount(self.directory / name, '-o', 'loop', image)
        disk = self.directory / 'disk'
        self.configure({1: [self.directory / 'sound' / 'data', disk / 'data'], 2: [self.directory / 'data-2'], 3: [self.directory / 'data-3']})
        self.create_topic('orders', 6, 3, 'min.insync.replicas=2')
        there = {int(path.name.rsplit('-', 1)[1]) for path in (disk / 'data').glob('orders-*')}
        self.assertEqual(len(there), 3, 'like room: the partitions are spread over both directories')

        with SteadyProducer(self, 'orders', rate=2000).running() as producer:
            producer.wait_for_acks(2000)
            shut_down(disk)
            wait_until(lambda: {n for n, p in self.partitions('orders').items() if 1 not in p['isr']} == there,
                       'the replicas of the failed disk, and no others, are out of sync', 20)
            after = producer.acks_so_far()
            producer.wait_for_acks(after + 2000)
            summary = producer.finish()
        now = self.partitions('orders')
        self.assertTrue(all(now[n]['leader'] != 1 for n in there), now)
        self.assertTrue(all(1 in now[n]['isr'] for n in now if n not in there), now)
        self.assertIsNone(self.processes[1].poll(), 'node 1 goes on')
        self.assertTrue(self.ready(1))
        self.assertIn('is offline, with the replicas in it', self.health(1))
        self.assertEqual(self.metric(1, 'kafka_log_logmanager_offlinelogdirectorycount'), [1])
        check_history(self.read_all('orders'), summary['acks'], idempotent=True)
        say(f'{len(there)} of 6 replicas of node 1 left with their disk; all {len(summary["acks"])} acknowledged records are there')

        # The disk is mended: the node starts with it, and everything is in sync again.
        self.processes[1].terminate()
        self.processes[1].wait(30)
        run('umount', str(disk))
        run('e2fsck', '-p', str(image), check=False)
        run('mount', '-o', 'loop', str(image), str(disk))
        self.start(1)
        wait_until(lambda: self.ready(1) and all(len(p['isr']) == 3 for p in self.partitions('orders').values()),
                   'every replica back in sync', 60)

    def test_a_node_whose_directory_is_removed_ends(self):
        self.configure({1: [self.directory / 'data-1'], 2: [self.directory / 'data-2'], 3: [self.directory / 'data-3']})
        self.create_topic('orders', 1, 3)
        shutil.rmtree(self.directory / 'data-2')
        self.assertEqual(self.processes[2].wait(10), 1)
        said = (self.directory / 'node-2.log').read_text()
        self.assertIn('data-2 was removed under the node', said)
        self.assertNotIn('stack trace', said)

    def produce(self, topic, count, size, timeout_ms=4000):
        """Sends `count` records of `size` bytes; gives the number of records in the topic afterwards."""
        record = 'x' * (size - 1)
        lines = ''.join(f'{record}\n' for _ in range(count))
        run('kcat', '-P', '-b', self.bootstrap(), '-t', topic, '-X', f'message.timeout.ms={timeout_ms}', '-X', 'batch.num.messages=10',
            stdin=lines, check=False)
        return self.count(topic)

    def count(self, topic):
        return len(self.read_all(topic).splitlines())

    def fill_and_free(self, settings):
        """A disk that fills up under a producer, and gets room again; no restart."""
        disk = self.directory / 'small'
        self.mount(disk, '-t', 'tmpfs', '-o', 'size=64m', 'tmpfs')
        ballast = disk / 'ballast'
        ballast.write_bytes(b'\0' * (16 * MIB))
        self.configure({1: [disk / 'data']}, settings)
        self.nodes[2] = self.nodes[1]
        self.create_topic('orders', 1, 1, f'segment.bytes={4 * MIB}')
        self.assertEqual(self.produce('orders', 5, 1000), 5)
        full = self.produce('orders', 700, 100_000, timeout_ms=8000)
        self.assertGreater(full, 5)
        self.assertLess(full, 705, 'more than fits')
        free = self.metric(1, 'sluice_log_directory_free_bytes')[0]
        say(f'{full} records fitted, {free / MIB:.1f} MiB free')
        # Reading goes on, and the node is in service.
        self.assertEqual(self.count('orders'), full)
        again = self.produce('orders', 5, 3 * MIB // 4)
        self.assertLess(again, full + 5, 'still refused')
        full = again
        self.assertTrue(self.ready(1))
        self.assertIsNone(self.processes[1].poll())
        return ballast, full

    def test_replicas_with_room_take_the_place_of_full_ones(self):
        small = self.directory / 'small'
        self.mount(small, '-t', 'tmpfs', '-o', 'size=96m', 'tmpfs')
        marks = [f'disk.free.hard.bytes={16 * MIB}', f'disk.free.soft.bytes={24 * MIB}']
        self.configure({1: [small / 'data'], 2: [self.directory / 'data-2'], 3: [self.directory / 'data-3']}, marks)
        for topic in ('orders', 'idle'):
            self.create_topic(topic, 3, 3, 'min.insync.replicas=2')
        wait_until(lambda: all(1 in {p['leader'] for p in self.partitions(topic).values()} for topic in ('orders', 'idle')), 'node 1 leads some', 90)
        led = [n for n, p in self.partitions('orders').items() if p['leader'] == 1]

        with SteadyProducer(self, 'orders', rate=500).running() as producer:
            producer.wait_for_acks(500)
            free = os.statvfs(small)
            (small / 'ballast').write_bytes(b'\0' * (free.f_bavail * free.f_frsize - 12 * MIB))
            full_at = time.monotonic()
            wait_until(lambda: all(p['leader'] != 1 and 1 not in p['isr'] for topic in ('orders', 'idle') for p in self.partitions(topic).values()),
                       'others lead, and are in sync without the full one', 5)
            # Of a partition nobody writes to it has all there is.
            for n in range(3):
                run('kcat', '-P', '-b', self.bootstrap(), '-t', 'idle', '-p', str(n), '-X', 'message.timeout.ms=3000',
                    stdin='x\n', timeout=30)
            self.assertEqual(self.count('idle'), 3)
            after = producer.acks_so_far()
            producer.wait_for_acks(after + 1000)
            self.assertEqual((self.directory / 'node-1.log').read_text().count('below the hard mark'), 1)
            # Nor does it hold anything up when it comes back, as full as it was.
            self.processes[1].terminate()
            self.assertEqual(self.processes[1].wait(30), 0)
            self.start(1)
            wait_until(lambda: self.ready(1), 'the full node ready', 30)
            after = producer.acks_so_far()
            producer.wait_for_acks(after + 1000)
            acks = producer.acks()
            summary = producer.finish()
        moments = [at_us / 1e6 for *_, at_us in acks]
        gap = max(later - earlier for earlier, later in zip(moments, moments[1:]))
        say(f'a disk was full at {full_at - moments[0]:.1f} s; the longest time without an acknowledgement was {gap * 1000:.0f} ms')
        self.assertLess(gap, 5, 'shorter than the lag that a full follower used to have')
        self.assertIn('broker 1 has a full log directory', self.health(2))
        self.assertIn('nothing is written to it', self.health(1))
        refused = run(SLUICE, 'partition', 'elect', 'orders', str(led[0]), '--server', f'127.0.0.1:{self.nodes[2] + 3}', check=False)
        self.assertIn('the disk of broker 1 is full', refused.stdout + refused.stderr)

        (small / 'ballast').unlink()
        wait_until(lambda: all(len(p['isr']) == 3 for topic in ('orders', 'idle') for p in self.partitions(topic).values()), 'all in sync again', 20)
        self.assertNotIn('full log directory', self.health(2))
        run(SLUICE, 'partition', 'elect', 'orders', str(led[0]), '--server', f'127.0.0.1:{self.nodes[2] + 3}')
        wait_until(lambda: self.partitions('orders')[led[0]]['leader'] == 1, 'node 1 leads again', 10)
        check_history(self.read_all('orders'), summary['acks'], idempotent=True)

    def test_health_tells_what_two_full_disks_of_three_stop(self):
        small = {node: self.directory / f'small-{node}' for node in (2, 3)}
        for path in small.values():
            self.mount(path, '-t', 'tmpfs', '-o', 'size=96m', 'tmpfs')
        marks = [f'disk.free.hard.bytes={16 * MIB}', f'disk.free.soft.bytes={24 * MIB}']
        self.configure({1: [self.directory / 'data-1'], 2: [small[2] / 'data'], 3: [small[3] / 'data']}, marks)
        self.create_topic('orders', 1, 3, 'min.insync.replicas=2')
        self.assertEqual(self.produce('orders', 5, 1000), 5)
        for path in small.values():
            free = os.statvfs(path)
            (path / 'ballast').write_bytes(b'\0' * (free.f_bavail * free.f_frsize - 12 * MIB))
        for node in self.nodes:
            wait_until(lambda: 'writes with acks=all fail; others, and reads, go on' in self.health(node), f'node {node} tells it', 20)
            self.assertNotIn('one more failure', self.health(node))
            self.assertIn('1 partition cannot be written', self.health(node))
        self.assertEqual(self.count('orders'), 5)
        self.assertEqual(self.produce('orders', 5, 1000, timeout_ms=3000), 5, 'as it was told')
        for path in small.values():
            (path / 'ballast').unlink()
        wait_until(lambda: self.health(1).startswith('HEALTHY'), 'all is well again', 30)

    def test_a_full_disk_refuses_produce_until_there_is_room(self):
        ballast, full = self.fill_and_free([f'disk.free.hard.bytes={8 * MIB}', f'disk.free.soft.bytes={12 * MIB}'])
        self.assertIn('nothing is written to it', self.health(1))
        self.assertEqual(self.metric(1, 'sluice_log_directory_state'), [2])
        ballast.unlink()
        wait_until(lambda: self.metric(1, 'sluice_log_directory_state') == [0], 'room again', 10)
        self.assertEqual(self.produce('orders', 10, 1000), full + 10)
        self.assertNotIn('log directory', self.health(1))

    def test_a_disk_without_a_byte_left_loses_nothing(self):
        ballast, full = self.fill_and_free(['disk.free.hard.bytes=0', 'disk.free.soft.bytes=0'])
        ballast.unlink()
        self.assertEqual(self.produce('orders', 10, 1000), full + 10)
        before = self.read_all('orders')
        self.processes[1].kill()
        self.processes[1].wait()
        self.start(1)
        wait_until(lambda: self.ready(1) and self.read_all('orders') == before, 'the same records after a kill', 30)

    def test_the_reserve_of_a_node_that_runs_is_its_own_and_one_that_is_gone_is_told_of(self):
        disk = self.directory / 'small'
        self.mount(disk, '-t', 'tmpfs', '-o', 'size=64m', 'tmpfs')
        self.configure({1: [disk / 'data']}, [f'disk.free.hard.bytes={8 * MIB}', f'disk.free.soft.bytes={12 * MIB}'])
        reserve, ballast = disk / 'data' / 'space.reserve', disk / 'ballast'
        whole = lambda: self.metric(1, 'sluice_space_reserve_bytes') == [16 * MIB]  # noqa: E731
        wait_until(whole, 'the reserve made', 10)
        self.assertTrue(self.health(1).startswith('HEALTHY'), self.health(1))

        def leave(size):
            ballast.unlink(missing_ok=True)
            free = os.statvfs(disk)
            ballast.write_bytes(b'\0' * (free.f_bavail * free.f_frsize - size))

        leave(MIB)
        second = run(SLUICE, 'server', '--config', str(self.directory / '1.properties'), check=False)
        self.assertNotEqual(second.returncode, 0)
        self.assertIn('the metadata log is in use', second.stderr)
        self.assertNotIn('given up for this start', second.stderr)
        self.assertEqual(reserve.stat().st_size, 16 * MIB)

        self.processes[1].terminate()
        self.processes[1].wait(30)
        ballast.unlink()
        reserve.unlink()
        leave(20 * MIB)
        self.start(1)
        wait_until(lambda: self.ready(1), 'ready', 30)
        wait_until(lambda: 'no room for all of its reserve (space.reserve), 0 KiB of it are there' in self.health(1), 'health tells it', 10)
        self.assertIn('the reserve is made again within seconds', self.health(1))
        ballast.unlink()
        wait_until(whole, 'the reserve made again', 10)
        self.assertTrue(self.health(1).startswith('HEALTHY'), self.health(1))

    def test_deleting_a_topic_makes_room(self):
        _, full = self.fill_and_free([f'disk.free.hard.bytes={8 * MIB}', f'disk.free.soft.bytes={12 * MIB}'])
        self.create_topic('small', 1, 1)
        self.assertEqual(self.produce('small', 1, 1000, timeout_ms=2000), 0, 'the disk is full for all')
        run(SLUICE, 'topic', 'delete', 'orders', '--server', f'127.0.0.1:{self.port + 3}', check=False)
        wait_until(lambda: self.metric(1, 'sluice_log_directory_state') == [0], 'room again', 10)
        self.assertEqual(self.produce('small', 10, 1000), 10)


if __name__ == '__main__':
    unittest.main(verbosity=2)
