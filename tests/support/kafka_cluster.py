"""Apache Kafka's twin of cluster.Cluster, as far as tests/support/failover.py uses it: three nodes from its jars, each broker and controller, with the
settings that Kafka has of itself but for the addresses and the replication of its internal topics."""
import json
import pathlib
import shutil
import subprocess
import tempfile

import foreign
from cluster import NODE_PORT_STEP, free_base_port, run, wait_until

CLUSTER_ID = '4L6g3nShT-eMCtK--X86sw'
JAVA = ['-Xmx768m', '-XX:+UseG1GC']
UP_S_MAX, STOP_S_MAX = 120, 60


class KafkaCluster:
    """`with KafkaCluster() as kafka:` formats and starts the nodes, and removes everything at the end."""

    nodes = 3

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='kafka-cluster-'))
        self.processes = {}
        self.java = ['java', *JAVA, '-cp', foreign.java_classpath()]
        base = free_base_port(self.nodes)
        ports = {node: base + (node - 1) * NODE_PORT_STEP for node in range(1, self.nodes + 1)}
        self.addresses = {node: f'127.0.0.1:{port}' for node, port in ports.items()}
        voters = ','.join(f'{node}@127.0.0.1:{port + 3}' for node, port in ports.items())
        try:
            for node, port in ports.items():
                self.format(node, {'process.roles': 'broker,controller', 'node.id': node, 'controller.quorum.voters': voters,
                                   'listeners': f'PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{port + 3}',
                                   'controller.listener.names': 'CONTROLLER', 'log.dirs': self.directory / f'data-{node}'})
            for node in ports:
                self.start(node)
            wait_until(lambda: len(self.brokers()) == self.nodes, 'Kafka up', UP_S_MAX)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.kill()
            process.wait(STOP_S_MAX)
        shutil.rmtree(self.directory, ignore_errors=True)

    def config(self, node):
        return self.directory / f'server-{node}.properties'

    def format(self, node, settings):
        self.config(node).write_text(''.join(f'{key}={value}\n' for key, value in settings.items()))
        run(*self.java, 'kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', str(self.config(node)))

    def start(self, node):
        """Does not wait. One that was killed is reaped."""
        if node in self.processes:
            self.processes[node].wait(STOP_S_MAX)
        with open(self.directory / f'log-{node}', 'a') as log:
            self.processes[node] = subprocess.Popen([*self.java, 'kafka.Kafka', str(self.config(node))], stdout=log, stderr=log, cwd=self.directory)

    def stop_node(self, node):
        """SIGTERM, and waits for its clean end."""
        self.processes[node].terminate()
        self.processes[node].wait(STOP_S_MAX)

    def pid(self, node):
        return self.processes[node].pid

    def live_nodes(self):
        return [node for node, process in self.processes.items() if process.poll() is None]

    def bootstrap(self):
        return ','.join(self.addresses[node] for node in self.live_nodes())

    def tool(self, main_class, *arguments):
        return foreign.kafka_tool(main_class, '--bootstrap-server', self.bootstrap(), *arguments).stdout

    def metadata(self, *arguments):
        done = run('kcat', '-b', self.bootstrap(), '-L', '-J', '-m', '5', *arguments, check=False)
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else {'brokers': [], 'topics': []}

    def brokers(self):
        return self.metadata()['brokers']

    def create_topic(self, name, partitions, replication_factor):
        self.tool('org.apache.kafka.tools.TopicCommand', '--create', '--topic', name, '--partitions', str(partitions),
                  '--replication-factor', str(replication_factor))
        wait_until(lambda: self.fully_in_sync(name), f'{name} is there', UP_S_MAX)

    def partitions(self, topic):
        found = self.metadata('-t', topic)['topics']
        return sorted(found[0]['partitions'], key=lambda each: each['partition']) if found else []

    def fully_in_sync(self, topic):
        partitions = self.partitions(topic)
        return bool(partitions) and all(len(each['isrs']) == len(each['replicas']) and each['leader'] > 0 for each in partitions)

    def active_controller(self):
        """By its own tool: Metadata names any broker."""
        told = foreign.kafka_tool('org.apache.kafka.tools.MetadataQuorumCommand', '--bootstrap-server', self.bootstrap(), 'describe', '--status', check=False)
        ids = [int(line.split()[1]) for line in told.stdout.splitlines() if line.startswith('LeaderId:')]
        return ids[0] if ids and ids[0] > 0 else None

    def lead(self, topic, node):
        """Moves the lead of the topic's only partition there. Kafka cannot hand over the controller."""
        replicas = [node, *(each for each in self.addresses if each != node)]
        plan = self.directory / 'plan.json'
        plan.write_text(json.dumps({'version': 1, 'partitions': [{'topic': topic, 'partition': 0, 'replicas': replicas}]}))
        self.tool('org.apache.kafka.tools.reassign.ReassignPartitionsCommand', '--reassignment-json-file', str(plan), '--execute')
        self.elect_preferred_leaders()
        wait_until(lambda: self.partitions(topic)[0]['leader'] == node, f'node {node} leads', UP_S_MAX)

    def elect_preferred_leaders(self):
        self.tool('org.apache.kafka.tools.LeaderElectionCommand', '--election-type', 'preferred', '--all-topic-partitions')
