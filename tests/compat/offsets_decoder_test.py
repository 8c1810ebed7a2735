"""Kafka's own `kafka-dump-log --offsets-decoder` reads our `__consumer_offsets`: a history with every kind of record of both protocols, tombstones included, is printed
for each of the three replicas as it is for Kafka itself with the same history. Masked are times and the ids that brokers and clients make up."""
import concurrent.futures
import json
import pathlib
import re
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import foreign  # noqa: E402
import kafka_node  # noqa: E402
from cluster import OFFSETS_TOPIC, Cluster, run, wait_until  # noqa: E402

SETTINGS = {'group.initial.rebalance.delay.ms': 0, 'offsets.topic.num.partitions': 1, 'group.consumer.max.session.timeout.ms': 300000,
            'group.consumer.session.timeout.ms': 300000}
SEGMENT = f'{OFFSETS_TOPIC}-0/00000000000000000000.log'
RECORD = re.compile(r'^\| offset: \d+ CreateTime: (\d+) .*? key: (\{.*?\}\}) payload: (.*)$', re.M)
OFFSET, CLASSIC_GROUP, EPOCH, OLD_PARTITIONS, MEMBER, TARGET_EPOCH, TARGET, CURRENT, EXPRESSION = '1', '2', '3', '4', '5', '6', '7', '8', '16'
TIMES = ('commitTimestamp', 'currentStateTimestamp', 'assignmentTimestamp', 'timestamp')
# Kafka looks for the topics of an expression in the background, and its member is in the group without any until then.
LATE = 'matching'


class Dump:
    """What the tool printed: the values of each key in their order, None for a tombstone. The order of keys in a batch is nobody's promise."""

    def __init__(self, text, topic_ids):
        self.topics = {topic_id: name for name, topic_id in topic_ids.items()}
        self.groups, self.times = {}, []
        for created, key, payload in RECORD.findall(text):
            self.times.append(int(created))
            self.add(json.loads(key), None if payload == '<DELETE>' else json.loads(payload))

    def add(self, key, value):
        kind, data = key['type'], key['data']
        group = data.pop('group', None) or data.pop('groupId')
        if kind == CLASSIC_GROUP and value is not None and value['data']['generation'] == 0:
            return  # Kafka writes that there is a group before anybody is in it
        if kind == OLD_PARTITIONS and value is None:
            return  # and deletes what an older release may have left
        if kind == EXPRESSION and value is not None:
            value['data'].pop('version')  # of the metadata
        self.groups.setdefault(group, {}).setdefault((kind, json.dumps(self.masked(data))), []).append(self.masked(value))

    def masked(self, value, name=''):
        if isinstance(value, dict):
            return {key: self.masked(inner, key) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.masked(inner) for inner in value]
        if name in TIMES:
            self.times.append(value)
            return 'TIME'
        if name == 'topicId':
            return self.topics[value]
        if name == 'metadataHash' and value != 0:
            return 'HASH'
        return 'MEMBER' if name in ('memberId', 'leader') and value is not None else value

    def kinds(self, gone):
        return {kind for records in self.groups.values() for (kind, _), values in records.items() if any((value is None) == gone for value in values)}


class OffsetsDecoderTest(unittest.TestCase):

    def setUp(self):
        foreign.java_classpath()
        python = foreign.python_with_clients()
        cluster = self.enterContext(Cluster(3, settings=[f'{key}={value}' for key, value in SETTINGS.items()]))
        kafka = self.enterContext(kafka_node.KafkaNode({**kafka_node.SETTINGS, **SETTINGS}))
        self.begin_ms = time.time_ns() // 1000000
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            histories = pool.map(lambda bootstrap: run(python, str(foreign.COMPAT / 'offsets_history.py'), bootstrap), (cluster.bootstrap(), kafka.bootstrap))
            ours, theirs = (json.loads(done.stdout) for done in histories)
        replicas = [pathlib.Path(cluster.directory) / f'node-{node}/data' / SEGMENT for node in cluster.live_nodes()]
        wait_until(lambda: len({file.read_bytes() for file in replicas}) == 1, 'three equal replicas', 30)
        self.ours = [Dump(self.dump(file), ours) for file in replicas]
        self.kafka = Dump(self.dump(kafka.data / SEGMENT), theirs)

    def dump(self, file):
        done = foreign.kafka_tool('org.apache.kafka.tools.DumpLogSegments', '--files', str(file), '--offsets-decoder')
        self.assertEqual(done.stderr, '')
        return done.stdout

    maxDiff = None

    def test_every_record_is_printed_as_kafkas(self):
        kinds = {OFFSET, CLASSIC_GROUP, EPOCH, MEMBER, TARGET_EPOCH, TARGET, CURRENT, EXPRESSION}
        for ours in self.ours:
            self.assertEqual((ours.kinds(gone=False), ours.kinds(gone=True)), (kinds, kinds))
            self.assertEqual(list(ours.groups), list(self.kafka.groups))
            late, kafkas = ours.groups.pop(LATE), self.kafka.groups[LATE]
            self.assertEqual({key: values[-1] for key, values in late.items()}, {key: values[-1] for key, values in kafkas.items()})
            self.assertEqual(*([values for (kind, _), values in records.items() if kind == EXPRESSION] for records in (late, kafkas)))
            for group, records in ours.groups.items():
                with self.subTest(group=group):
                    self.assertEqual(records, self.kafka.groups[group])
            self.assertTrue(all(self.begin_ms <= moment <= time.time_ns() // 1000000 for moment in ours.times))


if __name__ == '__main__':
    unittest.main(verbosity=2)
