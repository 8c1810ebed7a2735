"""A cluster of real processes for tests, started by `sluice dev`, and the clients that look at it from outside."""
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('SLUICE_BUILD', ROOT / 'build/release'))
SLUICE = str(BUILD / 'sluice')
STEADY_PRODUCER = str(BUILD / 'steady_producer')
OFFSETS_TOPIC = '__consumer_offsets'
HTTP_PORT_OFFSET, GRPC_PORT_OFFSET, NODE_PORT_STEP = 8080 - 9092, 3, 100


def run(*command, check=True, text=True, stdin=None, timeout=120):
    """Runs a command to its end; on failure the error carries what it printed."""
    done = subprocess.run(command, capture_output=True, text=text, input=stdin, timeout=timeout)
    if check and done.returncode != 0:
        raise AssertionError(f'{" ".join(map(str, command))} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}')
    return done


def wait_until(condition, what, timeout_s):
    """Polls `condition` until it gives something true, which is returned; fails with `what` after the deadline."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f'not within {timeout_s} s: {what}')
        time.sleep(0.02)


def port_is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(('127.0.0.1', port))
        except OSError:
            return False
    return True


def free_base_port(nodes):
    """A Kafka port for node 1 whose whole family of ports is free."""
    for _ in range(100):
        base = random.randrange(12000, 29000)
        family = [base + i * NODE_PORT_STEP + offset for i in range(nodes) for offset in (0, GRPC_PORT_OFFSET, HTTP_PORT_OFFSET)]
        if all(map(port_is_free, family)):
            return base
    raise AssertionError('no free ports')


def partition_of_group(group, partitions):
    """Java's String.hashCode of the id, as every client and broker spreads groups."""
    code = 0
    for character in group:
        code = (code * 31 + ord(character)) & 0xFFFFFFFF
    return (code & 0x7FFFFFFF) % partitions


class Cluster:
    """Nodes 1..n of one `sluice dev` directory. `with Cluster(3) as cluster:` starts them and stops them whatever happens."""

    def __init__(self, nodes=3, directory=None, settings=()):
        self.nodes = nodes
        self.settings = settings
        self.owned = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix='sluice-test-')
        self.addresses = {}
        self.started_in_s = None

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self._end(failed=True)
            raise
        return self

    def __exit__(self, kind, *_):
        self._end(failed=kind is not None)

    def _end(self, failed):
        if failed:
            self.print_logs()
        run(SLUICE, 'dev', 'stop', '--dir', self.directory, check=False)
        if self.owned:
            shutil.rmtree(self.directory, ignore_errors=True)

    def print_logs(self):
        for log in sorted(pathlib.Path(self.directory).glob('node-*/server.log')):
            lines = log.read_text(errors='replace').splitlines()
            print(f'--- {log.parent.name}: the last of {len(lines)} lines', *lines[-40:], sep='\n', file=sys.stderr)

    def up(self):
        port = free_base_port(self.nodes)
        begin = time.monotonic()
        extra = [word for setting in self.settings for word in ('--set', setting)]
        run(SLUICE, 'dev', '--nodes', str(self.nodes), '--detach', '--dir', self.directory, '--port', str(port), *extra)
        self.started_in_s = time.monotonic() - begin
        self.refresh()

    def refresh(self):
        self.addresses = {node['id']: node for node in self.status()}

    def status(self):
        return json.loads(self.sluice('dev', 'status', '--dir', self.directory, '-o', 'json').stdout)['nodes']

    def sluice(self, *arguments, **options):
        return run(SLUICE, *arguments, **options)

    def admin(self, *arguments, node=None, check=True):
        """A verb of the admin service, as JSON. Without `node` any live one is asked."""
        address = self.addresses[node or self.live_nodes()[0]]['grpc']
        done = self.sluice(*arguments, '--server', address, '-o', 'json', check=check)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def live_nodes(self):
        return [node['id'] for node in self.status() if node['state'] != 'stopped'] or [1]

    def bootstrap(self):
        """Who runs first: kcat ends when the first that it is told of refuses it before it has heard of the second."""
        live = self.live_nodes()
        return ','.join(self.addresses[node]['kafka'] for node in sorted(self.addresses, key=lambda node: (node not in live, node)))

    def kill(self, node):
        self.sluice('dev', 'kill', str(node), '--dir', self.directory)

    def stop_node(self, node):
        """SIGTERM, and waits for its clean end."""
        self.sluice('dev', 'stop', str(node), '--dir', self.directory)

    def pid(self, node):
        return next(each['pid'] for each in self.status() if each['id'] == node)

    def kill_all(self):
        """SIGKILL to every node at once."""
        for node in self.status():
            os.kill(node['pid'], signal.SIGKILL)
        wait_until(lambda: all(node['state'] == 'stopped' for node in self.status()), 'all nodes gone', 10)

    def start(self, node):
        self.sluice('dev', 'start', str(node), '--dir', self.directory)

    def start_all(self):
        run(SLUICE, 'dev', '--nodes', str(self.nodes), '--detach', '--dir', self.directory)

    def reconfigure(self, settings_of):
        """Starts all nodes anew, each with the settings that `settings_of(its id, its properties)` gives on top of its own."""
        run(SLUICE, 'dev', 'stop', '--dir', self.directory)
        for node in self.addresses:
            path = pathlib.Path(self.directory) / f'node-{node}/server.properties'
            properties = dict(line.split('=', 1) for line in path.read_text().splitlines() if '=' in line)
            properties.update(settings_of(node, properties))
            path.write_text(''.join(f'{key}={value}\n' for key, value in properties.items()))
        self.start_all()
        self.refresh()

    def create_topic(self, name, partitions=1, replication_factor=3, configs=()):
        extra = [word for config in configs for word in ('--config', config)]
        return self.admin('topic', 'create', name, '--partitions', str(partitions), '--replication-factor', str(replication_factor), *extra)

    def partitions(self, topic, node=None):
        return self.admin('topic', 'describe', topic, node=node)['partitions']

    def active_controller(self):
        return self.admin('cluster', 'describe')['controller_id']

    def transfer_controller(self, node):
        self.admin('quorum', 'transfer', str(node))

    def elect_preferred_leaders(self):
        """Where the preferred replica leads already there is nothing to do, which is no failure."""
        self.admin('partition', 'elect', '--all', check=False)

    def fully_in_sync(self, topic):
        """Each partition has its replicas in sync, as every live node sees it."""
        return all(sorted(p['isr']) == sorted(p['replicas']) for node in self.live_nodes() for p in self.partitions(topic, node))

    def read_all(self, topic, template='%p %o %k %s\n'):
        """All records of the topic by kcat, as lines."""
        return run('kcat', '-C', '-q', '-b', self.bootstrap(), '-t', topic, '-o', 'beginning', '-e', '-f', template, text=False).stdout


