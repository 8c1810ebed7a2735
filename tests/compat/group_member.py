"""group_member.py CLIENT BOOTSTRAP GROUP TOPIC [INSTANCE]: one member of a group, until it is killed or gets SIGTERM. It prints "partition offset value"
for each record and commits only what it has printed; "committed partition offset" once that is acknowledged, where it learns so. CLIENT: confluent-range,
confluent-cooperative, confluent-static, confluent-consumer and what begins with it (librdkafka), kafka-python, aiokafka."""
import asyncio
import signal
import sys

SESSION_MS = 6000
HEARTBEAT_MS = 1000


class Ended:
    """True once SIGTERM came."""

    def __init__(self):
        self.come = False
        signal.signal(signal.SIGTERM, self.take)

    def take(self, *_):
        self.come = True


def show(partition, offset, value):
    sys.stdout.write(f'{partition} {offset} {value.decode()}\n')


def show_commits(positions):
    for partition, offset in positions.items():
        print('committed', partition, offset, flush=True)


def confluent(bootstrap, group, topic, settings):
    """With synchronous commits, one at a time: librdkafka's own repetition of one that was in flight when its coordinator died comes after later ones."""
    from confluent_kafka import Consumer, KafkaException, TopicPartition
    ended = Ended()
    if settings.get('group.protocol') != 'consumer':  # there the broker says them
        settings = {'session.timeout.ms': SESSION_MS, 'heartbeat.interval.ms': HEARTBEAT_MS, **settings}
    consumer = Consumer({'bootstrap.servers': bootstrap, 'group.id': group, 'auto.offset.reset': 'earliest', 'enable.auto.commit': False, **settings})
    consumer.subscribe([topic])
    while not ended.come:
        positions = {}
        for message in consumer.consume(500, 0.1):
            if message.error() is not None:
                print(message.error(), file=sys.stderr, flush=True)
                continue
            show(message.partition(), message.offset(), message.value())
            positions[message.partition()] = message.offset() + 1
        sys.stdout.flush()
        if positions:
            try:
                consumer.commit(offsets=[TopicPartition(topic, *position) for position in positions.items()], asynchronous=False)
            except KafkaException as error:  # a rebalance: the records come again, here or elsewhere
                print(error, file=sys.stderr, flush=True)
                continue
            show_commits(positions)
    consumer.close()


def kafka_python(bootstrap, group, topic, _):
    from kafka import KafkaConsumer
    ended = Ended()
    consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap.split(','), group_id=group, auto_offset_reset='earliest', session_timeout_ms=SESSION_MS,
                             heartbeat_interval_ms=HEARTBEAT_MS, auto_commit_interval_ms=100)
    while not ended.come:
        for partition, records in consumer.poll(timeout_ms=100).items():
            for record in records:
                show(partition.partition, record.offset, record.value)
        sys.stdout.flush()
    consumer.close()


async def read_by_aiokafka(bootstrap, group, topic):
    from aiokafka import AIOKafkaConsumer
    from aiokafka.errors import KafkaError
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset='earliest', session_timeout_ms=SESSION_MS,
                                heartbeat_interval_ms=HEARTBEAT_MS, enable_auto_commit=False)
    await consumer.start()
    while not ended.is_set():
        batches = await consumer.getmany(timeout_ms=100)
        for partition, records in batches.items():
            for record in records:
                show(partition.partition, record.offset, record.value)
        sys.stdout.flush()
        if not batches:
            continue
        positions = {partition: records[-1].offset + 1 for partition, records in batches.items()}
        try:
            await consumer.commit(positions)
        except KafkaError as error:  # a rebalance: the records come again, here or elsewhere
            print(repr(error), file=sys.stderr, flush=True)
            continue
        show_commits({partition.partition: offset for partition, offset in positions.items()})
    await consumer.stop()


def aiokafka(bootstrap, group, topic, _):
    asyncio.run(read_by_aiokafka(bootstrap, group, topic))


def main():
    client, bootstrap, group, topic, *instance = sys.argv[1:]
    run, settings = {
        'confluent-range': (confluent, {'partition.assignment.strategy': 'range'}),
        'confluent-cooperative': (confluent, {'partition.assignment.strategy': 'cooperative-sticky'}),
        'confluent-static': (confluent, {'group.instance.id': ''.join(instance)}),
        # Not of a classic group.
        'confluent-consumer': (confluent, {'group.protocol': 'consumer'}),
        'confluent-consumer-range': (confluent, {'group.protocol': 'consumer', 'group.remote.assignor': 'range'}),
        'confluent-consumer-static': (confluent, {'group.protocol': 'consumer', 'group.instance.id': ''.join(instance)}),
        'kafka-python': (kafka_python, {}),
        'aiokafka': (aiokafka, {}),
    }[client]
    run(bootstrap, group, topic, settings)


if __name__ == '__main__':
    main()
