"""Three real controllers, and brokers that have no logs (bench_simulated_brokers: they register, listen, send heartbeats and read the feed)."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request

from cluster import BUILD, HTTP_PORT_OFFSET, SLUICE, free_base_port, run, wait_until

BROKERS = os.environ.get('BENCH_SIMULATED_BROKERS', str(BUILD / 'bench_simulated_brokers'))
VOTERS = (1, 2, 3)
ACTIVE = b'\nkafka_controller_kafkacontroller_activecontrollercount 1\n'
SETTLED_S_MAX = 120
DEATH_BAR_S = 1  # of a broker, with 100,000 partitions: all its leaders moved


class Controllers:
    """Nodes 1 to 3, of the role controller alone."""

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='sluice-controllers-'))
        self.port = free_base_port(len(VOTERS))
        self.processes = {}
        voters = ','.join(f'{node}@{self.grpc(node)}' for node in VOTERS)
        plan = str(self.directory / 'cluster.json')
        run(SLUICE, 'cluster', 'init', '--voters', voters, '--plan', plan)
        for node in VOTERS:
            lines = [f'node.id={node}', 'process.roles=controller', f'listeners=CONTROLLER://{self.grpc(node)}', 'controller.listener.names=CONTROLLER',
                     f'controller.quorum.voters={voters}', f'http.listener=127.0.0.1:{self.http(node)}', f'log.dirs={self.directory}/data-{node}']
            self.config(node).write_text('\n'.join(lines) + '\n')
            run(SLUICE, 'cluster', 'init', '--config', str(self.config(node)), '--plan', plan)
            self.launch(node)
        wait_until(self.active, 'an active controller', SETTLED_S_MAX)
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.kill()
            process.wait(30)
        shutil.rmtree(self.directory, ignore_errors=True)

    def grpc(self, node):
        return f'127.0.0.1:{self.port + 100 * (node - 1) + 3}'

    def http(self, node):
        return self.port + 100 * (node - 1) + HTTP_PORT_OFFSET

    def config(self, node):
        return self.directory / f'{node}.properties'

    def log(self, node):
        return self.directory / f'node-{node}.log'

    def launch(self, node, *settings):
        extra = [word for setting in settings for word in ('--set', setting)]
        with open(self.log(node), 'a', encoding='utf-8') as log:
            self.processes[node] = subprocess.Popen([SLUICE, 'server', '--config', str(self.config(node)), *extra], stdout=log, stderr=log)

    def start(self, node, *settings):
        """Seconds until it is ready."""
        begin = time.monotonic()
        self.launch(node, *settings)
        wait_until(lambda: self.get(node, 'ready') is not None, f'node {node} ready', SETTLED_S_MAX)
        return time.monotonic() - begin

    def kill(self, node):
        self.processes[node].kill()
        self.processes[node].wait(30)

    def get(self, node, page):
        try:
            with urllib.request.urlopen(f'http://127.0.0.1:{self.http(node)}/{page}', timeout=30) as answer:
                return answer.read()
        except OSError:
            return None

    def active(self):
        return next((node for node in VOTERS if self.processes[node].poll() is None and ACTIVE in (self.get(node, 'metrics') or b'')), None)

    def memory_mb(self, node, field='VmRSS'):
        text = pathlib.Path(f'/proc/{self.processes[node].pid}/status').read_text()
        return int(re.search(field + r':\s+(\d+)', text)[1]) * 1024 / 1e6

    def said(self, what):
        return sum(self.log(node).read_text(errors='replace').count(what) for node in VOTERS)

    def show_memory(self, when):
        told = ', '.join(f'node {node} {self.memory_mb(node):.0f} MB (at most {self.memory_mb(node, "VmHWM"):.0f})' for node in VOTERS)
        print(f'{when}: {told}', flush=True)


class SimulatedBrokers:
    def __init__(self, controllers, count):
        self.process = subprocess.Popen([BROKERS, str(count), *map(controllers.grpc, VOTERS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(30)

    def answer(self):
        line = self.process.stdout.readline()
        assert line, 'the brokers have ended'
        return json.loads(line)['seconds']

    def send(self, *words):
        self.process.stdin.write(' '.join(map(str, words)) + '\n')
        self.process.stdin.flush()

    def tell(self, *words):
        self.send(*words)
        return self.answer()
