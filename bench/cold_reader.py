#!/usr/bin/env python3
"""A consumer of old records beside the hot tail: latencies of a producer and a consumer at the end of one topic, alone and while another topic is read
from its beginning, none of which is in memory; how much of the old topic is in memory meanwhile, and how much of the hot one after it. Rounds are
interleaved. Prints numbers and asserts nothing.

    bench/cold_reader.py --mib 2048 --rounds 3
Needs Linux 6.5 (cachestat)."""
import argparse
import ctypes
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tests/support'))
from cluster import BUILD, Cluster, run  # noqa: E402

LOAD = str(BUILD / 'bench_load')
CACHESTAT, PAGE = 451, os.sysconf('SC_PAGE_SIZE')
LIBC = ctypes.CDLL(None, use_errno=True)
MIB = 1 << 20


def cached_bytes(path):
    """How much of the file is in the page cache."""
    everything, counts = (ctypes.c_uint64 * 2)(0, 0), (ctypes.c_uint64 * 5)()
    with open(path, 'rb') as file:
        if LIBC.syscall(CACHESTAT, file.fileno(), everything, counts, 0) != 0:
            raise OSError(ctypes.get_errno(), 'cachestat')
    return counts[0] * PAGE


def logs(directory, topic):
    return sorted(directory.glob(f'**/{topic}-0/*.log'))


def cached_mib(directory, topic):
    return sum(map(cached_bytes, logs(directory, topic))) / MIB


def drop(directory, topic):
    for path in logs(directory, topic):
        with open(path, 'rb') as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def tail(bootstrap, seconds):
    return json.loads(run(LOAD, 'tail', bootstrap, 'hot', str(seconds), '1000', timeout=seconds + 60).stdout)


def beside(bootstrap, directory, mib, seconds):
    """The tail while the old topic is read again and again, for as long as the tail is measured."""
    measured = subprocess.Popen([LOAD, 'tail', bootstrap, 'hot', str(seconds), '1000'], stdout=subprocess.PIPE, text=True)
    most, rates = 0, []
    while measured.poll() is None:
        drop(directory, 'old')
        reader = subprocess.Popen([LOAD, 'consume', bootstrap, 'old', str(mib)], stdout=subprocess.PIPE, text=True)
        while reader.poll() is None:
            most = max(most, cached_mib(directory, 'old'))
            time.sleep(0.1)
        done = json.loads(reader.stdout.read())
        rates.append(done['bytes'] / 1e6 / done['seconds'])
    return json.loads(measured.stdout.read()), most, statistics.median(rates)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--mib', type=int, default=2048, help='of old records')
    options.add_argument('--rounds', type=int, default=3)
    options.add_argument('--seconds', type=int, default=15, help='of each measurement')
    options.add_argument('--durability', default='replicated')
    given = options.parse_args()
    with Cluster(1, settings=[f'durability={given.durability}']) as cluster:
        node = cluster.addresses[1]
        bootstrap, directory = node['kafka'], pathlib.Path(cluster.directory)
        cluster.create_topic('old', 1, 1, [f'segment.bytes={256 * MIB}'])
        cluster.create_topic('hot', 1, 1, [])
        run(LOAD, 'produce', bootstrap, 'old', str(given.mib + 64), '1000', timeout=900)
        run(LOAD, 'produce', bootstrap, 'hot', '256', '1000', timeout=900)
        rounds = []
        for n in range(given.rounds):
            alone = tail(bootstrap, given.seconds)
            hot_before = cached_mib(directory, 'hot')
            cold, most, rate = beside(bootstrap, directory, given.mib, given.seconds)
            hot = cached_mib(directory, 'hot')
            size = sum(path.stat().st_size for path in logs(directory, 'hot')) / MIB
            rounds.append((alone, cold))
            print(f'round {n + 1}: alone {json.dumps(alone)}\n         beside {json.dumps(cold)}\n'
                  f'         cold reader {rate:.0f} MB/s; of the old topic at most {most:.0f} MiB in memory; of the hot one {hot_before:.0f} MiB '
                  f'before, {hot:.0f} of {size:.0f} MiB after', flush=True)
    for what in ('acknowledged_ms', 'received_ms'):
        for quantile in ('p50', 'p99'):
            alone, cold = (statistics.median(r[i][what][quantile] for r in rounds) for i in (0, 1))
            print(f'{what} {quantile}: alone {alone:.2f}, beside a cold reader {cold:.2f}, ratio {cold / alone:.2f}')


if __name__ == '__main__':
    main()
