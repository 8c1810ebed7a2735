#!/usr/bin/env python3
"""A coordinator killed with -9 as the members of a group see it: three nodes, librdkafka's defaults; for each kill the longest time without a successful commit
of a member, without a record of a partition, and between two answered heartbeats (of which the client's interval of 3 s is its own), and the rebalances.

    bench/coordinator_killed.py --kills 30
Needs confluent-kafka, as tests/compat does."""
import argparse
import os
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tests/support'))
from cluster import Cluster  # noqa: E402
from coordinator_kills import CoordinatorKills  # noqa: E402


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--kills', type=int, default=30)
    options.add_argument('--members', type=int, default=3)
    options.add_argument('--set', action='append', default=[], help='KEY=VALUE of the client, as group.protocol=consumer')
    given = options.parse_args()
    figures = []
    with Cluster(3) as cluster, CoordinatorKills(cluster, given.members, given.set) as kills:
        for _ in range(given.kills):
            figures.append(kills.kill())
            print(', '.join(f'{name} {value:.2f}' if isinstance(value, float) else f'{name} {value}' for name, value in figures[-1].items()), flush=True)
    print(f'{given.kills} kills, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}')
    for name in ('commit', 'record', 'heartbeat'):
        times = sorted(each[name] for each in figures)
        print(f'longest without a {name:9}: median {statistics.median(times):.2f} s, p99 {times[-(-99 * len(times) // 100) - 1]:.2f} s (bar: 1.3 s'
              f'{" above the interval" if name == "heartbeat" else ""})')
    print(f'rebalances: {figures[-1]["rebalances"]} (bar: 0)')


if __name__ == '__main__':
    main()
