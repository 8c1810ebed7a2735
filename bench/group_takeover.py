#!/usr/bin/env python3
"""A coordinator that takes over: three nodes, all groups in one partition of __consumer_offsets, the coordinator is killed with -9. Each round tells how long
after it first says that it leads the partition the new one answers for a group: its offsets, and a heartbeat (`bench_groups probe`, every millisecond);
and what the processes have resident then. Some of the groups have members, all have offsets.

    bench/group_takeover.py --groups 10000 --members 10 --offsets 100 --rounds 3"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tests/support'))
from cluster import BUILD, OFFSETS_TOPIC, Cluster, run, wait_until  # noqa: E402

GROUPS = os.environ.get('BENCH_GROUPS', str(BUILD / 'bench_groups'))
TOPIC = 'positions'


def memory_mb(pid):
    """(resident, of which anonymous) in units of a million bytes."""
    fields = dict(line.split(':', 1) for line in pathlib.Path(f'/proc/{pid}/status').read_text().splitlines() if ':' in line)
    return tuple(int(fields[name].split()[0]) * 1024 / 1e6 for name in ('VmRSS', 'RssAnon'))


def show_memory(cluster, when):
    for node in cluster.status():
        if node['state'] != 'stopped':
            resident, anonymous = memory_mb(node['pid'])
            print(f'  {when}: node {node["id"]} has {resident:.0f} MB resident, {anonymous:.0f} of them anonymous', flush=True)


def take_over(cluster, given, number):
    """The new coordinator's (offsets, heartbeat) in ms."""
    leader = cluster.partitions(OFFSETS_TOPIC)[0]['leader']
    survivors = ','.join(node['kafka'] for node_id, node in cluster.addresses.items() if node_id != leader)
    group = (number * 2654435761 + given.groups - 1) % given.groups
    probe = subprocess.Popen([GROUPS, 'probe', survivors, TOPIC, str(group), '30'], stdout=subprocess.PIPE, text=True)
    probe.stdout.readline()
    cluster.kill(leader)
    result = json.loads(probe.communicate(timeout=60)[0])
    print(f'round {number + 1}: node {leader} was killed; {json.dumps(result)}', flush=True)
    time.sleep(3)  # it has the first answers behind it, and the groups still to come
    show_memory(cluster, 'loaded')
    cluster.start(leader)
    wait_until(lambda: len(cluster.live_nodes()) == 3 and cluster.fully_in_sync(OFFSETS_TOPIC), 'all in sync', 120)
    return result['offsets_ms'], result['heartbeat_ms']


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--groups', type=int, default=10000)
    options.add_argument('--members', type=int, default=10, help='of each group')
    options.add_argument('--offsets', type=int, default=100, help='of each group')
    options.add_argument('--rounds', type=int, default=3)
    options.add_argument('--durability', default='fsync')
    given = options.parse_args()
    settings = [f'durability={given.durability}', 'offsets.topic.num.partitions=1', 'group.initial.rebalance.delay.ms=300']
    with Cluster(3, settings=settings) as cluster:
        cluster.create_topic(TOPIC, given.offsets, 3)
        show_memory(cluster, 'empty')
        print(run(GROUPS, 'fill', cluster.bootstrap(), TOPIC, str(given.groups), str(given.members), str(given.offsets), timeout=600).stdout.strip(), flush=True)
        show_memory(cluster, 'filled')
        offsets, heartbeats = zip(*(take_over(cluster, given, n) for n in range(given.rounds)))
    print(f'first answers, {given.rounds} rounds, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}: offsets after {statistics.median(offsets):.1f} ms '
          f'(most {max(offsets):.1f}), heartbeat after {statistics.median(heartbeats):.1f} ms (most {max(heartbeats):.1f}) (bar: 50 ms)')


if __name__ == '__main__':
    main()
