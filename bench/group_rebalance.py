#!/usr/bin/env python3
"""Rebalances of the consumer protocol beside Kafka's: members that send heartbeats at the interval they are told, and give up and take partitions at once
(`bench_groups members`): all join a new group, one leaves, one joins. How long each takes until the last member has what it is to have, and how many
heartbeats a second the settled group sends. One node each, with its own defaults; rounds take turns.

    bench/group_rebalance.py --members 100 --partitions 1000 --rounds 3
Needs Kafka's jars, as tests/compat does."""
import argparse
import json
import os
import statistics
import sys
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tests/support'))
import foreign  # noqa: E402
from cluster import BUILD, Cluster, run  # noqa: E402
from kafka_node import OWN_JAVA, KafkaNode  # noqa: E402

GROUPS = os.environ.get('BENCH_GROUPS', str(BUILD / 'bench_groups'))
TOPIC = 'orders'
CHANGES = ('joined', 'one_left', 'one_joined')


def measure(name, bootstrap, given):
    result = json.loads(run(GROUPS, 'members', bootstrap, TOPIC, str(given.members), str(given.quiet), timeout=600).stdout)
    print(f'{name}: {json.dumps(result)}', flush=True)
    return result


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--members', type=int, default=100)
    options.add_argument('--partitions', type=int, default=1000)
    options.add_argument('--rounds', type=int, default=3)
    options.add_argument('--quiet', type=int, default=18, help='seconds before one leaves, and before one joins')
    given = options.parse_args()
    with KafkaNode(settings={'offsets.topic.replication.factor': 1}, java=OWN_JAVA) as kafka, Cluster(1) as sluice:
        foreign.kafka_tool('org.apache.kafka.tools.TopicCommand', '--bootstrap-server', kafka.bootstrap, '--create', '--topic', TOPIC,
                           '--partitions', str(given.partitions), '--replication-factor', '1')
        sluice.create_topic(TOPIC, given.partitions, 1)
        rounds = [(measure('sluice', sluice.bootstrap(), given), measure('kafka', kafka.bootstrap, given)) for _ in range(given.rounds)]
    print(f'{given.members} members, {given.partitions} partitions, {given.rounds} rounds, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}')
    for change in CHANGES:
        ours, theirs = ([each[side][change]['ms'] for each in rounds] for side in (0, 1))
        ratio = statistics.median(a / b for a, b in zip(ours, theirs))
        print(f'{change:10} sluice {statistics.median(ours):6.0f} ms, kafka {statistics.median(theirs):6.0f} ms, ratio {ratio:.2f} (bar: 0.33)')
    ours, theirs = (statistics.median(each[side]['quiet_heartbeats_per_s'] for each in rounds) for side in (0, 1))
    print(f'heartbeats a second when settled: sluice {ours:.0f}, kafka {theirs:.0f}')


if __name__ == '__main__':
    main()
