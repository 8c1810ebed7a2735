"""Apache Kafka's twin of cluster.Cluster, as far as tests/support/failover.py uses it: three nodes from its jars, each broker and controller, with the
settings that Kafka has of itself."""
import contextlib
import json
import pathlib

import foreign
from cluster import NODE_PORT_STEP, free_base_port, run, wait_until
from kafka_node import CONTROLLER_PORT_OFFSET, KafkaNode

JAVA = ['-Xmx768m', '-XX:+UseG1GC']
UP_S_MAX = 120


class KafkaCluster(contextlib.ExitStack):
    """`with KafkaCluster() as kafka:` formats and starts the nodes, and removes everything at the end."""

    nodes = 3

    def __init__(self, directory=None, settings=None):
        """`directory`: where the nodes have theirs; `settings`: on top of Kafka's own."""
        super().__init__()
        self.parent, self.settings = directory, settings or {}

    def __enter__(self):
        base = free_base_port(self.nodes)
        ports = {number: base + (number - 1) * NODE_PORT_STEP for number in range(1, self.nodes + 1)}
        voters = ','.join(f'{number}@127.0.0.1:{port + CONTROLLER_PORT_OFFSET}' for number, port in ports.items())
        with contextlib.ExitStack() as started:
            self.members = {number: started.enter_context(KafkaNode(self.settings, JAVA, self.parent, number, port, voters)) for number, port in ports.items()}
            self.addresses = {number: node.bootstrap for number, node in self.members.items()}
            wait_until(lambda: len(self.metadata()['brokers']) == self.nodes, 'Kafka up', UP_S_MAX)
            self.push(started.pop_all())
        return self

    def start(self, node):
        """Does not wait."""
        self.members[node].process.wait(UP_S_MAX)  # one that was killed is reaped
        self.members[node].launch()

    def stop_node(self, node):
        """SIGTERM, and waits for its clean end."""
        self.members[node].stop()

    def pid(self, node):
        return self.members[node].process.pid

    @property
    def directory(self):
        return self.members[1].directory

    def live_nodes(self):
        return [number for number, node in self.members.items() if node.process.poll() is None]

    def bootstrap(self):
        return ','.join(self.addresses[node] for node in self.live_nodes())

    def tool(self, main_class, *arguments, check=True):
        return foreign.kafka_tool(main_class, '--bootstrap-server', self.bootstrap(), *arguments, check=check).stdout

    def metadata(self, *arguments):
        done = run('kcat', '-b', self.bootstrap(), '-L', '-J', '-m', '5', *arguments, check=False)
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else {'brokers': [], 'topics': []}

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
        told = self.tool('org.apache.kafka.tools.MetadataQuorumCommand', 'describe', '--status', check=False)
        ids = [int(line.split()[1]) for line in told.splitlines() if line.startswith('LeaderId:')]
        return ids[0] if ids and ids[0] > 0 else None

    def lead(self, topic, node):
        """Moves the lead of the topic's only partition there. Kafka cannot hand over the controller."""
        replicas = [node, *(each for each in self.addresses if each != node)]
        plan = pathlib.Path(self.directory) / 'plan.json'
        plan.write_text(json.dumps({'version': 1, 'partitions': [{'topic': topic, 'partition': 0, 'replicas': replicas}]}))
        self.tool('org.apache.kafka.tools.reassign.ReassignPartitionsCommand', '--reassignment-json-file', str(plan), '--execute')
        self.elect_preferred_leaders()
        wait_until(lambda: self.partitions(topic)[0]['leader'] == node, f'node {node} leads', UP_S_MAX)

    def elect_preferred_leaders(self):
        self.tool('org.apache.kafka.tools.LeaderElectionCommand', '--election-type', 'preferred', '--all-topic-partitions')
