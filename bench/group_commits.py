#!/usr/bin/env python3
"""Offset commits beside Kafka's: one node each, as many groups as are asked for, each with a connection of its own that commits again as soon as it is
answered (`bench_groups commit`). Commits a second, their latency, and the server's CPU time for each; Sluice in both durability modes, Apache Kafka 4.3.1
with its own defaults; rounds take turns.

    bench/group_commits.py --groups 1000 --rounds 5
Needs Kafka's jars, as tests/compat does."""
import argparse
import json
import os
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tests/support'))
import foreign  # noqa: E402
from cluster import BUILD, Cluster, run  # noqa: E402
from kafka_node import OWN_JAVA, KafkaNode  # noqa: E402

GROUPS = os.environ.get('BENCH_GROUPS', str(BUILD / 'bench_groups'))
TOPIC = 'positions'


def cpu_seconds(pid):
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


class Kafka:
    name = 'kafka'

    def __init__(self):
        self.node = KafkaNode(settings={'offsets.topic.replication.factor': 1}, java=OWN_JAVA)

    def __enter__(self):
        self.node.__enter__()
        self.bootstrap, self.pid = self.node.bootstrap, self.node.process.pid
        foreign.kafka_tool('org.apache.kafka.tools.TopicCommand', '--bootstrap-server', self.bootstrap, '--create', '--topic', TOPIC,
                           '--partitions', '100', '--replication-factor', '1')
        return self

    def __exit__(self, *_):
        self.node.__exit__()


class Sluice:
    def __init__(self, durability):
        self.name = f'sluice {durability}'
        self.cluster = Cluster(1, settings=[f'durability={durability}'])

    def __enter__(self):
        self.cluster.__enter__()
        node = self.cluster.addresses[1]
        self.bootstrap, self.pid = node['kafka'], node['pid']
        self.cluster.create_topic(TOPIC, 100, 1)
        return self

    def __exit__(self, *_):
        self.cluster.__exit__(None)


def measure(system, given, seconds):
    """(commits a second, microseconds of the server's CPU time for each, median and 99th percentile of the latency in ms)"""
    before = cpu_seconds(system.pid)
    result = json.loads(run(GROUPS, 'commit', system.bootstrap, TOPIC, str(given.groups), str(given.in_flight), str(given.partitions), str(seconds),
                            timeout=600).stdout)
    if result['refused']:
        print(f'{system.name}: {result["refused"]} commits were refused with error {result["error"]}', flush=True)
    cpu = cpu_seconds(system.pid) - before
    return result['commits'] / result['seconds'], cpu / result['commits'] * 1e6, result['answered_ms']['p50'], result['answered_ms']['p99']


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--groups', type=int, default=1000)
    options.add_argument('--in-flight', type=int, default=1, help='commits of each group; Kafka looks at one of a connection at a time')
    options.add_argument('--partitions', type=int, default=1, help='of each commit, at most 100')
    options.add_argument('--rounds', type=int, default=5)
    options.add_argument('--seconds', type=int, default=5)
    options.add_argument('--warm-up', type=int, default=10, help='seconds; what is compiled as it runs needs them')
    given = options.parse_args()
    with Kafka() as kafka, Sluice('replicated') as replicated, Sluice('fsync') as fsync:
        systems = [kafka, replicated, fsync]
        for system in systems:
            measure(system, given, given.warm_up)
        rounds = [{system.name: measure(system, given, given.seconds) for system in systems} for _ in range(given.rounds)]
    print(f'{given.groups} groups, {given.in_flight} in flight of each, {given.partitions} partitions a commit, {given.rounds} rounds of {given.seconds} s, '
          f'{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}')
    for system in systems:
        rate, cpu, p50, p99 = (statistics.median(column) for column in zip(*(each[system.name] for each in rounds)))
        print(f'{system.name:18} {rate:9.0f} commits/s  {cpu:6.1f} us of CPU each  p50 {p50:.1f} ms  p99 {p99:.1f} ms  to Kafka: '
              f'rate {statistics.median(each[system.name][0] / each["kafka"][0] for each in rounds):.2f}, '
              f'CPU {statistics.median(each[system.name][1] / each["kafka"][1] for each in rounds):.2f} (bars: 2 and 0.5)')


if __name__ == '__main__':
    main()
