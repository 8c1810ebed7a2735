"""first_look [--rounds N] [--mib M]: server CPU-seconds for each GB produced (1 KiB records, acks=all, one replica) and consumed, Sluice in both durability
modes beside Apache Kafka 4.3.1 with its own defaults, one node each, rounds interleaved in one run. Prints the medians and their ratios; asserts nothing."""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tests/support'))
import foreign  # noqa: E402
from cluster import BUILD, Cluster, free_base_port, run, wait_until  # noqa: E402

LOAD = str(BUILD / 'bench_load')
# Small segments and little retention, so that the page cache is recycled: a first touch of a fresh page costs more than the write itself.
TOPIC_CONFIGS = {'segment.bytes': '67108864', 'retention.bytes': '536870912'}


def cpu_seconds(pid):
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def rss_mib(pid):
    for line in pathlib.Path(f'/proc/{pid}/status').read_text().splitlines():
        if line.startswith('VmRSS:'):
            return int(line.split()[1]) / 1024


class Kafka:
    """One node of Apache Kafka, formatted and started from its jars."""
    name = 'kafka'

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='kafka-bench-'))
        port = free_base_port(1)
        self.bootstrap = f'127.0.0.1:{port}'
        config = self.directory / 'server.properties'
        config.write_text(f'process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{port + 3}\n'
                          f'listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{port + 3}\n'
                          f'controller.listener.names=CONTROLLER\nlog.dirs={self.directory}/data\n'
                          'offsets.topic.replication.factor=1\n')
        java = ['java', '-Xmx1G', '-Xms1G', '-XX:+UseG1GC', '-cp', foreign.java_classpath()]
        run(*java, 'kafka.tools.StorageTool', 'format', '-t', '4L6g3nShT-eMCtK--X86sw', '-c', str(config))
        self.log = open(self.directory / 'log', 'w')
        self.process = subprocess.Popen([*java, 'kafka.Kafka', str(config)], stdout=self.log, stderr=self.log, cwd=self.directory)
        self.pid = self.process.pid
        wait_until(lambda: run('kcat', '-b', self.bootstrap, '-L', '-m', '2', check=False).returncode == 0, 'Kafka up', 60)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def create_topic(self, topic):
        extra = [word for item in TOPIC_CONFIGS.items() for word in ('--config', '='.join(item))]
        foreign.kafka_tool('org.apache.kafka.tools.TopicCommand', '--bootstrap-server', self.bootstrap, '--create', '--topic', topic,
                           '--partitions', '6', '--replication-factor', '1', *extra)


class Sluice:
    def __init__(self, durability):
        self.name = f'sluice {durability}'
        self.cluster = Cluster(1, settings=[f'durability={durability}'])

    def __enter__(self):
        self.cluster.__enter__()
        node = self.cluster.addresses[1]
        self.bootstrap, self.pid = node['kafka'], node['pid']
        return self

    def __exit__(self, *_):
        self.cluster.__exit__(None)

    def create_topic(self, topic):
        self.cluster.create_topic(topic, 6, 1, ['='.join(item) for item in TOPIC_CONFIGS.items()])


def measure(system, *arguments):
    """(server CPU-seconds per GB, MB/s) of one run of the load generator."""
    before = cpu_seconds(system.pid)
    result = json.loads(run(LOAD, arguments[0], system.bootstrap, *arguments[1:], timeout=600).stdout)
    return (cpu_seconds(system.pid) - before) / (result['bytes'] / 1e9), result['bytes'] / 1e6 / result['seconds']


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--mib', type=int, default=400)
    arguments = parser.parse_args()
    figures = {}
    with Kafka() as kafka, Sluice('replicated') as replicated, Sluice('fsync') as fsync:
        systems = [kafka, replicated, fsync]
        for system in systems:
            system.create_topic('load')
            measure(system, 'produce', 'load', str(arguments.mib), '1024')  # warm-up
        for _ in range(arguments.rounds):
            for system in systems:
                figures.setdefault((system.name, 'produce'), []).append(measure(system, 'produce', 'load', str(arguments.mib), '1024'))
                figures.setdefault((system.name, 'consume'), []).append(measure(system, 'consume', 'load', str(min(400, arguments.mib))))
                time.sleep(1)
        rss = {system.name: rss_mib(system.pid) for system in systems}
    medians = {key: [statistics.median(column) for column in zip(*rounds)] for key, rounds in figures.items()}
    print(f'{arguments.rounds} rounds of {arguments.mib} MiB, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}')
    for (name, what), (cpu, speed) in medians.items():
        ratio = cpu / medians['kafka', what][0]
        spread = [row[0] for row in figures[name, what]]
        print(f'{name:18} {what}: {cpu:6.2f} CPU-s/GB ({min(spread):.2f} to {max(spread):.2f})  {speed:7.1f} MB/s  ratio to Kafka {ratio:.2f}')
    for name, mib in rss.items():
        print(f'{name:18} resident: {mib:.0f} MiB')


if __name__ == '__main__':
    main()
