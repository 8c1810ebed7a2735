"""What members of a group notice when their coordinator is killed with -9: how long none of them gets through with a commit, a heartbeat, or a record of one
partition, and whether anybody who is well has to rebalance. The members are librdkafka's, with its defaults (tests/compat/watched_member.py)."""
import subprocess
import threading
import time

import foreign
from cluster import OFFSETS_TOPIC, SteadyProducer, partition_of_group, wait_until

TOPIC, PARTITIONS, RATE = 'orders', 6, 1000
# What a kill leads to is over by then, or the figure is lost anyway.
WINDOW_S = 4


class Watched:
    """A member; `events` grows: (what, time, detail)."""

    def __init__(self, python, cluster, group, settings):
        self.events = []
        self.process = subprocess.Popen([python, str(foreign.COMPAT / 'watched_member.py'), cluster.bootstrap(), group, TOPIC, *settings],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def follow(self):
        for line in self.process.stdout:
            what, at, *detail = line.split(' ', 2)
            self.events.append((what, float(at), ''.join(detail).strip()))

    def count(self, what):
        return sum(1 for event in list(self.events) if event[0] == what)

    def times(self, what, detail=None):
        return [at for kind, at, said in list(self.events) if kind == what and detail in (None, said)]

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self.process.wait()
            self.thread.join()
            self.process.stdout.close()


def longest_gap(times, begin, end):
    """The longest time between two of them that touches the window."""
    times = sorted(times)
    return max((b - a for a, b in zip(times, times[1:]) if b > begin and a < end), default=end - begin)


class CoordinatorKills:
    """`with CoordinatorKills(cluster) as kills: kills.kill()` gives the figures of one kill, in seconds; all is well again after it."""

    def __init__(self, cluster, members=3, settings=()):
        self.cluster, self.group = cluster, 'watched'
        cluster.create_topic(TOPIC, PARTITIONS, 3)
        self.python = foreign.python_with_clients()
        self.producer = SteadyProducer(cluster, TOPIC, rate=RATE)
        self.members = [Watched(self.python, cluster, self.group, settings) for _ in range(members)]

    def __enter__(self):
        try:
            self.wait_until_settled()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for member in self.members:
            member.end()
        self.producer.abandon()

    def wait_until_settled(self):
        """Each member has partitions, all together read all of them, and nobody has been assigned anything for a while."""
        def settled():
            now = time.monotonic()
            read = [{detail for what, at, detail in list(member.events) if what == 'record' and at > now - 1} for member in self.members]
            quiet = all(at < now - 4 for member in self.members for what in ('assigned', 'revoked') for at in member.times(what))
            return quiet and all(read) and sum(map(len, read)) == PARTITIONS == len(set().union(*read))
        wait_until(settled, 'the group is settled', 60)
        self.rebalances = self.count_rebalances()

    def count_rebalances(self):
        return sum(member.count(what) for member in self.members for what in ('assigned', 'revoked'))

    def coordinator(self):
        partitions = self.cluster.partitions(OFFSETS_TOPIC)
        return partitions[partition_of_group(self.group, len(partitions))]['leader']

    def kill(self):
        node = self.coordinator()
        begin = time.monotonic()
        self.cluster.kill(node)
        end = begin + WINDOW_S
        wait_until(lambda: time.monotonic() > end and all(any(at > end for at in member.times('commit')) for member in self.members), 'all commit again', 60)
        figures = {'commit': max(longest_gap(member.times('commit'), begin, end) for member in self.members),
                   'record': max(longest_gap([at for member in self.members for at in member.times('record', str(partition))], begin, end)
                                 for partition in range(PARTITIONS))}
        self.cluster.start(node)
        wait_until(lambda: len(self.cluster.live_nodes()) == self.cluster.nodes and self.cluster.fully_in_sync(OFFSETS_TOPIC)
                   and self.cluster.fully_in_sync(TOPIC), 'all in sync again', 60)
        # By its interval; what is above that is the coordinator's.
        figures['heartbeat'] = max(longest_gap(member.times('heartbeat'), begin, end) for member in self.members)
        return {'node': node, **figures, 'rebalances': self.count_rebalances() - self.rebalances}
