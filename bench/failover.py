#!/usr/bin/env python3
"""How long a producer of librdkafka with its defaults hears nothing when a node of three goes (tests/support/failover.py says what is done).

    bench/failover.py --rounds 30
    bench/failover.py --rounds 30 --only 'leader killed'
    bench/failover.py --rounds 30 --kafka-rounds 5
Prints each time, then median and p99 with the bars. With --kafka-rounds Apache Kafka, three nodes with its own defaults, goes through the same afterwards."""
import argparse
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tests/support'))
from cluster import Cluster  # noqa: E402
from failover import BARS_MS, PLANNED, Failover, median_and_p99  # noqa: E402
from kafka_cluster import KafkaCluster  # noqa: E402


class KafkaFailover(Failover):
    def part(self, leader, controller_leads):
        controller = self.cluster.active_controller()
        self.cluster.lead(self.topic, controller if controller_leads else next(node for node in self.cluster.addresses if node != controller))


def silences_ms(failover, what, rounds):
    if what != PLANNED:
        return [failover.round(what) for _ in range(rounds)]
    times = []
    while len(times) < rounds:
        times += failover.rolling_restart()
    return times


def line(what, times):
    told = []
    for name, value, bar in zip(('median', 'p99'), median_and_p99(times), BARS_MS[what]):
        told.append(f'{name} {value:.0f} ms' + (f' (bar {bar})' if bar else ''))
    return f'{what}: {", ".join(told)}, of {len(times)}'


def measure(failover, whats, rounds, name):
    """The lines that tell it."""
    lines = []
    for what in whats:
        times = silences_ms(failover, what, rounds)
        print(f'{name}, {what}:', ' '.join(f'{each:.0f}' for each in times), 'ms', flush=True)
        lines.append(f'{name}, {line(what, times)}')
    return lines


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--rounds', type=int, default=30)
    options.add_argument('--only', action='append', choices=BARS_MS)
    options.add_argument('--kafka-rounds', type=int, default=0)
    given = options.parse_args()
    whats = given.only or list(BARS_MS)
    lines = []
    if given.rounds:
        with Cluster(3) as cluster, Failover(cluster) as failover:
            lines += measure(failover, whats, given.rounds, 'Sluice')
    if given.kafka_rounds:
        with KafkaCluster() as kafka, KafkaFailover(kafka) as failover:
            lines += measure(failover, whats, given.kafka_rounds, 'Kafka')
    print(*lines, f'{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}', sep='\n')


if __name__ == '__main__':
    main()
