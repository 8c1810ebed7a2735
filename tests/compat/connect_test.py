"""Kafka Connect, distributed, with Kafka's file source and file sink: of two workers one is killed with -9 together with the coordinator of the workers' group, a third one
joins, and one is paused until it is put out. Connect makes its own compacted topics. Each line of the one file arrives in the other at least once."""
import json
import pathlib
import re
import signal
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import foreign  # noqa: E402
from cluster import OFFSETS_TOPIC, Cluster, free_base_port, partition_of_group, wait_until  # noqa: E402

GROUP, TOPIC, STEP_S_MAX = 'connect-cluster', 'lines', 90
INTERNAL = {'config': 1, 'offset': 3, 'status': 2}  # partitions
CONVERTER = 'org.apache.kafka.connect.storage.StringConverter'
WORKER = {'group.id': GROUP, 'key.converter': CONVERTER, 'value.converter': CONVERTER, 'plugin.discovery': 'service_load', 'offset.flush.interval.ms': 300,
          'session.timeout.ms': 6000, 'heartbeat.interval.ms': 1000, 'rebalance.timeout.ms': 10000, 'scheduled.rebalance.max.delay.ms': 500,
          'consumer.session.timeout.ms': 6000, 'consumer.heartbeat.interval.ms': 1000, 'offset.storage.partitions': INTERNAL['offset'],
          'status.storage.partitions': INTERNAL['status'], **{f'{name}.storage.topic': f'connect-{name}' for name in INTERNAL}}


class Worker:
    def __init__(self, test, name):
        self.port = free_base_port(1)
        self.id = f'127.0.0.1:{self.port}'
        config = test.directory / f'{name}.properties'
        lines = {**WORKER, 'bootstrap.servers': test.cluster.bootstrap(), 'listeners': f'http://127.0.0.1:{self.port}', 'client.id': name}
        config.write_text(''.join(f'{key}={value}\n' for key, value in lines.items()))
        with open(test.directory / f'{name}.log', 'w') as log:
            self.process = subprocess.Popen(foreign.java_command('org.apache.kafka.connect.cli.ConnectDistributed', str(config), heap='256m'), stdout=log, stderr=log)
        test.addCleanup(self.end, signal.SIGKILL)

    def end(self, how):
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(STEP_S_MAX)

    def ask(self, path, settings=None):
        """What the worker answers; None while it is not ready for it."""
        body = None if settings is None else json.dumps(settings).encode()
        request = urllib.request.Request(f'http://{self.id}/{path}', data=body, method='GET' if body is None else 'PUT', headers={'Content-Type': 'application/json'})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.load(response)
        except (urllib.error.URLError, OSError):
            return None


class ConnectTest(unittest.TestCase):

    def setUp(self):
        foreign.java_classpath()
        self.cluster = self.enterContext(Cluster(3, settings=['group.initial.rebalance.delay.ms=500']))
        self.directory = pathlib.Path(self.cluster.directory)
        self.cluster.create_topic(TOPIC, 3, 3)
        self.source, self.sink = self.directory / 'in.txt', self.directory / 'out.txt'
        self.written = 0
        self.workers = []

    def start_worker(self):
        self.workers.append(Worker(self, f'worker-{len(self.workers)}'))
        return self.workers[-1]

    def write(self, count):
        with open(self.source, 'a') as file:
            file.writelines(f'<{n:06}>\n' for n in range(self.written, self.written + count))
        self.written += count

    def arrived(self):
        """One that was killed may leave a part of a line, to which the next one appends."""
        return {int(number) for number in re.findall(r'<(\d{6})>', self.sink.read_text())} if self.sink.exists() else set()

    def wait_for(self, condition, what):
        begin = time.monotonic()
        try:
            wait_until(condition, what, STEP_S_MAX)
        except AssertionError as error:
            told = [(worker.id, worker.process.poll(), [worker.ask(f'connectors/{name}/status') for name in ('source', 'sink')]) for worker in self.workers]
            raise AssertionError(f'{error}: {len(self.arrived())} of {self.written} lines; {told}; {self.cluster.admin("group", "describe", GROUP, check=False)}') from None
        print(f'  {time.monotonic() - begin:5.1f} s: {what}', flush=True)

    def wait_until_arrived(self, what):
        self.wait_for(lambda: self.arrived() == set(range(self.written)), f'{self.written} lines arrived {what}')

    def places(self, worker):
        """Where the tasks run, by connector; None while some do not."""
        statuses = [worker.ask(f'connectors/{name}/status') for name in ('source', 'sink')]
        if any(status is None or [task['state'] for task in status['tasks']] != ['RUNNING'] for status in statuses):
            return None
        return {status['name']: status['tasks'][0]['worker_id'] for status in statuses}

    def wait_for_tasks_on(self, workers, witness, what):
        """Only these have tasks."""
        ids = {worker.id for worker in workers}
        self.wait_for(lambda: set((self.places(witness) or {'': ''}).values()) <= ids, what)

    def test_lines_arrive_though_workers_and_the_coordinator_are_killed(self):
        self.write(1000)
        first, second = self.start_worker(), self.start_worker()
        connectors = {'source': {'connector.class': 'org.apache.kafka.connect.file.FileStreamSourceConnector', 'file': str(self.source), 'topic': TOPIC},
                      'sink': {'connector.class': 'org.apache.kafka.connect.file.FileStreamSinkConnector', 'file': str(self.sink), 'topics': TOPIC}}
        for name, settings in connectors.items():
            self.wait_for(lambda name=name, settings=settings: first.ask(f'connectors/{name}/config', {'tasks.max': '1', **settings}), f'the {name} is taken')
        self.wait_until_arrived('at first')
        self.check_topics()
        self.wait_for(lambda: set((self.places(second) or {}).values()) == {first.id, second.id}, 'each of two workers has a task')
        partitions = self.cluster.partitions(OFFSETS_TOPIC)
        coordinator = partitions[partition_of_group(GROUP, len(partitions))]['leader']
        self.write(1000)
        first.end(signal.SIGKILL)
        self.cluster.kill(coordinator)
        third = self.start_worker()
        self.write(1000)
        self.wait_until_arrived('though a worker and the coordinator were killed')
        self.cluster.start(coordinator)
        self.wait_for_tasks_on([second, third], third, 'both tasks run, none where nobody is')
        second.process.send_signal(signal.SIGSTOP)
        self.write(1000)
        self.wait_for_tasks_on([third], third, 'the tasks of the paused worker run elsewhere')
        second.process.send_signal(signal.SIGCONT)
        self.write(1000)
        self.wait_until_arrived('though a worker was paused')
        third.end(signal.SIGTERM)
        self.write(1000)
        self.wait_until_arrived('by the one that had been paused')
        self.assertEqual(set(re.findall('[^<>0-9\n]', self.sink.read_text())), set())

    def check_topics(self):
        for name, count in INTERNAL.items():
            topic = self.cluster.admin('topic', 'describe', f'connect-{name}')
            self.assertEqual([len(partition['replicas']) for partition in topic['partitions']], [3] * count)
            self.assertEqual(topic['configs']['cleanup.policy'], 'compact')
        group = self.cluster.admin('group', 'describe', GROUP)
        self.assertEqual((group['protocol_type'], group['assignor']), ('connect', 'sessioned'))


if __name__ == '__main__':
    unittest.main(verbosity=2)