class SteadyProducer:
    """tests/support/steady_producer.cc in the background, until `finish`."""

    def __init__(self, cluster, topic, rate=2000, idempotent=True, defaults=False):
        self.journal = pathlib.Path(cluster.directory) / f'{topic}.journal'
        self.journal.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [STEADY_PRODUCER, cluster.bootstrap(), topic, str(rate), '1' if idempotent else '0', str(self.journal), *(['defaults'] if defaults else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def wait_for_acks(self, count, timeout_s=30):
        wait_until(lambda: self.journal.exists() and self.journal.read_bytes().count(b'\n') >= count,
                   f'{count} acknowledged records', timeout_s)

    def acks_so_far(self):
        return self.journal.read_bytes().count(b'\n')

    def finish(self):
        """Stops it; gives its summary, with the acknowledged records as (n, partition, offset)."""
        out, _ = self.process.communicate(timeout=90)
        summary = json.loads(out)
        summary['acks'] = [ack[:3] for ack in self.acks()]
        return summary

    def acks(self):
        """Those in the journal by now, as (n, partition, offset, at_us) by the clock of time.monotonic."""
        lines = self.journal.read_text().split('\n')[:-1]
        return [tuple(map(int, line.split())) for line in lines]

    def abandon(self):
        """Ends it at once, as when its own host died; gives the acknowledged records."""
        self.process.kill()
        self.process.communicate()
        return [ack[:3] for ack in self.acks()]

    @contextlib.contextmanager
    def running(self):
        try:
            yield self
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.communicate()


def has_failed(test):
    """Whether the unittest whose cleanups run has failed; unittest itself knows only in its result."""
    result = test._outcome.result
    return any(getattr(failed, 'test_case', failed) is test for failed, _ in result.errors + result.failures)


def check_history(lines, acks, idempotent):
    """What was read against what was acknowledged: nothing lost, nothing moved, order kept, no duplicate under idempotence. An acknowledgement without an
    offset, as librdkafka gives for a batch that it knows to be stored by the answer to a later one, is for some place of the partition."""
    stored, per_partition = {}, {}
    for line in lines.decode().splitlines():
        partition, offset, _, value = line.split(' ')
        stored[(int(partition), int(offset))] = int(value)
        per_partition.setdefault(int(partition), []).append(int(value))
    everywhere = {partition: set(values) for partition, values in per_partition.items()}
    lost = [ack for ack in acks
            if (stored.get((ack[1], ack[2])) != ack[0] if ack[2] >= 0 else ack[0] not in everywhere.get(ack[1], ()))]
    assert not lost, f'{len(lost)} acknowledged records are missing or elsewhere, among them (n, partition, offset) {lost[:5]}'
    for partition, values in per_partition.items():
        if idempotent:
            assert len(values) == len(set(values)), f'partition {partition} holds duplicates'
            assert values == sorted(values), f'partition {partition} is out of order'
