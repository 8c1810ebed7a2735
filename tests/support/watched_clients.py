"""Producers and consumers that write down what they asked and were told (tests/chaos/chaos_client.cc), and the verdict on it (check_history)."""
import collections
import contextlib
import json
import pathlib
import subprocess

from cluster import BUILD

CLIENT = str(BUILD / 'chaos_client')
CHECK_HISTORY = str(BUILD / 'check_history')
# A client gives up by itself, with a line that says what it waited for; this is for one that does not.
END_S_MAX = 150
SHOWN_MAX = 20


class WatchedClients:
    """`with WatchedClients(bootstrap, topic, partitions, directory) as clients:` ends them whatever happens."""

    def __init__(self, bootstrap, topic, partitions, directory):
        self.given = [bootstrap, topic, str(partitions)]
        self.directory = pathlib.Path(directory)
        self.processes = {}  # by name, in the order of their start
        self.all_read = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.communicate()

    def start(self, mode, command=(CLIENT,)):
        """`mode` is `produce`, `follow` or `read`, for whatever program understands what chaos_client does."""
        number = len(self.processes) + 1
        name = f'client-{number}-{mode}'
        with open(self.directory / f'{name}.log', 'w') as log:
            self.processes[name] = subprocess.Popen([*command, mode, *self.given, str(number), str(self.directory / f'{name}.history')],
                                                    stdin=subprocess.PIPE, stdout=log, stderr=log)

    def ended_early(self):
        """Those that gave up, with what they said."""
        return [f'{name}: {self.said(name)}' for name, process in self.processes.items() if process.poll() not in (None, 0)]

    def said(self, name):
        return (self.directory / f'{name}.log').read_text(errors='replace').strip()[-500:]

    def finish(self):
        """Nothing is hurt any more: producers get all acknowledged, then everything is read once more, by librdkafka. Gives what went wrong with it."""
        waiting = []
        for kind in ('produce', 'follow'):
            names = [name for name in self.processes if name.endswith(kind)]
            for name in names:
                self.processes[name].stdin.close()
            waiting += [name for name in names if not self.ended(name)]
        self.start('read')
        self.all_read = self.ended(list(self.processes)[-1])
        return self.ended_early() + [f'{name} still waits {END_S_MAX} s after the last fault' for name in waiting]

    def ended(self, name):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.processes[name].wait(END_S_MAX)
        return self.processes[name].poll() is not None

    def judge(self):
        """The verdict of check_history on all that the clients saw, and how many operations there were of each kind."""
        history = self.directory / 'history'
        kinds = collections.Counter()
        with open(history, 'w') as out:
            out.write('{"idempotent": true}\n')
            for part in sorted(self.directory.glob('client-*.history')):
                for line in part.read_text().splitlines():
                    out.write(line + '\n')
                    operation = json.loads(line)
                    kind = next(kind for kind in ('send', 'poll', 'commit', 'fetch', 'end') if kind in operation)
                    kinds[kind + ('' if operation['outcome'] == 'ok' else f' ({operation["outcome"]})')] += 1
        done = subprocess.run([CHECK_HISTORY, str(history)], capture_output=True, text=True, timeout=300)
        if done.returncode not in (0, 1):
            raise AssertionError(f'check_history ended with {done.returncode}: {done.stderr}')
        verdict = json.loads(done.stdout)
        if not self.all_read:  # nobody came to the end, and that proves nothing
            verdict['anomalies'] = [anomaly for anomaly in verdict['anomalies'] if anomaly['kind'] != 'unread']
        return verdict, kinds


def told(verdict):
    """Lines about anomalies: how many of each kind, and some of them."""
    counts = collections.Counter(anomaly['kind'] for anomaly in verdict['anomalies'])
    lines = [f'{count} {kind}' for kind, count in counts.most_common()]
    return lines + [f'  {anomaly["kind"]}: {anomaly["what"]}' for anomaly in verdict['anomalies'][:SHOWN_MAX]]
