#!/usr/bin/env python3
"""How long a topic of many partitions takes: from CreateTopics until it is answered, until every partition has a leader that tells its end
(`bench_load ready`), and until a batch is acknowledged in each of them, acks=all (`bench_load fill`). On one node and on three (replication factor 3),
in both durability modes, and on one node of Apache Kafka 4.3.1; and whether any broker was fenced meanwhile.

    bench/create_topic.py --partitions 6000 --rounds 3
Each round makes one more topic beside those of the rounds before. Needs Kafka's jars, as tests/compat does."""
import argparse
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tests/support'))
import foreign  # noqa: E402
from cluster import BUILD, Cluster, run  # noqa: E402
from kafka_node import OWN_JAVA, KafkaNode  # noqa: E402

LOAD = str(BUILD / 'bench_load')
RECORD_BYTES = 64
RECORDS_IN_TURN = 16


def measure(bootstrap, topic, partitions, create):
    begin = time.monotonic()
    create()
    answered = time.monotonic() - begin
    run(LOAD, 'ready', bootstrap, topic, str(partitions), timeout=600)
    ready = time.monotonic() - begin
    mib = -(-partitions * RECORDS_IN_TURN * RECORD_BYTES >> 20) + 1
    run(LOAD, 'fill', bootstrap, topic, str(mib), str(RECORD_BYTES), str(partitions), timeout=600)
    return answered, ready, time.monotonic() - begin


def report(name, times, note=''):
    answered, ready, produced = (statistics.median(column) for column in zip(*times))
    rounds = ', '.join(f'{row[1]:.2f}' for row in times)
    print(f'{name}: answered in {answered:.2f} s, all ready in {ready:.2f} s ({rounds}), a batch in each in {produced:.2f} s{note}', flush=True)


def sluice(nodes, durability, partitions, rounds):
    with Cluster(nodes, settings=[f'durability={durability}']) as cluster:
        times = [measure(cluster.bootstrap(), f't{n}', partitions,
                         lambda n=n: cluster.admin('topic', 'create', f't{n}', '--partitions', str(partitions), '--replication-factor', str(nodes),
                                                   '--timeout-ms', '100000')) for n in range(rounds)]
        logs = ''.join(log.read_text() for log in pathlib.Path(cluster.directory).glob('node-*/server.log'))
    report(f'sluice {durability}, nodes: {nodes}', times, f'; fenced: {logs.count("is fenced")}')


def kafka(partitions, rounds):
    with KafkaNode(settings={'offsets.topic.replication.factor': 1}, java=OWN_JAVA) as node:
        create = ('org.apache.kafka.tools.TopicCommand', '--bootstrap-server', node.bootstrap, '--create', '--replication-factor', '1',
                  '--partitions', str(partitions), '--topic')
        times = [measure(node.bootstrap, f't{n}', partitions, lambda n=n: foreign.kafka_tool(*create, f't{n}')) for n in range(rounds)]
    report('kafka (with the start of its tool), nodes: 1', times)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--partitions', type=int, default=6000)
    options.add_argument('--rounds', type=int, default=3)
    given = options.parse_args()
    for nodes in (1, 3):
        for durability in ('fsync', 'replicated'):
            sluice(nodes, durability, given.partitions, given.rounds)
    kafka(given.partitions, given.rounds)


if __name__ == '__main__':
    main()
