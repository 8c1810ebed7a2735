#!/usr/bin/env python3
"""Sluice beside Apache Kafka 4.3.1 and beside a bare server (bench/floor), in one run on this machine: rounds in turn, the same topics, the same load, medians
and spreads of the ratios. docs/performance.md says how to read it.

    bench/compare.py                                 everything; about two hours
    bench/compare.py --only produce-1k --rounds 3    by name, or by the beginning of several names
    bench/compare.py --smoke                         every scenario in seconds: whether it runs, not how fast
    bench/compare.py --profile produce-1k            a flame graph of Sluice's processes while that runs
Needs what `make bench` builds, and Kafka's jars, which Maven brings."""
import argparse
import contextlib
import json
import pathlib
import signal
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from speed import footprint, machine, many, plot, profile, report, rounds, systems  # noqa: E402
from speed.scenarios import SCENARIOS, chosen  # noqa: E402
from cluster import BUILD  # noqa: E402

ROUNDS = 5
# Those that start servers of their own.
ALONE = {'footprint': footprint.measure, 'many': many.measure}


def together(scenarios, count, directory, smoke, output):
    """Scenarios that share servers: those of one number of nodes, all running side by side."""
    names = [name for name in ('kafka', 'fsync', 'replicated', 'floor') if any(name in each.systems for each in scenarios)]
    with contextlib.ExitStack() as stack:
        running = systems.started(stack, names, scenarios[0].nodes, directory)
        for scenario in scenarios:
            with output.noting(scenario) as found:
                found += rounds.measure(scenario, running, count, directory, smoke)


def measure(scenarios, count, directory, smoke, output):
    for nodes in (1, 3):
        shared = [each for each in scenarios if each.nodes == nodes and each.kind not in ALONE]
        if shared:
            together(shared, count, directory, smoke, output)
        for scenario in scenarios:
            if scenario.nodes == nodes and scenario.kind in ALONE:
                with output.noting(scenario) as found:
                    found += ALONE[scenario.kind](scenario, scenario.systems, count, directory)


class Output:
    """Writes what there is after each scenario: a run that is ended early leaves what it found."""

    def __init__(self, directory, scenarios, data, smoke):
        self.directory, self.scenarios, self.results, self.smoke = directory, scenarios, {}, smoke
        self.machine, self.settings = machine.describe(data), machine.settings()
        self.failed = []
        directory.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def noting(self, scenario):
        """Takes the rounds that its body adds to what it is given. One scenario that fails does not end the others."""
        found = []
        try:
            yield found
        except AssertionError as failure:
            print(f'{scenario.name} FAILED: {failure}', file=sys.stderr, flush=True)
            self.failed.append(scenario.name)
        else:
            self.note(scenario, found)

    def note(self, scenario, found):
        self.results[scenario.name] = found
        (self.directory / 'results.json').write_text(json.dumps(report.as_json(self.scenarios, self.results, self.machine, self.settings), indent=1) + '\n')
        (self.directory / 'results.txt').write_text(self.text())
        caption = f'{self.machine["cores"]} cores, {self.machine["memory_gib"]} GiB, Linux {self.machine["kernel"]}, Kafka {self.machine["kafka"]}'
        (self.directory / 'ratios.svg').write_text(plot.svg(self.results, caption))

    def text(self):
        return report.text(self.scenarios, self.results, self.machine, self.settings, self.smoke)


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=ROUNDS)
    parser.add_argument('--only', action='append', default=[], metavar='NAME', help='several are given by several options, or with commas')
    parser.add_argument('--smoke', action='store_true')
    parser.add_argument('--list', action='store_true', help='the names')
    parser.add_argument('--directory', type=lambda text: pathlib.Path(text).resolve(), help='where all servers have their data; a temporary one there is removed at the end')
    parser.add_argument('--output', type=pathlib.Path, default=BUILD / 'bench', help='results.txt, results.json, ratios.svg, flame graphs')
    parser.add_argument('--profile', metavar='NAME')
    parser.add_argument('--system', default='replicated', choices=('kafka', 'fsync', 'replicated', 'floor'), help='whose profile')
    return parser.parse_args()


def main():
    given = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers are ended, and their files removed
    if given.list:
        print(*(f'{each.name:20} {each.about}' for each in SCENARIOS.values()), sep='\n')
        return 0
    wanted = [given.profile] if given.profile else [name for text in given.only for name in text.split(',')]
    try:
        scenarios = chosen(wanted, given.smoke)
    except KeyError as unknown:
        print(f'compare.py: no scenario begins with {unknown}; --list gives them', file=sys.stderr)
        return 2
    if given.directory:
        given.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='bench-', dir=given.directory) as data:
        if given.profile:
            print(profile.record(scenarios[0], given.system, data, given.output))
            return 0
        output = Output(given.output, scenarios, data, given.smoke)
        measure(scenarios, given.rounds, data, given.smoke, output)
    print(output.text(), end='')
    print(f'written: {given.output}/results.txt, results.json, ratios.svg')
    if output.failed:
        print('not measured:', *output.failed)
    return 1 if output.failed else 0


if __name__ == '__main__':
    sys.exit(main())
