"""What a node takes when nothing is asked of it, before and after a load, and how long it takes to be there: one node by itself, each round another."""
import contextlib
import subprocess
import sys
import time

import many_partitions

from speed import load, proc, systems
from speed.rounds import settle
from speed.scenarios import topic_configs

TOPIC, PARTITIONS, RECORD_BYTES = 'footprint', 6, 1024
READY_S = 120
# After a start, before what is idle is looked at.
QUIET_S = 5


class Kafka:
    def __init__(self, stack, directory):
        self.node = stack.enter_context(systems.KafkaNode({**systems.SETTINGS, **systems.KAFKA_ALONE}, systems.KAFKA_JAVA[1], directory))
        self.system = systems.System('kafka', self.node.bootstrap, lambda: [self.node.process.pid], self.node.directory)

    def stop(self):
        self.node.stop()

    def launch(self):
        self.node.launch()


class Sluice:
    def __init__(self, stack, directory):
        self.cluster = systems.sluice(stack, 1, directory)
        self.system = systems.mode(self.cluster, 'fsync')
        self.stack = stack

    def stop(self):
        self.cluster.stop_node(1)

    def launch(self):
        process, = many_partitions.launch(self.cluster)
        self.stack.callback(systems.end, process)
        self.system.pids = lambda: [process.pid]


SERVERS = {'kafka': Kafka, 'fsync': Sluice}


def start_s(server):
    """From exec until the topic's partitions have leaders that tell their ends. It was stopped cleanly, and its files are in memory."""
    server.stop()
    probe = subprocess.Popen([many_partitions.LOAD, 'ready', server.system.bootstrap, server.system.topic(TOPIC), str(PARTITIONS)], stdout=subprocess.PIPE)
    time.sleep(0.2)  # it is there and finds nobody
    begin = time.monotonic()
    server.launch()
    try:
        probe.communicate(timeout=READY_S)
        if probe.returncode != 0:
            raise AssertionError(f'{server.system.name} did not come up')
        return time.monotonic() - begin
    finally:
        systems.end(probe)


def one(name, scenario, directory):
    with contextlib.ExitStack() as stack:
        server = SERVERS[name](stack, directory)
        system = server.system
        system.create(TOPIC, PARTITIONS, 1, topic_configs(PARTITIONS, 1))
        figures = {'start': start_s(server)}
        idle_s = scenario.load['idle_seconds']
        time.sleep(min(QUIET_S, idle_s))
        before = proc.cpu_seconds(system.pids())
        time.sleep(idle_s)
        figures.update(idle_cpu=(proc.cpu_seconds(system.pids()) - before) / idle_s, idle_rss=proc.rss_mib(system.pids()))
        mib = scenario.load['mib']
        load.run(system, 'produce', topic=system.topic(TOPIC), record_bytes=RECORD_BYTES, mib=mib)
        # What retention has left of it by now, in any case.
        load.run(system, 'consume', topic=system.topic(TOPIC), mib=min(mib, 64) // 2, partitions=PARTITIONS)
        figures['loaded_rss'] = proc.rss_mib(system.pids())
        return figures


def measure(scenario, names, count, directory):
    found = []
    for number in range(count):
        found.append({})
        for name in names:
            found[-1][name] = one(name, scenario, directory)
            settle()
        told = '; '.join(f'{name} ' + ' '.join(f'{key} {value:.3f}' for key, value in each.items()) for name, each in found[-1].items())
        print(f'{scenario.name} round {number + 1}: {told}', file=sys.stderr, flush=True)
    return found
