#!/usr/bin/env python3
"""Chaos: real nodes as hosts of their own, hurt again and again while producers and consumers write down what they are told; then all is healed, and what they
saw is judged.

    tests/chaos/chaos.py --minutes 10 --nodes 3
    tests/chaos/chaos.py --minutes 1 --seed 42 --only 'kill -9' --only loss
The seed decides which faults come, whom they hurt and for how long; what the cluster was doing at that moment it does not. Exit status: 0 when nothing was
wrong; else 1, and the logs, the history and the list of faults stay where the last line says."""
import argparse
import contextlib
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import foreign  # noqa: E402
from faults import FAULTS, choose_victims  # noqa: E402
from hosts import Hosts, enter_namespaces  # noqa: E402
from watched_clients import WatchedClients, told  # noqa: E402

TOPIC, PARTITIONS = 'chaos', 6
CALM_S, HURT_S = (1, 6), (0.5, 10)
WELL_S_MAX = 120
JAVA_CLIENT = str(pathlib.Path(__file__).with_name('ChaosClient.java'))


class Story:
    """What was done when; on the screen and in a file."""

    def __init__(self, directory):
        self.begin = time.monotonic()
        self.file = open(directory / 'story', 'w')
        self.counts = dict.fromkeys(FAULTS, 0)

    def tell(self, text):
        line = f'{time.monotonic() - self.begin:7.1f} s  {text}'
        print(line, flush=True)
        print(line, file=self.file, flush=True)


def hurt(hosts, names, rng, story):
    """One fault, or two of different kinds at the same time."""
    chosen = rng.sample(names, 2 if len(names) > 1 and rng.random() < 0.3 else 1)
    controller = hosts.active_controller()
    duration_s = rng.uniform(*HURT_S)
    taken = []
    with contextlib.ExitStack() as stack:
        for name in chosen:
            victims = [host for host in choose_victims(hosts, name, controller, rng) if host not in taken]
            # Two faults hurt different hosts, or one of them would have nobody to hurt.
            if not victims or (taken and name == 'ring'):
                continue
            taken += victims if name != 'ring' else hosts.all
            story.counts[name] += 1
            whom = ', '.join(f'{host.id}{"*" if host.id == controller else ""}' for host in victims)
            story.tell(f'{name}: host {whom} for {duration_s:.1f} s')
            stack.enter_context(FAULTS[name][0](hosts, victims, rng))
        time.sleep(duration_s)
    time.sleep(rng.uniform(*CALM_S))


def run_faults(given, hosts, clients, story):
    """Until the time is over or somebody ended who was not to; gives what is wrong."""
    rng = random.Random(given.seed)
    names = given.only or list(FAULTS)
    deadline = time.monotonic() + given.minutes * 60
    while time.monotonic() < deadline:
        hurt(hosts, names, rng, story)
        wrong = [f'the server of host {number} ended by itself' for number in hosts.crashed()] + clients.ended_early()
        if wrong:
            return wrong
    return []


def run_all(given, directory, story):
    with Hosts(given.nodes, directory) as hosts, WatchedClients(hosts.bootstrap(), TOPIC, PARTITIONS, directory) as clients:
        hosts.create_topic(TOPIC, PARTITIONS)
        for mode in ('produce', 'produce', 'follow', 'follow'):
            clients.start(mode)
        if given.java:
            for mode in ('produce', 'follow'):
                clients.start(mode, foreign.java_command(JAVA_CLIENT))
        wrong = run_faults(given, hosts, clients, story)
        story.tell('no faults any more')
        if not wrong:
            story.tell(f'all hosts are well after {hosts.wait_until_well(WELL_S_MAX):.1f} s')
            wrong = clients.finish()
        verdict, kinds = clients.judge()
        story.tell('asked: ' + ', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items())))
        return wrong + told(verdict)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--minutes', type=float, default=10)
    options.add_argument('--nodes', type=int, default=3, choices=(3, 5))
    options.add_argument('--seed', type=int, default=random.randrange(1 << 32))
    options.add_argument('--only', action='append', choices=FAULTS, help='this kind of fault; may be given several times')
    options.add_argument('--no-java', dest='java', action='store_false', help='without the Java clients, which Maven brings')
    given = options.parse_args()
    if '--seed' not in sys.argv:
        sys.argv += ['--seed', str(given.seed)]
    if given.java:
        foreign.java_classpath()  # where the network can be reached
    enter_namespaces()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    directory = pathlib.Path(tempfile.mkdtemp(prefix='sluice-chaos-'))
    story = Story(directory)
    story.tell(f'seed {given.seed}, {given.nodes} hosts, {given.minutes:g} minutes')
    try:
        wrong = run_all(given, directory, story)
    except (Exception, KeyboardInterrupt) as error:  # whatever it was, the logs are wanted
        wrong = [f'{type(error).__name__}: {error}']
    story.tell('faults: ' + ', '.join(f'{count} {name}' for name, count in story.counts.items() if count))
    for line in wrong:
        story.tell(line)
    if wrong:
        story.tell(f'FAILED: --seed {given.seed} --nodes {given.nodes}; logs, history and story: {directory}')
        sys.exit(1)
    story.tell('nothing lost, twice, out of order, from nowhere or stale; no offset went back')
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == '__main__':
    main()
