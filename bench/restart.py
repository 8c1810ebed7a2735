#!/usr/bin/env python3
"""A start after SIGKILL beside Kafka's: one node each with the same number of bytes in as many partitions, filled by several producers (librdkafka,
batches of 16 KiB). Each round kills the process, brings its files into the page cache (where a process that has just written them left them; two
systems do not fit side by side), starts it, and measures from exec until every partition has a leader that tells its end (`bench_load ready`).

    bench/restart.py --gib 10 --partitions 1000 --rounds 3
First durability=replicated, in which nothing was flushed, then durability=fsync on the same directory. Needs Kafka's jars, as tests/compat does."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tests/support'))
import foreign  # noqa: E402
from cluster import BUILD, SLUICE, Cluster, run, wait_until  # noqa: E402
from kafka_node import OWN_JAVA, KafkaNode  # noqa: E402

LOAD = os.environ.get('BENCH_LOAD', str(BUILD / 'bench_load'))
TOPIC = 'restart'
PRODUCERS = 4
RECORD_BYTES = 1024


class Kafka:
    name = 'kafka'

    def __init__(self, directory):
        self.node = KafkaNode(settings={'offsets.topic.replication.factor': 1}, java=OWN_JAVA, directory=directory)

    def __enter__(self):
        self.node.__enter__()
        self.bootstrap, self.data = self.node.bootstrap, self.node.data
        return self

    def __exit__(self, *_):
        self.node.__exit__()

    def create_topic(self, partitions):
        foreign.kafka_tool('org.apache.kafka.tools.TopicCommand', '--bootstrap-server', self.bootstrap, '--create', '--topic', TOPIC,
                           '--partitions', str(partitions), '--replication-factor', '1')

    def launch(self):
        self.node.launch()
        return self.node.process.pid

    def kill(self):
        self.node.kill()


class Sluice:
    def __init__(self, directory):
        self.durability = 'replicated'
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='sluice-', dir=directory))
        self.cluster = Cluster(1, directory=str(self.directory), settings=[f'durability={self.durability}'])

    @property
    def name(self):
        return f'sluice {self.durability}'

    def __enter__(self):
        self.cluster.up()
        node = self.cluster.addresses[1]
        self.bootstrap, self.process = node['kafka'], None
        self.data = self.directory / 'node-1/data'
        return self

    def __exit__(self, *_):
        if self.process is not None:
            self.process.kill()
        self.cluster.sluice('dev', 'stop', '--dir', str(self.directory), check=False)

    def create_topic(self, partitions):
        self.cluster.create_topic(TOPIC, partitions, 1)

    def launch(self):
        with open(self.directory / 'log', 'a') as log:
            self.process = subprocess.Popen([SLUICE, 'server', '--config', str(self.directory / 'node-1/server.properties')], stdout=log, stderr=log)
        return self.process.pid

    def kill(self):
        if self.process is None:
            self.cluster.kill_all()
        else:
            self.process.kill()
            self.process.wait(30)

    def log_tail(self):
        return [line for line in (self.directory / 'log').read_text().splitlines() if 'opened' in line][-1]

    def be_durable(self, partitions, records):
        """From now on durability=fsync, with everything flushed and checkpointed but what is appended then."""
        self.durability = 'fsync'
        self.launch()
        await_ready(self, partitions, records)
        foreign.kafka_tool('kafka.admin.ConfigCommand', '--bootstrap-server', self.bootstrap, '--entity-type', 'brokers', '--entity-default', '--alter',
                           '--add-config', f'durability={self.durability}')
        wait_until(lambda: self.recovery_points() == records, 'all is flushed', 300)

    def recovery_points(self):
        checkpoint = self.data / 'recovery-point-offset-checkpoint'
        lines = checkpoint.read_text().splitlines()[2:] if checkpoint.exists() else []
        return sum(int(line.split()[2]) for line in lines)


def fill(system, mib, partitions):
    loads = [subprocess.Popen([LOAD, 'fill', system.bootstrap, TOPIC, str(mib // PRODUCERS), str(RECORD_BYTES), str(partitions)],
                              stdout=subprocess.PIPE, text=True) for _ in range(PRODUCERS)]
    results = [json.loads(load.communicate()[0]) for load in loads]
    return sum(result['records'] for result in results), max(result['seconds'] for result in results)


def await_ready(system, partitions, records):
    told = json.loads(run(LOAD, 'ready', system.bootstrap, TOPIC, str(partitions), timeout=600).stdout)['records']
    if told != records:
        print(f'{system.name} has {told} records, of {records} acknowledged ones', flush=True)


def bring_into_cache(system):
    buffer = bytearray(1 << 20)
    for path in system.data.glob(f'{TOPIC}-*/*'):
        with open(path, 'rb', buffering=0) as file:
            while file.readinto(buffer):
                pass


def restart(system, partitions, records):
    """Seconds from exec until ready; it is dead before, and after."""
    bring_into_cache(system)
    probe = subprocess.Popen([LOAD, 'ready', system.bootstrap, TOPIC, str(partitions)], stdout=subprocess.PIPE, text=True)
    time.sleep(0.2)
    begin = time.monotonic()
    system.launch()
    told = json.loads(probe.communicate(timeout=600)[0])['records']
    seconds = time.monotonic() - begin
    if told != records:
        print(f'{system.name} has {told} records, of {records} acknowledged ones', flush=True)
    system.kill()
    return seconds


def compare(kafka, sluice, rounds, shape):
    times = []
    for n in range(rounds):
        times.append((restart(sluice, *shape['sluice']), restart(kafka, *shape['kafka'])))
        print(f'round {n + 1}: {sluice.name} {times[-1][0]:.2f} s, kafka {times[-1][1]:.2f} s; {sluice.log_tail()}', flush=True)
    ours, theirs = (statistics.median(column) for column in zip(*times))
    ratio = statistics.median(a / b for a, b in times)
    print(f'{sluice.name}: ready in {ours:.2f} s, kafka in {theirs:.2f} s, ratio {ratio:.3f} (bar: 3 s and 0.2), {rounds} rounds', flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--gib', type=float, default=10)
    options.add_argument('--partitions', type=int, default=1000)
    options.add_argument('--rounds', type=int, default=3)
    options.add_argument('--directory', help='for both; a temporary one when absent')
    given = options.parse_args()
    partitions, mib = given.partitions, int(given.gib * 1024)
    with tempfile.TemporaryDirectory(dir=given.directory) as work, Sluice(work) as sluice:
        sluice.create_topic(partitions)
        ours, seconds = fill(sluice, mib, partitions)
        print(f'{sluice.name}: {ours} records in {seconds:.0f} s', flush=True)
        sluice.kill()
        with Kafka(work) as kafka:
            kafka.create_topic(partitions)
            theirs, seconds = fill(kafka, mib, partitions)
            print(f'kafka: {theirs} records in {seconds:.0f} s', flush=True)
            kafka.kill()
            compare(kafka, sluice, given.rounds, {'sluice': (partitions, ours), 'kafka': (partitions, theirs)})
            sluice.be_durable(partitions, ours)
            ours += fill(sluice, max(PRODUCERS, mib // 100), partitions)[0]
            sluice.kill()
            compare(kafka, sluice, given.rounds, {'sluice': (partitions, ours), 'kafka': (partitions, theirs)})


if __name__ == '__main__':
    main()
