"""rebalance_commits.py BOOTSTRAP KIND GROUP TOPIC PARTITIONS: librdkafka members that commit only when partitions are taken from them, in the callback which holds the
rebalance open, while members come and go and records come in. Prints as JSON what was written and what each read. KIND: eager, cooperative, consumer (the protocol), and
static-eager, static-consumer, where the second member goes away for a moment and comes back under its instance id."""
import json
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition

SETTINGS = {
    'eager': {'partition.assignment.strategy': 'range', 'session.timeout.ms': 60000, 'heartbeat.interval.ms': 300},
    'cooperative': {'partition.assignment.strategy': 'cooperative-sticky', 'session.timeout.ms': 60000, 'heartbeat.interval.ms': 300},
    'consumer': {'group.protocol': 'consumer'},
}
STEP_S_MAX = 60
PACE = 60  # records that each reads between one change and the next


class Reader:
    def __init__(self, bootstrap, group, topic, settings):
        self.topic, self.read, self.positions, self.events = topic, [], {}, []
        self.consumer = Consumer({'bootstrap.servers': bootstrap, 'group.id': group, 'auto.offset.reset': 'earliest', 'enable.auto.commit': False, **settings})
        self.consumer.subscribe([topic], on_assign=self.on_assign, on_revoke=self.on_revoke, on_lost=self.on_lost)

    def on_assign(self, _, partitions):
        self.events.append(['assign', sorted(partition.partition for partition in partitions)])

    def on_revoke(self, consumer, partitions):
        gone = sorted(partition.partition for partition in partitions)
        positions = [TopicPartition(self.topic, partition, self.positions.pop(partition)) for partition in gone if partition in self.positions]
        if positions:
            committed = consumer.commit(offsets=positions, asynchronous=False)
            assert all(position.error is None for position in committed), committed
        self.events.append(['revoke', gone])

    def on_lost(self, _, partitions):
        self.events.append(['lost', sorted(partition.partition for partition in partitions)])

    def step(self):
        message = self.consumer.poll(0.01)
        if message is None:
            return
        assert message.error() is None, message.error()
        self.read.append(int(message.value()))
        self.positions[message.partition()] = message.offset() + 1

    def assignment(self):
        return sorted(partition.partition for partition in self.consumer.assignment())


class Scene:
    def __init__(self, bootstrap, group, topic, partitions):
        self.place, self.partitions = (bootstrap, group, topic), partitions
        self.producer = Producer({'bootstrap.servers': bootstrap, 'enable.idempotence': True, 'linger.ms': 0})
        self.written, self.readers, self.open = 0, [], []

    def join(self, settings):
        self.readers.append(Reader(*self.place, settings))
        self.open.append(self.readers[-1])
        return self.readers[-1]

    def leave(self, reader):
        reader.consumer.close()
        self.open.remove(reader)

    def write(self):
        self.producer.produce(self.place[2], str(self.written), partition=self.written % self.partitions)
        self.producer.poll(0)
        self.written += 1

    def run_until(self, condition, what, writes=True):
        deadline = time.monotonic() + STEP_S_MAX
        while not condition():
            assert time.monotonic() < deadline, f'{what}: {[(reader.assignment(), reader.events, len(reader.read)) for reader in self.open]}'
            if writes:
                self.write()
            for reader in self.open:
                reader.step()

    def go_on(self, what):
        """Until each reads something, all partitions are somebody's and nobody has more than a fair share."""
        before = [len(reader.read) for reader in self.open]
        share = -(-self.partitions // len(self.open))
        self.run_until(lambda: all(len(reader.read) >= count + PACE and len(reader.assignment()) <= share for reader, count in zip(self.open, before))
                       and sorted(partition for reader in self.open for partition in reader.assignment()) == list(range(self.partitions)), what)

    def finish(self):
        assert self.producer.flush(STEP_S_MAX) == 0
        self.run_until(lambda: sum(len(reader.read) for reader in self.readers) >= self.written, 'all is read', writes=False)
        for reader in list(self.open):
            self.leave(reader)
        print(json.dumps({'written': self.written, 'readers': [{'read': reader.read, 'events': reader.events} for reader in self.readers]}))


def come_and_go(scene, settings):
    first = scene.join(settings)
    scene.go_on('one reads')
    scene.join(settings)
    scene.go_on('two read')
    scene.join(settings)
    scene.go_on('three read')
    scene.leave(first)
    scene.go_on('one left, two read')


def come_back(scene, settings):
    first = scene.join({**settings, 'group.instance.id': 'first'})
    second = scene.join({**settings, 'group.instance.id': 'second'})
    scene.go_on('two read')
    own, events = second.assignment(), len(first.events)
    scene.leave(second)
    again = scene.join({**settings, 'group.instance.id': 'second'})
    scene.go_on('two read again')
    assert again.assignment() == own, f'{again.assignment()} instead of {own}'
    assert len(first.events) == events, f'the other one had a rebalance: {first.events}'


def main():
    bootstrap, kind, group, topic, partitions = sys.argv[1:]
    scene = Scene(bootstrap, group, topic, int(partitions))
    settings = SETTINGS[kind.removeprefix('static-')]
    if kind.startswith('static-'):
        come_back(scene, settings)
    else:
        come_and_go(scene, settings)
    scene.finish()


if __name__ == '__main__':
    main()
