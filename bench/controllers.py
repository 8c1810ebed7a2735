#!/usr/bin/env python3
"""Three real controllers and many partitions, beside brokers that have no logs (bench_simulated_brokers: they register, listen, send heartbeats and read
the feed; all on this machine, so its cores are shared). Tells

- how long it takes from the death of a broker, by its connections (kill) or in silence (600 ms of session), until every other one has read in the feed
  that it leads nothing any more;
- how long nobody is active when the active controller hands over, or is killed: until a request sent then is committed, and the longest time
  between two answered heartbeats of a broker;
- how long a controller takes to start, by its log alone and by a snapshot, and the loading of the snapshot in it;
- what the controllers have resident.

    bench/controllers.py --partitions 100000 --brokers 10
    bench/controllers.py --partitions 1000000 --brokers 10"""
import argparse
import os
import pathlib
import re
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tests/support'))
from cluster import SLUICE, run, wait_until  # noqa: E402
from controllers import DEATH_BAR_S, SETTLED_S_MAX, VOTERS, Controllers, SimulatedBrokers  # noqa: E402

LOADED = re.compile(r'snapshot \d+ is loaded, in (\d+) ms')


def deaths(brokers, given):
    """The brokers die one after the other, from the last."""
    victims = list(range(given.brokers, given.brokers - 2 * given.rounds, -1))
    for kind in ('kill', 'silence'):
        times = []
        for _ in range(given.rounds):
            times.append(brokers.tell(kind, victims.pop(0)))
            brokers.tell('ask')
            time.sleep(1)  # the brake on fencing counts those of a session
        rounds = ', '.join(f'{seconds:.3f}' for seconds in times)
        print(f'{kind}: all leaders moved, as all brokers know, after {statistics.median(times):.3f} s ({rounds}; bar: {DEATH_BAR_S} s)', flush=True)


def takeovers(controllers, brokers, given):
    for kind in ('transfer', 'kill -9'):
        times = []
        for _ in range(given.rounds):
            active = wait_until(controllers.active, 'an active controller', SETTLED_S_MAX)
            brokers.tell('ask')
            time.sleep(2)
            brokers.tell('gap')
            if kind == 'transfer':
                target = active % len(VOTERS) + 1
                begin = time.monotonic()
                run(SLUICE, 'quorum', 'transfer', str(target), '--server', controllers.grpc(active))
            else:
                controllers.kill(active)
                begin = time.monotonic()
            brokers.tell('ask')
            times.append((time.monotonic() - begin, brokers.tell('gap')))
            if kind != 'transfer':
                controllers.start(active)
        asked, gaps = zip(*times)
        print(f'{kind} of the active controller: a request is committed after {statistics.median(asked):.3f} s '
              f'({", ".join(f"{each:.3f}" for each in asked)}), longest without a heartbeat\'s answer {max(gaps):.3f} s', flush=True)


def starts(controllers):
    active = wait_until(controllers.active, 'an active controller', SETTLED_S_MAX)
    node = active % len(VOTERS) + 1
    controllers.kill(node)
    first = controllers.start(node, 'metadata.log.max.snapshot.interval.ms=1000')
    time.sleep(20)  # the snapshot is taken
    controllers.kill(node)
    size = sum(path.stat().st_size for path in (controllers.directory / f'data-{node}').glob('**/*.checkpoint'))
    second = controllers.start(node)
    time.sleep(3)
    loaded = LOADED.findall(controllers.log(node).read_text())
    print(f'a follower starts: as it was killed {first:.2f} s, from a snapshot {second:.2f} s, of which loading it {int(loaded[-1]) / 1e3 if loaded else -1:.2f} s '
          f'(bar: 2 s; {size / 1e6:.0f} MB of snapshots)', flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--partitions', type=int, default=100000)
    options.add_argument('--topic-partitions', type=int, default=1000)
    options.add_argument('--brokers', type=int, default=10)
    options.add_argument('--rounds', type=int, default=2)
    options.add_argument('--only', choices=('deaths', 'takeovers', 'starts'), action='append')
    given = options.parse_args()
    only = given.only or ('deaths', 'takeovers', 'starts')
    topics = given.partitions // given.topic_partitions
    with Controllers() as controllers:
        controllers.show_memory('without partitions')
        with SimulatedBrokers(controllers, given.brokers) as brokers:
            seconds = brokers.tell('create', topics, given.topic_partitions, 'topic-')
            print(f'{given.partitions} partitions in {topics} topics are created in {seconds:.1f} s, longest without a heartbeat\'s answer '
                  f'{brokers.tell("gap"):.3f} s', flush=True)
            controllers.show_memory('with them')
            if 'takeovers' in only:
                takeovers(controllers, brokers, given)
            if 'starts' in only:
                starts(controllers)
            if 'deaths' in only:
                deaths(brokers, given)
            controllers.show_memory('at the end')
            print(f'fenced {controllers.said("is fenced")} times, stood still {controllers.said("stood still")} times, '
                  f'{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}', flush=True)


if __name__ == '__main__':
    main()
