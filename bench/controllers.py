#!/usr/bin/env python3
"""Three real controllers and many partitions, beside brokers that have no logs (bench_simulated_brokers: they register, listen, send heartbeats and read
the feed; all on this machine, so its cores are shared). Tells

- how long it takes from the death of a broker, by its connections (kill) or in silence (600 ms of session), until every other one has read in the feed
  that it leads nothing any more;
- how long nobody is active when the active controller hands over, or is killed: until a request sent then is committed, and the longest time
  between two answered heartbeats of a broker;
- how long a controller takes to start, by its log alone and by a snapshot, and the loading of the snapshot in it;
- what the controllers have resident.

    bench/controllers.py --partitions 100000 --brokers 10
    bench/controllers.py --partitions 1000000 --brokers 10"""
import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tests/support'))
from cluster import BUILD, HTTP_PORT_OFFSET, SLUICE, free_base_port, run, wait_until  # noqa: E402

BROKERS = os.environ.get('BENCH_SIMULATED_BROKERS', str(BUILD / 'bench_simulated_brokers'))
VOTERS = (1, 2, 3)
ACTIVE = b'\nkafka_controller_kafkacontroller_activecontrollercount 1\n'
LOADED = re.compile(r'snapshot \d+ is loaded, in (\d+) ms')
SETTLED_S_MAX = 120


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


def deaths(brokers, given):
    """The brokers die one after the other, from the last."""
    victims = list(range(given.brokers, given.brokers - 2 * given.rounds, -1))
    for kind in ('kill', 'silence'):
        times = []
        for _ in range(given.rounds):
            times.append(brokers.tell(kind, victims.pop(0)))
            brokers.tell('ask')
            time.sleep(1)  # the brake on fencing counts those of a session
        rounds = ', '.join(f'{seconds:.3f}' for seconds in times)
        print(f'{kind}: all leaders moved, as all brokers know, after {statistics.median(times):.3f} s ({rounds}; bar: 1 s)', flush=True)


def takeovers(controllers, brokers, given):
    for kind in ('transfer', 'kill -9'):
        times = []
        for _ in range(given.rounds):
            active = wait_until(controllers.active, 'an active controller', SETTLED_S_MAX)
            brokers.tell('ask')
            time.sleep(2)
            brokers.tell('gap')
            if kind == 'transfer':
                target = active % len(VOTERS) + 1
                begin = time.monotonic()
                run(SLUICE, 'quorum', 'transfer', str(target), '--server', controllers.grpc(active))
            else:
                controllers.kill(active)
                begin = time.monotonic()
            brokers.tell('ask')
            times.append((time.monotonic() - begin, brokers.tell('gap')))
            if kind != 'transfer':
                controllers.start(active)
        asked, gaps = zip(*times)
        print(f'{kind} of the active controller: a request is committed after {statistics.median(asked):.3f} s '
              f'({", ".join(f"{each:.3f}" for each in asked)}), longest without a heartbeat\'s answer {max(gaps):.3f} s', flush=True)


def starts(controllers):
    active = wait_until(controllers.active, 'an active controller', SETTLED_S_MAX)
    node = active % len(VOTERS) + 1
    controllers.kill(node)
    first = controllers.start(node, 'metadata.log.max.snapshot.interval.ms=1000')
    time.sleep(20)  # the snapshot is taken
    controllers.kill(node)
    size = sum(path.stat().st_size for path in (controllers.directory / f'data-{node}').glob('**/*.checkpoint'))
    second = controllers.start(node)
    time.sleep(3)
    loaded = LOADED.findall(controllers.log(node).read_text())
    print(f'a follower starts: as it was killed {first:.2f} s, from a snapshot {second:.2f} s, of which loading it {int(loaded[-1]) / 1e3 if loaded else -1:.2f} s '
          f'(bar: 2 s; {size / 1e6:.0f} MB of snapshots)', flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--partitions', type=int, default=100000)
    options.add_argument('--topic-partitions', type=int, default=1000)
    options.add_argument('--brokers', type=int, default=10)
    options.add_argument('--rounds', type=int, default=2)
    options.add_argument('--only', choices=('deaths', 'takeovers', 'starts'), action='append')
    given = options.parse_args()
    only = given.only or ('deaths', 'takeovers', 'starts')
    topics = given.partitions // given.topic_partitions
    with Controllers() as controllers:
        controllers.show_memory('without partitions')
        with SimulatedBrokers(controllers, given.brokers) as brokers:
            seconds = brokers.tell('create', topics, given.topic_partitions, 'topic-')
            print(f'{given.partitions} partitions in {topics} topics are created in {seconds:.1f} s, longest without a heartbeat\'s answer '
                  f'{brokers.tell("gap"):.3f} s', flush=True)
            controllers.show_memory('with them')
            if 'takeovers' in only:
                takeovers(controllers, brokers, given)
            if 'starts' in only:
                starts(controllers)
            if 'deaths' in only:
                deaths(brokers, given)
            controllers.show_memory('at the end')
            print(f'fenced {controllers.said("is fenced")} times, stood still {controllers.said("stood still")} times, '
                  f'{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}', flush=True)


if __name__ == '__main__':
    main()
