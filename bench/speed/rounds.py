"""Rounds of one scenario on systems that run: topics made, warmed up, then every system once in each round, in an order that turns, so that none is always
measured after the same other one."""
import concurrent.futures
import os
import statistics
import sys
import threading
import time

from speed import load, proc, ratios
from speed.scenarios import topic_configs

SETTLE_S = 1.0
# Kafka's compiler goes on for a while: it is warmed up until a run is not this much better than the best before it, at most so often.
WARM_SHARE, WARM_RUNS_MAX = 0.05, 6
WARMED_KINDS = ('produce', 'consume', 'latency')
DSYNC_STEP = 1 << 20


def settle():
    """What the last run wrote is on the disk before the next one starts, so that nobody pays for another one's pages."""
    os.sync()
    time.sleep(SETTLE_S)


def disk_alone(directory, mib):
    """MB/s of as many bytes written to one file with O_DSYNC, 1 MiB at a time: as dd oflag=dsync."""
    path = os.path.join(directory, 'dsync')
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_DSYNC)
    block = os.urandom(DSYNC_STEP)
    try:
        begin = time.monotonic()
        for _ in range(mib):
            os.write(file, block)
        return mib * DSYNC_STEP / 1e6 / (time.monotonic() - begin)
    finally:
        os.close(file)
        os.unlink(path)


def forget(system, topic):
    """Takes the topic's bytes out of the page cache."""
    for directory in system.logs(topic):
        for path in directory.glob('*.log'):
            with open(path, 'rb') as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Runs:
    """How a kind of scenario is prepared and run; `run(system)` gives its figures."""

    def __init__(self, scenario):
        self.scenario = scenario
        self.topic = scenario.name
        self.load = scenario.load

    def prepare(self, system):
        self.create(system, self.topic)

    def create(self, system, topic, keep=False, partitions=None):
        partitions = partitions or self.scenario.partitions
        system.create(topic, partitions, self.scenario.replicas, topic_configs(partitions, self.scenario.replicas, keep))

    def clean(self, system):
        system.delete(self.topic)


class Produce(Runs):
    def run(self, system):
        return load.throughput(*load.measure(system, 'produce', topic=system.topic(self.topic), **self.load))


class Consume(Runs):
    def prepare(self, system):
        self.create(system, self.topic, keep=True)
        # A little more than is read: a run ends within the topic.
        load.run(system, 'produce', topic=system.topic(self.topic), **{**self.load, 'mib': self.load['mib'] + 8, 'warm_mib': 0})

    def run(self, system):
        return load.throughput(*load.measure(system, 'consume', topic=system.topic(self.topic), mib=self.load['mib'], warm_mib=self.load['mib'] // 16,
                                             partitions=self.scenario.partitions))


class Latency(Runs):
    def arguments(self, system):
        return {'topic': system.topic(self.topic), 'partitions': self.scenario.partitions, **self.load}

    def run(self, system):
        return load.latencies(*load.measure(system, 'latency', **self.arguments(system)))


class CatchUp(Latency):
    OLD = 'catch-up-old'

    def prepare(self, system):
        super().prepare(system)
        self.create(system, self.OLD, keep=True)
        load.run(system, 'produce', topic=system.topic(self.OLD), record_bytes=self.load['record_bytes'], mib=self.load['old_mib'] + 8, warm_mib=0)

    def arguments(self, system):
        return {key: value for key, value in super().arguments(system).items() if key != 'old_mib'}

    def run(self, system):
        """The old records are read again and again, from the disk, for as long as the new ones are measured."""
        over = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            reader = thread.submit(self.read, system, over)
            try:
                figures = load.latencies(*load.measure(system, 'latency', **self.arguments(system)))
            finally:
                over.set()
            rates = reader.result()  # or why it could not go on
        return {**figures, 'old_mb_s': statistics.median(rates) if rates else None}

    def read(self, system, over):
        rates = []
        while not over.is_set():
            forget(system, self.OLD)
            process = load.start(system, 'consume', topic=system.topic(self.OLD), mib=self.load['old_mib'], partitions=1)
            while process.poll() is None and not over.wait(0.05):
                pass
            if process.poll() is None:
                process.kill()
                process.communicate()
            else:
                rates.append(load.throughput(load.finish(process), 0)['throughput'])
        return rates

    def clean(self, system):
        super().clean(system)
        system.delete(self.OLD)


class Idle(Runs):
    def run(self, system):
        before = proc.rss_mib(system.pids())
        process = load.start(system, 'idle', connections=self.load['connections'], seconds=self.load['seconds'])
        cpu, rss = [], []

        def note(_):
            cpu.append(proc.cpu_seconds(system.pids()))
            rss.append(proc.rss_mib(system.pids()))
        told = load.finish(process, note)
        return {'idle_cpu': (cpu[1] - cpu[0]) / told['seconds'], 'kib_a_connection': (rss[1] - before) * 1024 / told['connections']}


class ToolProduce(Runs):
    def run(self, system):
        return load.producer_tool(system, system.topic(self.topic), self.load['mib'], self.load['record_bytes'])


class ToolConsume(Consume):
    def run(self, system):
        return load.consumer_tool(system, system.topic(self.topic), self.load['mib'], self.load['record_bytes'])


KINDS = {'produce': Produce, 'consume': Consume, 'latency': Latency, 'catch-up': CatchUp, 'idle': Idle, 'tool-produce': ToolProduce, 'tool-consume': ToolConsume}


def warm_up(runs, system, smoke):
    """Its first run is never counted; Kafka has as many as make it better."""
    costs = []
    most = WARM_RUNS_MAX if system.name == 'kafka' and not smoke and runs.scenario.kind in WARMED_KINDS else 1
    while ratios.still_improving(costs, WARM_SHARE) and len(costs) < most:
        costs.append(runs.run(system).get('cpu') or 0)
        settle()


def turned(names, number):
    names = list(names)
    return names[number % len(names):] + names[:number % len(names)]


def one_round(runs, systems, number, directory):
    figures = {}
    for name in turned(systems, number):
        system = systems[name]
        figures[name] = runs.run(system)
        figures[name]['rss'] = proc.rss_mib(system.pids())
        figures[name]['disk'] = sum(map(proc.disk_mib, system.logs(runs.topic)))
        settle()
    if runs.scenario.kind == 'produce':
        figures['dsync'] = {'throughput': disk_alone(directory, min(runs.load['mib'], 512))}
        settle()
    return figures


def measure(scenario, systems, count, directory, smoke=False):
    """The figures of each round, by system."""
    systems = {name: systems[name] for name in scenario.systems if name in systems}
    runs = KINDS[scenario.kind](scenario)
    for system in systems.values():
        runs.prepare(system)
    for system in systems.values():
        warm_up(runs, system, smoke)
    found = []
    for number in range(count):
        found.append(one_round(runs, systems, number, directory))
        told = '; '.join(f'{name} {brief(each)}' for name, each in found[-1].items())
        print(f'{scenario.name} round {number + 1}: {told}', file=sys.stderr, flush=True)
    # Not after a failure: there may be nobody who answers, and all goes with the servers in any case.
    for system in systems.values():
        runs.clean(system)
    return found


def brief(figures):
    return ' '.join(f'{key} {value:.2f}' for key, value in figures.items()
                    if key in ('cpu', 'throughput', 'p50', 'p99', 'acknowledged_p99', 'missing', 'idle_cpu', 'kib_a_connection') and value is not None)
