"""The servers that are compared, behind one face: a name, a bootstrap address, processes, and where the data lie. All of one run have their data below one
directory. One Sluice serves both durability modes, each with topics of its own, so that fewer idle processes disturb who is measured."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile

from cluster import BUILD, Cluster, free_base_port
from kafka_cluster import KafkaCluster
from kafka_node import KafkaNode

from speed import load

# Beside Kafka's own defaults, and for Sluice too: what is above retention.bytes goes within seconds, not within five minutes, or the page cache would not
# be recycled; and what one node cannot have three of.
SETTINGS = {'log.retention.check.interval.ms': 5000}
KAFKA_ALONE = {'offsets.topic.replication.factor': 1}
KAFKA_JAVA = {1: ['-Xmx1G', '-XX:+UseG1GC'], 3: ['-Xmx768m', '-XX:+UseG1GC']}
FLOOR = os.environ.get('BENCH_FLOOR', str(BUILD / 'bench_floor'))


class System:
    """One that runs. `pids` gives its processes; topics are made by the same client for all."""

    def __init__(self, name, bootstrap, pids, directory, topic_configs=None):
        self.name, self.bootstrap, self.pids = name, bootstrap, pids
        self.directory, self.topic_configs = pathlib.Path(directory), topic_configs or {}

    def topic(self, topic):
        """Its own name of it: two of them may be one process."""
        return f'{topic}-{self.name}'

    def create(self, topic, partitions, replicas, configs):
        named = {f'config.{key}': value for key, value in {**configs, **self.topic_configs}.items()}
        return load.run(self, 'create', topic=self.topic(topic), partitions=partitions, replicas=replicas, **named)

    def delete(self, topic):
        load.run(self, 'delete', topic=self.topic(topic))

    def logs(self, topic):
        """The directories of its partitions, on all nodes."""
        return [path for path in self.directory.glob(f'**/{self.topic(topic)}-*') if path.is_dir()]


def kafka(stack, nodes, directory):
    if nodes == 1:
        node = stack.enter_context(KafkaNode({**SETTINGS, **KAFKA_ALONE}, KAFKA_JAVA[1], directory))
        return System('kafka', node.bootstrap, lambda: [node.process.pid], node.directory)
    cluster = stack.enter_context(KafkaCluster(directory, SETTINGS))
    home = pathlib.Path(directory)
    return System('kafka', cluster.bootstrap(), lambda: [cluster.pid(node) for node in cluster.members], home)


def sluice(stack, nodes, directory):
    """The cluster; `modes` makes systems of it."""
    home = stack.enter_context(removed(tempfile.mkdtemp(prefix='sluice-', dir=directory)))
    return stack.enter_context(Cluster(nodes, directory=f'{home}/dev', settings=[f'{key}={value}' for key, value in SETTINGS.items()]))


def mode(cluster, name):
    pids = [node['pid'] for node in cluster.status()]
    return System(name, cluster.bootstrap(), lambda: pids, cluster.directory, {'durability': name})


def floor(stack, directory):
    home = stack.enter_context(removed(tempfile.mkdtemp(prefix='floor-', dir=directory)))
    port = free_base_port(1)
    process = subprocess.Popen([FLOOR, str(port), home], stdout=subprocess.PIPE, text=True)
    stack.callback(end, process)
    if process.stdout.readline() != 'ready\n':
        raise AssertionError('bench_floor did not start')
    return System('floor', f'127.0.0.1:{port}', lambda: [process.pid], home)


def end(process):
    process.kill()
    process.communicate()


@contextlib.contextmanager
def removed(directory):
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def started(stack, names, nodes, directory):
    """Those of the names, running until the stack ends, by name."""
    found = {}
    if 'kafka' in names:
        found['kafka'] = kafka(stack, nodes, directory)
    modes = [name for name in names if name in ('fsync', 'replicated')]
    if modes:
        cluster = sluice(stack, nodes, directory)
        found.update((name, mode(cluster, name)) for name in modes)
    if 'floor' in names and nodes == 1:
        found['floor'] = floor(stack, directory)
    return {name: found[name] for name in names if name in found}
