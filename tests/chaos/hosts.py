"""A cluster whose nodes are hosts: each in a network namespace of its own with an address of its own, a disk of its own (a tmpfs of limited size), and a log
that outlives it. All of it lies in namespaces that end with the process that made them (`enter_namespaces`), so nothing can be left behind."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from cluster import SLUICE, run, wait_until  # noqa: E402

INSIDE = 'SLUICE_CHAOS_INSIDE'
NETWORK = '10.77.0'
CLIENTS = f'{NETWORK}.254'
KAFKA_PORT, GRPC_PORT, HTTP_PORT = 9092, 9095, 8080
DISK_MIB = 512
FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1'


def enter_namespaces():
    """Runs this program again in network, mount and process namespaces of its own; the kernel ends all that is in them when that ends, however it does."""
    if os.environ.get(INSIDE):
        return
    wrap = ['unshare', '--mount', '--net', '--pid', '--fork', '--mount-proc', '--kill-child']
    tried = subprocess.run([*wrap, 'ip', 'link', 'set', 'lo', 'up'], capture_output=True, text=True)
    if tried.returncode != 0:
        sys.exit(f'chaos: namespaces cannot be made here: {tried.stderr.strip()}\n'
                 '  why: each node is a host of its own, which takes network, mount and process namespaces\n'
                 '  do:  run it as root, where the kernel allows unshare(2) and mount(2)')
    inside = subprocess.Popen([*wrap, sys.executable, *sys.argv], env={**os.environ, INSIDE: '1'})
    while True:
        try:
            sys.exit(inside.wait())
        except KeyboardInterrupt:
            continue  # the one inside had it too, and tells what it has seen


def make_network(hosts):
    """A bridge, on which this process is with the clients' address, and a namespace for each host."""
    run('mount', '-t', 'tmpfs', 'tmpfs', '/run')
    pathlib.Path('/run/netns').mkdir()
    run('ip', 'link', 'set', 'lo', 'up')
    run('ip', 'link', 'add', 'bridge', 'type', 'bridge')
    run('ip', 'address', 'add', f'{CLIENTS}/24', 'dev', 'bridge')
    run('ip', 'link', 'set', 'bridge', 'up')
    for host in hosts:
        run('ip', 'netns', 'add', host.namespace)
        run('ip', 'link', 'add', f'to-{host.id}', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host.namespace)
        run('ip', 'link', 'set', f'to-{host.id}', 'master', 'bridge', 'up')
        for command in (['address', 'add', f'{host.address}/24', 'dev', 'eth0'], ['link', 'set', 'eth0', 'up'], ['link', 'set', 'lo', 'up']):
            run('ip', '-n', host.namespace, *command)


class Host:
    def __init__(self, number, directory):
        self.id = number
        self.namespace = f'host-{number}'
        self.address = f'{NETWORK}.{number}'
        self.disk = directory / f'disk-{number}'
        self.config = directory / f'server-{number}.properties'
        self.log = directory / f'node-{number}.log'
        self.clock = directory / f'clock-{number}'
        self.process = None
        self.ended_by_us = True  # whatever ends it otherwise is a finding

    def inside(self, *command):
        return ['ip', 'netns', 'exec', self.namespace, *command]

    def nft(self, *lines):
        run(*self.inside('nft', '-f', '-'), stdin='\n'.join(lines) + '\n')

    def start(self):
        environment = dict(os.environ)
        if self.clock.exists():
            environment |= {'LD_PRELOAD': FAKETIME, 'FAKETIME_TIMESTAMP_FILE': str(self.clock), 'FAKETIME_DONT_FAKE_MONOTONIC': '1',
                            'FAKETIME_CACHE_DURATION': '1'}
        with open(self.log, 'a') as log:
            # `ip netns exec` becomes the server: its process id is the server's.
            self.process = subprocess.Popen(self.inside(SLUICE, 'server', '--config', str(self.config)), stdout=log, stderr=log, env=environment)
        self.ended_by_us = False

    def send(self, number):
        self.process.send_signal(number)

    def end(self, number=signal.SIGKILL, timeout_s=30):
        self.ended_by_us = True
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
        self.process.wait(timeout_s)

    def died(self):
        """It ended, and nobody had asked it to."""
        return not self.ended_by_us and self.process.poll() is not None


class Hosts:
    """`with Hosts(3, directory) as hosts:` makes the network, formats, starts and waits until all are well."""

    def __init__(self, count, directory, settings=()):
        self.directory = directory
        self.settings = settings
        self.all = [Host(number, directory) for number in range(1, count + 1)]

    def __enter__(self):
        make_network(self.all)
        voters = ','.join(f'{host.id}@{host.address}:{GRPC_PORT}' for host in self.all)
        plan = self.directory / 'cluster.json'
        run(SLUICE, 'cluster', 'init', '--voters', voters, '--plan', str(plan))
        for host in self.all:
            host.disk.mkdir()
            run('mount', '-t', 'tmpfs', '-o', f'size={DISK_MIB}m', 'tmpfs', str(host.disk))
            self.write_config(host, voters)
            run(SLUICE, 'cluster', 'init', '--config', str(host.config), '--plan', str(plan))
        # One of them has a clock that can be set.
        self.all[-1].clock.write_text('+0\n')
        for host in self.all:
            host.start()
        self.wait_until_well(60)
        return self

    def __exit__(self, *_):
        for host in self.all:
            if host.process is not None:
                host.end()
            run('umount', str(host.disk), check=False)  # so that the directory can be removed

    def write_config(self, host, voters):
        lines = ['process.roles=broker,controller', f'node.id={host.id}', f'listeners=PLAINTEXT://{host.address}:{KAFKA_PORT},CONTROLLER://{host.address}:{GRPC_PORT}',
                 'controller.listener.names=CONTROLLER', f'controller.quorum.voters={voters}', f'http.listener={host.address}:{HTTP_PORT}',
                 f'log.dirs={host.disk}', 'default.replication.factor=3', 'min.insync.replicas=2', *self.settings]
        host.config.write_text('\n'.join(lines) + '\n')

    def bootstrap(self):
        return ','.join(f'{host.address}:{KAFKA_PORT}' for host in self.all)

    def admin(self, *arguments, host=None, timeout_ms=2000):
        """The answer of a verb as JSON, of any host that gives one; None when none does."""
        for each in [host] if host else self.all:
            done = run(SLUICE, *arguments, '--server', f'{each.address}:{GRPC_PORT}', '--timeout-ms', str(timeout_ms), '-o', 'json', check=False)
            if done.stdout.strip():
                return json.loads(done.stdout)
        return None

    def active_controller(self):
        told = self.admin('cluster', 'describe', timeout_ms=500)
        return told and told['controller_id']

    def create_topic(self, name, partitions):
        wait_until(lambda: self.admin('topic', 'create', name, '--partitions', str(partitions), '--replication-factor', '3'), f'topic {name}', 30)

    def well(self):
        """All run, and each of them says that all is well."""
        return all(host.process.poll() is None and (self.admin('cluster', 'health', host=host) or {}).get('healthy') for host in self.all)

    def wait_until_well(self, timeout_s):
        begin = time.monotonic()
        wait_until(self.well, 'all hosts are well', timeout_s)
        return time.monotonic() - begin

    def crashed(self):
        return [host.id for host in self.all if host.died()]
