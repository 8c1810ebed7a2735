#!/usr/bin/env python3
"""Three nodes and a topic of many partitions, each with three replicas, in durability=fsync. First how long it takes to create: from CreateTopics until it is
answered, and until a record is acknowledged in each partition (acks=all, `bench_load each`). Then all three nodes are killed with -9 and started again:
from their exec until a record is acknowledged in each partition again.

    bench/many_partitions.py --rounds 3
Each round has a cluster of its own. Prints each time, then the medians with the bars."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tests/support'))
from cluster import BUILD, SLUICE, Cluster, wait_until  # noqa: E402

LOAD = os.environ.get('BENCH_LOAD', str(BUILD / 'bench_load'))
TOPIC, NODES = 'many', 3
BARS_S = {'created and written': 2, 'written after kill -9 of all': 5}


def writer(cluster, partitions):
    return subprocess.Popen([LOAD, 'each', cluster.bootstrap(), TOPIC, str(partitions)], stdout=subprocess.PIPE, text=True)


def written(process, partitions):
    told = json.loads(process.communicate(timeout=600)[0])
    assert told['records'] == partitions, told


def create(cluster, partitions):
    begin = time.monotonic()
    cluster.create_topic(TOPIC, partitions, NODES)
    answered = time.monotonic() - begin
    written(writer(cluster, partitions), partitions)
    return answered, time.monotonic() - begin


def launch(cluster):
    """All nodes as processes of this one: `sluice dev` would wait for each other's health."""
    processes = []
    for node in cluster.addresses:
        directory = pathlib.Path(cluster.directory) / f'node-{node}'
        with open(directory / 'server.log', 'a') as log:
            processes.append(subprocess.Popen([SLUICE, 'server', '--config', str(directory / 'server.properties')], stdout=log, stderr=log))
    return processes


def restart(cluster, partitions):
    cluster.kill_all()
    probe = writer(cluster, partitions)
    time.sleep(0.2)  # it is there and finds nobody
    begin = time.monotonic()
    nodes = launch(cluster)
    try:
        written(probe, partitions)
        return time.monotonic() - begin
    finally:
        for node in nodes:
            node.kill()
        for node in nodes:
            node.wait(30)


def fences(cluster):
    return sum(log.read_text().count('is fenced') for log in pathlib.Path(cluster.directory).glob('node-*/server.log'))


def one_round(partitions, settings):
    with Cluster(NODES, settings=settings) as cluster:
        wait_until(lambda: cluster.admin('cluster', 'health', check=False)['healthy'], 'all nodes are well', 30)
        answered, created = create(cluster, partitions)
        fenced = fences(cluster)
        wait_until(lambda: cluster.fully_in_sync(TOPIC), 'all replicas in sync', 60)
        restarted = restart(cluster, partitions)
        print(f'created in {answered:.2f} s, each written at {created:.2f} s ({fenced} fenced); written again {restarted:.2f} s after the start', flush=True)
    return created, restarted


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--partitions', type=int, default=2000)
    options.add_argument('--rounds', type=int, default=3)
    options.add_argument('--set', action='append', default=[], help='KEY=VALUE of each node')
    given = options.parse_args()
    times = [one_round(given.partitions, given.set) for _ in range(given.rounds)]
    for (name, bar), column in zip(BARS_S.items(), zip(*times)):
        print(f'{given.partitions} partitions {name}: median {statistics.median(column):.2f} s, worst {max(column):.2f} s (bar: {bar} s), '
              f'{given.rounds} rounds, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}')


if __name__ == '__main__':
    main()
