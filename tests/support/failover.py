"""How long a producer hears nothing when a node goes: librdkafka with its defaults, acks=all, 500 records a second into one partition of three replicas. The
clusters are three real processes each, of Sluice or (bench/failover.py) of Kafka."""
import contextlib
import os
import signal
import statistics
import time

from cluster import SteadyProducer, wait_until

# Of one partition; and of as many as there are nodes, so that each leads one.
TOPIC, SPREAD, RATE = 'orders', 'spread', 500
# A fault lasts until acknowledgements come again, or so long. Then all is well again within that, and acknowledgements come within that.
SILENT_S_MAX, WELL_S_MAX, RESUMED_S_MAX = 15, 60, 90
# How long acknowledgements have to have come before a fault.
STEADY_S = 1.0
# What comes after the first acknowledgement, as the second pause of a client that was told wrong, belongs to the fault too.
WINDOW_S = 2.0

PLANNED = 'planned stop'
# Median and p99 of the longest silence, in ms; of a planned stop only the p99.
BARS_MS = {'leader killed': (150, 500), 'leader stopped': (900, 1300), 'leader and controller killed': (400, 1000),
           PLANNED: (None, 150), 'follower killed': (None, 150), 'follower stopped': (None, 900)}


def longest_silence_ms(times_us, begin_s, end_s):
    """The longest time between two acknowledgements that touches the window."""
    gaps = [b - a for a, b in zip(times_us, times_us[1:]) if b > begin_s * 1e6 and a < end_s * 1e6]
    return max(gaps) / 1000


class Failover:
    """`with Failover(cluster) as failover: failover.round('leader killed')` gives the longest silence in ms; all is well again after it. The cluster is a
    `Cluster` or has of it what is used here."""

    def __init__(self, cluster):
        self.cluster = cluster
        cluster.create_topic(TOPIC, 1, 3)
        cluster.create_topic(SPREAD, 3, 3)
        self.topic, self.producer = TOPIC, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.producer is not None:
            self.producer.abandon()

    def leader(self):
        return self.cluster.partitions(self.topic)[0]['leader']

    def place_leaders(self, controller_leads):
        """The active controller leads the first partition, or another node does; of the spread topic each node leads one."""
        if self.topic == SPREAD:
            self.cluster.elect_preferred_leaders()
        leader = self.leader()
        if (self.cluster.active_controller() == leader) == controller_leads:
            return leader
        self.part(leader, controller_leads)
        wait_until(lambda: self.well() and (self.cluster.active_controller() == self.leader()) == controller_leads,
                   'the controller and the leader are where they should be', WELL_S_MAX)
        return self.leader()

    def part(self, leader, controller_leads):
        """Brings the two together, or apart."""
        self.cluster.transfer_controller(leader if controller_leads else next(node for node in self.cluster.addresses if node != leader))

    def well(self):
        return (len(self.cluster.live_nodes()) == self.cluster.nodes and self.cluster.active_controller() is not None
                and self.cluster.fully_in_sync(TOPIC) and self.cluster.fully_in_sync(SPREAD))

    def start_producer(self):
        """A new one for each round: the connections of an older one depend on what it went through."""
        self.producer = SteadyProducer(self.cluster, self.topic, rate=RATE, idempotent=False, defaults=True)
        self.producer.wait_for_acks(int(STEADY_S * RATE), RESUMED_S_MAX)

    def times_us(self):
        """Of acknowledgements of the first partition."""
        return [at_us for _, partition, _, at_us in self.producer.acks() if partition == 0]

    def round(self, what):
        # A process that is stopped closes nothing, and no server can tell a client that has no connection but to it and one more (broker/lost_leaders.h).
        self.topic = SPREAD if what == 'leader stopped' else TOPIC
        wait_until(self.well, 'all is well before a round', WELL_S_MAX)
        leader = self.place_leaders(controller_leads='controller' in what)
        # Never the controller, or it would be a figure of its own.
        victim = leader if 'leader' in what else next(node for node in self.cluster.addresses if node not in (leader, self.cluster.active_controller()))
        self.start_producer()
        begin = time.monotonic()
        self.fault(what, victim)
        with contextlib.suppress(AssertionError):  # who is not told until all is well again was silent for that long
            wait_until(lambda: self.heard_after(begin + WINDOW_S), f'acknowledgements after: {what}', SILENT_S_MAX)
        end = time.monotonic()
        self.heal(what, victim)
        wait_until(lambda: self.heard_after(end), f'acknowledgements when all is well after: {what}', RESUMED_S_MAX)
        silence_ms = longest_silence_ms(self.times_us(), begin, end)
        self.end_producer()
        return silence_ms

    def heard_after(self, at_s):
        if time.monotonic() < at_s:
            return False
        return self.times_us()[-1] > at_s * 1e6

    def fault(self, what, node):
        os.kill(self.cluster.pid(node), signal.SIGSTOP if 'stopped' in what else signal.SIGKILL)

    def heal(self, what, node):
        if 'stopped' in what:
            os.kill(self.cluster.pid(node), signal.SIGCONT)
        else:
            self.cluster.start(node)
        wait_until(self.well, f'all is well after: {what}', WELL_S_MAX)

    def end_producer(self):
        summary = self.producer.finish()
        self.producer = None
        if summary['failed']:
            raise AssertionError(f'the client was told of {summary["failed"]} errors')

    def rolling_restart(self):
        """Each node in turn is stopped cleanly, started, and in sync again. Gives the longest silence for each node, its start included."""
        self.topic = TOPIC
        wait_until(self.well, 'all is well before a round', WELL_S_MAX)
        self.start_producer()
        windows = []
        for node in self.cluster.addresses:
            begin = time.monotonic()
            self.cluster.stop_node(node)
            self.cluster.start(node)
            wait_until(self.well, f'node {node} is in sync again', WELL_S_MAX)
            wait_until(lambda at=time.monotonic(): self.heard_after(at), 'acknowledgements after a restart', RESUMED_S_MAX)
            windows.append((begin, time.monotonic()))
        silences_ms = [longest_silence_ms(self.times_us(), *window) for window in windows]
        self.end_producer()
        return silences_ms


def median_and_p99(values):
    values = sorted(values)
    return statistics.median(values), values[-(-99 * len(values) // 100) - 1]
