#!/usr/bin/env python3
"""What an idle partition costs in resident memory: one node with a few topics of many partitions. The node's size without them is taken from it before
they are made; then its size once they were made, once a batch of 16 records was written to each, after a clean stop and a start, and after SIGKILL
and a start, each divided by their number.

    bench/idle_partitions.py --partitions 20000
Prints a line for each, with the bar. --empty writes nothing, and needs no bench_load."""
import argparse
import os
import pathlib
import re
import signal
import sys
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tests/support'))
from cluster import BUILD, SLUICE, Cluster, run, wait_until  # noqa: E402

LOAD = os.environ.get('BENCH_LOAD', str(BUILD / 'bench_load'))
BAR_KIB = 6
TOPIC_PARTITIONS = 2000
BATCH_RECORDS, RECORD_BYTES = 16, 64
READY_S = 300


def resident_kib(cluster):
    text = pathlib.Path(f'/proc/{cluster.status()[0]["pid"]}/status').read_text()
    return int(re.search(r'VmRSS:\s+(\d+)', text)[1])


def leaders(cluster):
    with urllib.request.urlopen(f'http://{cluster.addresses[1]["http"]}/metrics', timeout=30) as page:
        found = re.search(r'^kafka_server_replicamanager_leadercount(?:\{[^}]*\})? (\S+)$', page.read().decode(), re.MULTILINE)
    return int(float(found[1])) if found else 0


def settled_kib(cluster, partitions):
    """Once it leads them all and its size stays the same."""
    wait_until(lambda: cluster.status()[0]['state'] == 'ready' and leaders(cluster) == partitions, 'all partitions are led', READY_S)
    sizes = []

    def still():
        sizes.append(resident_kib(cluster))
        return len(sizes) > 3 and len(set(sizes[-4:])) == 1
    wait_until(still, 'its size stays', 60)
    return sizes[-1]


def topics(partitions):
    """(name, partitions) of each."""
    return [(f'idle-{first}', min(TOPIC_PARTITIONS, partitions - first)) for first in range(0, partitions, TOPIC_PARTITIONS)]


def write(cluster, partitions):
    for name, count in topics(partitions):
        mib = -(-count * BATCH_RECORDS * RECORD_BYTES // (1 << 20))
        run(LOAD, 'fill', cluster.bootstrap(), name, str(mib), str(RECORD_BYTES), str(count), timeout=READY_S)


def tell(when, kib, empty_kib, partitions):
    each = (kib - empty_kib) / partitions
    print(f'{when}: {each:.2f} KiB a partition (bar {BAR_KIB} KiB); {kib / 1024:.0f} MiB in all, {empty_kib / 1024:.0f} MiB without them', flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--partitions', type=int, default=20000)
    options.add_argument('--directory', help='for the node; a temporary one when absent')
    options.add_argument('--empty', action='store_true')
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.directory) as work, Cluster(1, directory=f'{work}/node') as cluster:
        node = ('1', '--dir', cluster.directory)
        empty = settled_kib(cluster, 0)
        for name, count in topics(given.partitions):
            cluster.create_topic(name, count, 1)
        tell('made', settled_kib(cluster, given.partitions), empty, given.partitions)
        if not given.empty:
            write(cluster, given.partitions)
            tell('written once', settled_kib(cluster, given.partitions), empty, given.partitions)
        run(SLUICE, 'dev', 'stop', *node, timeout=READY_S)
        run(SLUICE, 'dev', 'start', *node, timeout=READY_S)
        tell('after a clean stop', settled_kib(cluster, given.partitions), empty, given.partitions)
        os.kill(cluster.status()[0]['pid'], signal.SIGKILL)
        wait_until(lambda: cluster.status()[0]['state'] == 'stopped', 'it is gone', READY_S)
        run(SLUICE, 'dev', 'start', *node, timeout=READY_S)
        tell('after SIGKILL', settled_kib(cluster, given.partitions), empty, given.partitions)


if __name__ == '__main__':
    main()
