#!/usr/bin/env python3
"""Three nodes and a topic of many partitions, each with three replicas, in durability=fsync. First how long it takes to create: from CreateTopics until it is
answered, and until a record is acknowledged in each partition (acks=all, `bench_load each`). Then all three nodes are killed with -9 and started again:
from their exec until a record is acknowledged in each partition again.

    bench/many_partitions.py --rounds 3
Each round has a cluster of its own. Prints each time, then the medians with the bars."""
import argparse
import os
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tests/support'))
from many_partitions import BARS_S, PARTITIONS, file_system_s, one_round  # noqa: E402


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--partitions', type=int, default=PARTITIONS)
    options.add_argument('--rounds', type=int, default=3)
    options.add_argument('--set', action='append', default=[], help='KEY=VALUE of each node')
    given = options.parse_args()
    times = []
    for _ in range(given.rounds):
        print(f'as many bare files take {file_system_s():.1f} s')
        times.append(one_round(given.partitions, given.set))
    for (name, bar), column in zip(BARS_S.items(), zip(*times)):
        print(f'{given.partitions} partitions {name}: median {statistics.median(column):.2f} s, worst {max(column):.2f} s (bar: {bar} s), '
              f'{given.rounds} rounds, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}')


if __name__ == '__main__':
    main()
