"""Faults, each a context: inside it the cluster is hurt, after it it is not. `describe` says what was done, to whom."""
import contextlib
import itertools
import os
import pathlib
import signal
import subprocess
import sys

from hosts import KAFKA_PORT, GRPC_PORT

RELAY = str(pathlib.Path(__file__).with_name('relay.py'))
RELAY_PORT, RELAY_MARK = 7000, 7
MIB = 1 << 20
RELAY_READY_S = 10
TABLES = itertools.count(1)


@contextlib.contextmanager
def killed(hosts, victims, _):
    for host in victims:
        host.end(signal.SIGKILL)
    yield
    for host in victims:
        host.start()


@contextlib.contextmanager
def stopped_in_order(hosts, victims, _):
    victims[0].end(signal.SIGTERM, timeout_s=60)
    yield
    victims[0].start()


@contextlib.contextmanager
def paused(hosts, victims, _):
    for host in victims:
        host.send(signal.SIGSTOP)
    yield
    for host in victims:
        host.send(signal.SIGCONT)


@contextlib.contextmanager
def packets(rules):
    """`rules`: for each host the packets to it that something befalls, in nftables' words."""
    table = f'chaos_{next(TABLES)}'  # two faults may befall one host
    for host, lines in rules.items():
        host.nft(f'table inet {table} {{', 'chain input { type filter hook input priority 0;', *lines, '}', '}')
    yield
    for host in rules:
        host.nft(f'delete table inet {table}')


def dropped(sources):
    return [f'ip saddr {host.address} drop' for host in sources]


def cut_one_way(hosts, victims, rng):
    """The others hear the victim, and it hears nobody; or the other way round."""
    others = [host for host in hosts.all if host not in victims]
    if rng.random() < 0.5:
        return packets({victims[0]: dropped(others)})
    return packets({host: dropped(victims) for host in others})


def cut_off(hosts, victims, _):
    """Victims and others hear nothing of each other; clients reach all."""
    others = [host for host in hosts.all if host not in victims]
    return packets({**{host: dropped(victims) for host in others}, **{host: dropped(others) for host in victims}})


def cut_off_with_clients(hosts, victims, _):
    """Nobody reaches the victims."""
    return packets({host: ['ip saddr 0.0.0.0/0 drop'] for host in victims})


def ring(hosts, _, rng):
    """Each host and its two neighbours hear each other; of three hosts, two do not."""
    order = hosts.all[:]
    rng.shuffle(order)
    count = len(order)
    if count == 3:
        return packets({order[0]: dropped([order[2]]), order[2]: dropped([order[0]])})
    return packets({order[i]: dropped([order[(i + k) % count] for k in range(2, count - 1)]) for i in range(count)})


def loss(hosts, victims, rng):
    percent = rng.choice([5, 20, 50])
    return packets({host: [f'numgen random mod 100 < {percent} drop'] for host in victims})


@contextlib.contextmanager
def delayed(hosts, victims, rng):
    """New connections of the victims to others are slow; those that they have are reset, so that they make new ones."""
    delay_ms = rng.choice([5, 50, 200])
    with contextlib.ExitStack() as stack:
        for host in victims:
            relay = subprocess.Popen(host.inside(sys.executable, RELAY, str(RELAY_PORT), str(delay_ms), str(RELAY_MARK)), stdout=subprocess.PIPE, text=True)
            stack.callback(relay.wait, RELAY_READY_S)
            stack.callback(relay.kill)
            relay.stdout.readline()
            host.nft('table ip relay {', 'chain output { type nat hook output priority -100;',
                     f'tcp dport {{ {KAFKA_PORT}, {GRPC_PORT} }} ip daddr != {host.address} meta mark != {RELAY_MARK} redirect to :{RELAY_PORT}', '}',
                     # A connection from before has no entry that the redirection made.
                     'chain broken { type filter hook output priority 0;',
                     f'tcp dport {{ {KAFKA_PORT}, {GRPC_PORT} }} ip daddr != {host.address} ip daddr != 127.0.0.0/8 meta mark != {RELAY_MARK} reject with tcp reset', '}', '}')
            stack.callback(host.nft, 'delete table ip relay')
        yield


@contextlib.contextmanager
def full_disk(hosts, victims, _):
    host = victims[0]
    ballast = host.disk / 'ballast'
    room = os.statvfs(host.disk)
    with open(ballast, 'wb') as file:
        os.posix_fallocate(file.fileno(), 0, max(MIB, room.f_bavail * room.f_frsize - MIB))
    yield
    ballast.unlink()


@contextlib.contextmanager
def traced(host, injection):
    tracer = subprocess.Popen(['strace', '-f', '-q', '-o', '/dev/null', '-e', 'trace=fdatasync,fsync', '-e', f'inject=fdatasync,fsync:{injection}',
                               '-p', str(host.process.pid)], stderr=subprocess.DEVNULL)
    yield
    tracer.terminate()  # it lets go of the process first
    tracer.wait(30)


@contextlib.contextmanager
def failing_disk(hosts, victims, rng):
    """One flush fails: the node has to end, and comes back."""
    host = victims[0]
    host.ended_by_us = True
    with traced(host, f'error=EIO:when={rng.randrange(1, 50)}'):
        yield
    host.end(signal.SIGKILL)
    host.start()


@contextlib.contextmanager
def slow_disk(hosts, victims, rng):
    with traced(victims[0], f'delay_enter={rng.choice([20, 100, 500])}ms'):
        yield


@contextlib.contextmanager
def clock_step(hosts, victims, rng):
    host = victims[0]
    host.clock.write_text(f'{rng.choice([-3600, -5, 5, 3600]):+d}\n')
    yield
    host.clock.write_text('+0\n')


# name: (what does it, how many it hurts: one, or up to all but one, or all)
FAULTS = {
    'kill -9': (killed, 'all'),
    'SIGTERM': (stopped_in_order, 'one'),
    'SIGSTOP': (paused, 'some'),
    'one way': (cut_one_way, 'one'),
    'both ways': (cut_off, 'some'),
    'off the network': (cut_off_with_clients, 'some'),
    'ring': (ring, 'one'),
    'loss': (loss, 'all'),
    'delay': (delayed, 'all'),
    'full disk': (full_disk, 'one'),
    'failing disk': (failing_disk, 'one'),
    'slow disk': (slow_disk, 'one'),
    'clock': (clock_step, 'one'),
}


def choose_victims(hosts, name, controller, rng):
    """Often the active controller is among them."""
    if name == 'clock':
        return hosts.all[-1:]  # the one that has a clock of its own
    how_many = FAULTS[name][1]
    count = {'one': 1, 'some': rng.randrange(1, len(hosts.all)), 'all': rng.randrange(1, len(hosts.all) + 1)}[how_many]
    # Most faults hurt a minority: what survives has to go on.
    if rng.random() < 0.7:
        count = min(count, (len(hosts.all) - 1) // 2)
    victims = rng.sample(hosts.all, count)
    active = next((host for host in hosts.all if host.id == controller), None)
    if active is not None and active not in victims and rng.random() < 0.4:
        victims[0] = active
    return victims
