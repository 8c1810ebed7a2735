#!/usr/bin/env python3
"""How long a producer of librdkafka with its defaults hears nothing of a partition (acks=all, 500 records/s) whose leader is cut off from the other nodes. Three
nodes, each a host of its own in a network namespace (tests/chaos/hosts.py); each leads a partition of the topic.

    bench/cut_off.py --rounds 10                  # the clients reach the leader
    bench/cut_off.py --rounds 10 --with-clients   # nobody reaches it
Prints each time, then median and p99 with the bars. Needs root."""
import argparse
import contextlib
import os
import pathlib
import random
import sys
import tempfile
import time

for part in ('support', 'chaos'):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tests' / part))
from cluster import SteadyProducer, wait_until  # noqa: E402
from failover import RATE, SILENT_S_MAX, WELL_S_MAX, WINDOW_S, longest_silence_ms, median_and_p99  # noqa: E402
from faults import cut_off, cut_off_with_clients  # noqa: E402
from hosts import Hosts, enter_namespaces  # noqa: E402

TOPIC = 'spread'
BARS_MS = (900, 1300)


def leader(hosts):
    number = hosts.admin('topic', 'describe', TOPIC)['partitions'][0]['leader']
    return next(host for host in hosts.all if host.id == number)


def heard_after(producer, at_s):
    """An acknowledgement of the first partition."""
    return time.monotonic() > at_s and any(partition == 0 and at_us > at_s * 1e6 for _, partition, _, at_us in producer.acks())


def silence_ms(hosts, fault):
    hosts.wait_until_well(WELL_S_MAX)
    hosts.admin('partition', 'elect', '--all')
    producer = SteadyProducer(hosts, TOPIC, rate=RATE, idempotent=False, defaults=True)
    with producer.running():
        producer.wait_for_acks(RATE, WELL_S_MAX)
        begin = time.monotonic()
        with fault(hosts, [leader(hosts)], random):
            with contextlib.suppress(AssertionError):  # then it was silent for that long
                wait_until(lambda: heard_after(producer, begin + WINDOW_S), 'acknowledgements', SILENT_S_MAX)
            end = time.monotonic()
        hosts.wait_until_well(WELL_S_MAX)
        wait_until(lambda: heard_after(producer, end), 'acknowledgements when all is well', WELL_S_MAX)
        times_us = [at_us for _, partition, _, at_us in producer.acks() if partition == 0]
        failed = producer.finish()['failed']
    if failed:
        raise AssertionError(f'the client was told of {failed} errors')
    return longest_silence_ms(times_us, begin, end)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--rounds', type=int, default=10)
    options.add_argument('--with-clients', action='store_true')
    given = options.parse_args()
    enter_namespaces()
    with tempfile.TemporaryDirectory(prefix='sluice-cut-off-') as directory, Hosts(3, pathlib.Path(directory)) as hosts:
        hosts.create_topic(TOPIC, 3)
        times = []
        for _ in range(given.rounds):
            times.append(silence_ms(hosts, cut_off_with_clients if given.with_clients else cut_off))
            print(f'{times[-1]:.0f} ms', flush=True)
    told = [f'{name} {value:.0f} ms (bar {bar})' for name, value, bar in zip(('median', 'p99'), median_and_p99(times), BARS_MS)]
    print(f'leader cut off{" with its clients" if given.with_clients else ""}: {", ".join(told)}, of {len(times)}')
    print(f'{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}')


if __name__ == '__main__':
    main()
