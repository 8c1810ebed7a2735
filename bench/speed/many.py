"""Thousands of partitions of three replicas on three nodes: from the create call until a record is acknowledged in each, the memory of a node with them,
and from the start of all nodes after kill -9 until a record is acknowledged in each again. Sluice in durability=fsync (tests/support/many_partitions.py),
Apache Kafka with its own defaults; each has a cluster of its own."""
import contextlib
import statistics
import sys
import time

import many_partitions
from cluster import wait_until

from speed import load, proc, systems
from speed.rounds import settle

IN_SYNC_S = 300


class Kafka:
    def __init__(self, stack, directory):
        self.cluster = stack.enter_context(systems.KafkaCluster(directory, systems.SETTINGS))
        self.system = systems.System('kafka', self.cluster.bootstrap(), None, directory)

    def create(self, partitions):
        """The client asks and does not wait for the replicas; nor does it start a JVM."""
        begin = time.monotonic()
        load.run(self.system, 'create', topic=many_partitions.TOPIC, partitions=partitions, replicas=3, wait=0)
        many_partitions.written(many_partitions.writer(self.cluster, partitions), partitions)
        return time.monotonic() - begin

    def pids(self):
        return [self.cluster.pid(node) for node in self.cluster.members]

    def restart(self, partitions):
        for node in self.cluster.members.values():
            node.process.kill()
        for node in self.cluster.members.values():
            node.process.wait(30)
        self.cluster.bootstrap = lambda: self.system.bootstrap  # none of them lives
        probe = many_partitions.writer(self.cluster, partitions)
        time.sleep(0.2)  # it is there and finds nobody
        begin = time.monotonic()
        for node in self.cluster.members.values():
            node.launch()
        many_partitions.written(probe, partitions)
        return time.monotonic() - begin


class Sluice:
    def __init__(self, stack, directory):
        self.cluster = systems.sluice(stack, many_partitions.NODES, directory)
        wait_until(lambda: self.cluster.admin('cluster', 'health', check=False)['healthy'], 'all nodes are well', 30)

    def create(self, partitions):
        return many_partitions.create(self.cluster, partitions)[1]

    def pids(self):
        return [node['pid'] for node in self.cluster.status()]

    def restart(self, partitions):
        return many_partitions.restart(self.cluster, partitions)


SERVERS = {'kafka': Kafka, 'fsync': Sluice}


def one(name, partitions, directory):
    with contextlib.ExitStack() as stack:
        server = SERVERS[name](stack, directory)
        created = server.create(partitions)
        wait_until(lambda: server.cluster.fully_in_sync(many_partitions.TOPIC), 'all replicas in sync', IN_SYNC_S)
        rss = statistics.mean(proc.rss_mib([pid]) for pid in server.pids())
        return {'created': created, 'rss': rss, 'written_again': server.restart(partitions)}


def measure(scenario, names, count, directory):
    found = []
    for number in range(count):
        found.append({})
        for name in names:
            found[-1][name] = one(name, scenario.partitions, directory)
            settle()
        told = '; '.join(f'{name} ' + ' '.join(f'{key} {value:.2f}' for key, value in each.items()) for name, each in found[-1].items())
        print(f'{scenario.name} round {number + 1}: {told}', file=sys.stderr, flush=True)
    return found
