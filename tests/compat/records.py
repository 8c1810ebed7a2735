"""records.py BOOTSTRAP create JSON | history | plain | more TOPIC... | read ISOLATION TOPIC...: topics with every kind of record that a log directory may hold,
written by librdkafka into Kafka or Sluice, and all records of topics as JSON lines, to be compared."""
import base64
import hashlib
import json
import random
import sys

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

CODECS = ('none', 'gzip', 'snappy', 'lz4', 'zstd')


def create(bootstrap, topics):
    """`topics`: {name: [partitions, {config}]}."""
    admin = AdminClient({'bootstrap.servers': bootstrap})
    futures = admin.create_topics([NewTopic(name, partitions, 1, config=config) for name, (partitions, config) in topics.items()])
    for future in futures.values():
        future.result(30)


class Writer:
    """A producer that fails loudly."""

    def __init__(self, bootstrap, **settings):
        settings = {key.replace('_', '.'): value for key, value in settings.items()}
        self.producer = Producer({'bootstrap.servers': bootstrap, 'linger.ms': 5, 'enable.idempotence': True, 'partitioner': 'murmur2_random', **settings})
        self.failures = []

    def send(self, topic, key, value, partition=0, **more):
        while True:
            try:
                self.producer.produce(topic, key=key, value=value, partition=partition,
                                      on_delivery=lambda error, _: error and self.failures.append(str(error)), **more)
                break
            except BufferError:
                self.producer.poll(0.1)
        self.producer.poll(0)

    def flush(self):
        assert self.producer.flush(60) == 0
        assert not self.failures, self.failures[:3]


def write_codecs(bootstrap, topic):
    """Every codec into one partition; null keys and values, empty ones, headers, times that go back."""
    chance = random.Random(1)
    for codec in CODECS:
        writer = Writer(bootstrap, compression_type=codec)
        for n in range(200):
            headers = [(f'h{i}', None if i == 2 else chance.randbytes(i * 3)) for i in range(n % 4)]
            key = None if n % 7 == 0 else f'{codec}-{n}'.encode()
            value = None if n % 11 == 0 else b'' if n % 13 == 0 else (f'value {n} ' * chance.randrange(1, 40)).encode()
            writer.send(topic, key, value, partition=n % 2, headers=headers, timestamp=1_760_000_000_000 + n * 1000 - chance.randrange(5000))
            if n % 20 == 19:
                writer.flush()  # so that there are several batches
        writer.flush()


def write_segments(bootstrap, topic, mib=4):
    """More than a few segments of 1 MiB, which is the least that Kafka takes."""
    chance = random.Random(2)
    writer = Writer(bootstrap, batch_size=65536)
    for n in range(mib * 1024):
        writer.send(topic, f'{n}'.encode(), chance.randbytes(1000))
    writer.flush()


def write_table(bootstrap, topic, rounds=3, mib=1):
    """Few keys, many values, tombstones; the last round's records are the newest segment."""
    chance = random.Random(3)
    writer = Writer(bootstrap, batch_size=16384)
    for _ in range(rounds):
        for n in range(mib * 1100):
            key = f'key-{chance.randrange(300)}'.encode()
            writer.send(topic, key, None if n % 17 == 0 else chance.randbytes(1000))
        writer.flush()


def write_transactions(bootstrap, topic, rounds=30, value_bytes=20):
    """Committed and aborted transactions of three producers that overlap, and records outside of any."""
    chance = random.Random(4)
    writers = [Writer(bootstrap, transactional_id=f'{topic}-{i}', compression_type=CODECS[i]) for i in range(3)]
    for writer in writers:
        writer.producer.init_transactions(30)
    plain = Writer(bootstrap)
    for round_ in range(rounds):
        for writer in writers:
            writer.producer.begin_transaction()
        for n in range(10):
            for i, writer in enumerate(writers):
                writer.send(topic, f'{i}-{n}'.encode(), chance.randbytes(value_bytes))
                writer.producer.flush(10)
        plain.send(topic, b'plain', f'{round_}'.encode())
        plain.flush()
        chance.shuffle(writers)
        for writer in writers:
            if chance.random() < 0.4:
                writer.producer.abort_transaction(30)
            else:
                writer.producer.commit_transaction(30)


def write_history(bootstrap):
    write_codecs(bootstrap, 'codecs')
    write_segments(bootstrap, 'segments')
    write_table(bootstrap, 'table')
    write_transactions(bootstrap, 'ledger')
    write_transactions(bootstrap, 'accounts', rounds=25, value_bytes=2000)


def text(data):
    if data is None:
        return None
    return base64.b64encode(data).decode() if len(data) < 100 else 'sha256:' + hashlib.sha256(data).hexdigest()


def read(bootstrap, isolation, topics):
    consumer = Consumer({'bootstrap.servers': bootstrap, 'group.id': 'unused', 'enable.auto.commit': False, 'enable.partition.eof': True,
                         'auto.offset.reset': 'error', 'isolation.level': isolation, 'check.crcs': True, 'fetch.wait.max.ms': 10})
    for topic in topics:
        for partition in sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions):
            read_partition(consumer, topic, partition)
    consumer.close()


def read_partition(consumer, topic, partition):
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
    print(json.dumps({'topic': topic, 'partition': partition, 'low': low, 'high': high}))
    times = []
    consumer.assign([TopicPartition(topic, partition, low)])
    while True:
        message = consumer.poll(20)
        assert message is not None, f'nothing from {topic}-{partition}'
        if message.error() is not None:
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            break
        times.append(message.timestamp()[1])
        headers = [[key, text(value)] for key, value in message.headers() or []]
        print(json.dumps([topic, partition, message.offset(), *message.timestamp(), text(message.key()), text(message.value()), headers]))
    for time in sorted(times)[::max(1, len(times) // 10)]:
        found, = consumer.offsets_for_times([TopicPartition(topic, partition, time)], timeout=10)
        print(json.dumps({'topic': topic, 'partition': partition, 'time': time, 'offset': found.offset}))


def main():
    bootstrap, verb, *rest = sys.argv[1:]
    if verb == 'create':
        create(bootstrap, json.loads(rest[0]))
    elif verb == 'history':
        write_history(bootstrap)
    elif verb == 'plain':
        write_codecs(bootstrap, 'codecs')
        write_segments(bootstrap, 'segments')
        write_table(bootstrap, 'table')
    elif verb == 'more':
        for topic in rest:
            writer = Writer(bootstrap)
            for n in range(10):
                writer.send(topic, f'more-{n}'.encode(), b'appended')
            writer.flush()
    else:
        read(bootstrap, rest[0], rest[1:])


if __name__ == '__main__':
    main()
