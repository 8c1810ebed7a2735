#!/usr/bin/env python3
"""Compaction beside Kafka's: the same log, written once, is cleaned by bench_compaction and by the cleaner of Apache Kafka 4.3.1 (default heap and
collector), in turns. Kafka's time goes from when it leads the partition (its epoch file) to when the cleaner's checkpoint has the last segment's
base; its memory is the broker's peak.

    bench/compaction.py --gib 10 --keys 4000000 --rounds 1
Needs Kafka's jars, as tests/compat does."""
import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tests/support'))
import foreign  # noqa: E402
from cluster import BUILD, free_base_port, run, wait_until  # noqa: E402

BENCH = os.environ.get('BENCH_COMPACTION', str(BUILD / 'bench_compaction'))


def fresh_copy(source, target):
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    run('cp', '-r', str(source / 'bench-0'), str(target), timeout=900)
    run('sync', timeout=900)


def ours(source, work, map_mib):
    fresh_copy(source, work / 'ours')
    result = json.loads(run(BENCH, 'clean', str(work / 'ours'), str(map_mib), timeout=3600).stdout)
    shutil.rmtree(work / 'ours')
    return {'seconds': result['seconds'], 'mb_per_s': result['log_mb_per_s'], 'rss_mb': result['peak_rss_mb']}


class Kafka:
    def __init__(self, work):
        self.directory = work / 'kafka'
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir()
        self.data, self.log = self.directory / 'data', self.directory / 'log'
        port = free_base_port(1)
        self.bootstrap = f'127.0.0.1:{port}'
        self.config = self.directory / 'server.properties'
        settings = {'process.roles': 'broker,controller', 'node.id': 1, 'controller.quorum.voters': f'1@127.0.0.1:{port + 3}',
                    'listeners': f'PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{port + 3}', 'controller.listener.names': 'CONTROLLER',
                    'log.dirs': self.data, 'log.cleaner.backoff.ms': 200}
        self.config.write_text(''.join(f'{key}={value}\n' for key, value in settings.items()))
        self.java = ['java', '-Xmx1G', '-Xms1G', '-XX:+UseG1GC', '-cp', foreign.java_classpath()]
        run(*self.java, 'kafka.tools.StorageTool', 'format', '-t', '4L6g3nShT-eMCtK--X86sw', '-c', str(self.config))

    def start(self):
        with open(self.log, 'a') as log:
            self.process = subprocess.Popen([*self.java, 'kafka.Kafka', str(self.config)], stdout=log, stderr=log, cwd=self.directory)
        wait_until(lambda: run('kcat', '-b', self.bootstrap, '-L', '-m', '2', check=False).returncode == 0, 'Kafka up', 120)

    def stop(self):
        self.process.terminate()
        self.process.wait(120)

    def peak_mb(self):
        status = pathlib.Path(f'/proc/{self.process.pid}/status').read_text()
        return int(re.search(r'VmHWM:\s+(\d+)', status).group(1)) / 1024


def kafkas(source, work):
    kafka = Kafka(work)
    kafka.start()
    try:
        run(*kafka.java[:1], '-cp', foreign.java_classpath(), 'org.apache.kafka.tools.TopicCommand', '--bootstrap-server', kafka.bootstrap,
            '--create', '--topic', 'bench', '--config', 'cleanup.policy=compact', '--config', f'segment.bytes={256 << 20}',
            '--config', 'min.cleanable.dirty.ratio=0.01')
        kafka.stop()
        topic = kafka.data / 'bench-0'
        for path in topic.iterdir():
            if path.name != 'partition.metadata':
                path.unlink()
        for path in (source / 'bench-0').iterdir():
            if path.name != 'partition.metadata':
                shutil.copy(path, topic)
        run('sync', timeout=900)
        size = sum(path.stat().st_size for path in topic.glob('*.log'))
        kafka.start()
        active = max(int(path.stem) for path in topic.glob('*.log'))
        checkpoint = kafka.data / 'cleaner-offset-checkpoint'
        wait_until(lambda: checkpoint.exists() and f'bench 0 {active}' in checkpoint.read_text().splitlines(), 'Kafka has cleaned', 3600)
        seconds = checkpoint.stat().st_mtime - (topic / 'leader-epoch-checkpoint').stat().st_mtime
        peak = kafka.peak_mb()
    finally:
        kafka.process.kill()
        kafka.process.wait()
    shutil.rmtree(kafka.directory)
    return {'seconds': round(seconds, 2), 'mb_per_s': round(size / 1e6 / seconds, 1), 'rss_mb': round(peak, 1)}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--gib', type=float, default=1)
    options.add_argument('--keys', type=int, default=1_000_000)
    options.add_argument('--rounds', type=int, default=3)
    options.add_argument('--map-mib', type=int, default=128, help='of bench_compaction; Kafka has 128')
    options.add_argument('--directory', help='for the logs; a temporary one when absent')
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.directory) as name:
        work = pathlib.Path(name)
        (work / 'filled').mkdir()
        print('filled:', run(BENCH, 'fill', str(work / 'filled'), str(given.gib), str(given.keys), timeout=3600).stdout.strip(), flush=True)
        rounds = []
        for n in range(given.rounds):
            rounds.append((ours(work / 'filled', work, given.map_mib), kafkas(work / 'filled', work)))
            print(f'round {n + 1}: ours {json.dumps(rounds[-1][0])} Kafka {json.dumps(rounds[-1][1])}', flush=True)
    rate = statistics.median(a['mb_per_s'] / b['mb_per_s'] for a, b in rounds)
    memory = statistics.median(a['rss_mb'] / b['rss_mb'] for a, b in rounds)
    print(f'ours to Kafka, median of {len(rounds)}: rate {rate:.2f}, memory {memory:.2f} (bar: at least 1, at most 0.25)')


if __name__ == '__main__':
    main()
