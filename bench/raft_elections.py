#!/usr/bin/env python3
"""How long a cluster of three real processes is without an active controller: its leader is killed with -9, or stopped by SIGSTOP, again and again, and the two others are
asked for their metrics in turns until one of them is active, which is after it has committed in its own term.

    bench/raft_elections.py --rounds 50
Prints each time, then median and p99 of either kind with the bars."""
import argparse
import http.client
import os
import pathlib
import signal
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tests/support'))
from cluster import Cluster, wait_until  # noqa: E402

BARS_S = {'SIGKILL': (0.150, 0.400), 'SIGSTOP': (0.700, 1.200)}  # median and p99
ACTIVE = b'\nkafka_controller_kafkacontroller_activecontrollercount 1\n'
SETTLED_S_MAX = ELECTED_S_MAX = 30


class Node:
    """One that is asked again and again over one connection."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address, timeout=ELECTED_S_MAX)

    def is_active(self):
        self.connection.request('GET', '/metrics')
        return ACTIVE in self.connection.getresponse().read()


def settled(cluster):
    """All nodes are well and agree on who is active; gives that one."""
    health = cluster.admin('cluster', 'health', check=False)
    if not health or not health['healthy']:
        return None
    told = {cluster.admin('cluster', 'describe', node=node, check=False)['controller_id'] for node in cluster.addresses}
    return told.pop() if len(told) == 1 else None


def election_s(cluster, how):
    leader = wait_until(lambda: settled(cluster), 'three healthy nodes', SETTLED_S_MAX)
    pid = next(node['pid'] for node in cluster.status() if node['id'] == leader)
    others = [Node(node['http']) for number, node in cluster.addresses.items() if number != leader]
    assert not any(node.is_active() for node in others)
    begin = time.monotonic()
    os.kill(pid, how)
    while not any(node.is_active() for node in others):
        assert time.monotonic() < begin + ELECTED_S_MAX, 'nobody is elected'
    took_s = time.monotonic() - begin
    if how == signal.SIGSTOP:
        os.kill(pid, signal.SIGCONT)
    else:
        cluster.start(leader)
    return took_s


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--rounds', type=int, default=50)
    given = options.parse_args()
    lines = []
    with Cluster(3) as cluster:
        for how in (signal.SIGKILL, signal.SIGSTOP):
            times = sorted(election_s(cluster, how) for _ in range(given.rounds))
            print(how.name, ' '.join(f'{took_s * 1000:.0f}' for took_s in times), 'ms', flush=True)
            bars = BARS_S[how.name]
            p99_s = times[-(-99 * len(times) // 100) - 1]
            lines.append(f'{how.name}: median {statistics.median(times) * 1000:.0f} ms (bar {bars[0] * 1000:.0f}), p99 {p99_s * 1000:.0f} ms (bar {bars[1] * 1000:.0f})')
    print(*lines, f'{given.rounds} rounds each, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}', sep='\n')


if __name__ == '__main__':
    main()
