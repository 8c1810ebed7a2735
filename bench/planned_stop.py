#!/usr/bin/env python3
"""A planned stop as a producer sees it: three nodes, one partition of three replicas, librdkafka with its own defaults, acks=all, 500 records a second. In each
round the leader is drained, asked whether it may stop, stopped with SIGTERM, started and undrained; a figure for each is the longest silence between two
acknowledgements. --no-drain stops it without (the controlled shutdown alone moves the leads).

    bench/planned_stop.py --rounds 30"""
import argparse
import os
import pathlib
import signal
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tests/support'))
from cluster import Cluster, SteadyProducer, wait_until  # noqa: E402

BAR_MS = 150


def stop(cluster, node):
    pid = next(each['pid'] for each in cluster.status() if each['id'] == node)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: node not in cluster.live_nodes(), f'node {node} has stopped', 30)


def one_round(cluster, drain):
    """The longest silence in ms, by step."""
    node = cluster.partitions('planned')[0]['leader']
    other = node % 3 + 1
    steps = {}

    def during(name, act):
        with SteadyProducer(cluster, 'planned', rate=500, idempotent=False, defaults=True).running() as producer:
            producer.wait_for_acks(1000)
            act()
            producer.wait_for_acks(producer.acks_so_far() + 500)
            summary = producer.finish()
        assert summary['failed'] == 0, f'{summary["failed"]} records failed while {name}'
        steps[name] = summary['longest_silence_ms']
    if drain:
        during('drain', lambda: cluster.admin('broker', 'drain', str(node), '--wait', node=other))
        wait_until(lambda: cluster.sluice('broker', 'can-stop', str(node), '--server', cluster.addresses[other]['grpc'], check=False).returncode == 0,
                   f'node {node} may stop', 30)
    during('stop', lambda: stop(cluster, node))
    during('start', lambda: cluster.start(node))
    wait_until(lambda: cluster.fully_in_sync('planned'), f'node {node} is in sync', 30)
    if drain:
        def undrain():
            cluster.admin('broker', 'undrain', str(node), node=other)
            wait_until(lambda: cluster.partitions('planned', other)[0]['leader'] == cluster.partitions('planned', other)[0]['replicas'][0], 'its lead is back', 30)
        during('undrain', undrain)
    return steps


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--rounds', type=int, default=30)
    options.add_argument('--no-drain', action='store_true')
    given = options.parse_args()
    rounds = []
    with Cluster(3) as cluster:
        cluster.create_topic('planned', 1, 3, ['min.insync.replicas=2'])
        for _ in range(given.rounds):
            rounds.append(one_round(cluster, not given.no_drain))
            print(', '.join(f'{name} {value} ms' for name, value in rounds[-1].items()), flush=True)
    print(f'{given.rounds} rounds, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}; no client error')
    for name in rounds[0]:
        values = sorted(each[name] for each in rounds)
        p99 = values[-(-99 * len(values) // 100) - 1]
        print(f'longest silence at {name:8}: median {statistics.median(values):.0f} ms, p99 {p99} ms (bar: {BAR_MS} ms)')


if __name__ == '__main__':
    main()
