"""python_clients.py CLIENT BOOTSTRAP TOPIC COUNT: with `confluent` (librdkafka) or `kafka-python`, writes COUNT keyed records, reads the topic back partition
by partition, and prints JSON: how many of its own it found, and the partition of each key."""
import json
import sys


def confluent(bootstrap, topic, count):
    from confluent_kafka import Consumer, Producer, TopicPartition
    failures = []
    producer = Producer({'bootstrap.servers': bootstrap, 'enable.idempotence': True, 'partitioner': 'murmur2_random'})
    for n in range(count):
        producer.produce(topic, key=f'key-{n}', value=f'confluent {n}', on_delivery=lambda error, _: error and failures.append(str(error)))
        producer.poll(0)
    producer.flush(30)
    assert not failures, failures[:3]
    consumer = Consumer({'bootstrap.servers': bootstrap, 'group.id': 'unused', 'enable.auto.commit': False,
                         'enable.partition.eof': False, 'auto.offset.reset': 'earliest'})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    found = {}
    for partition in partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        consumer.assign([TopicPartition(topic, partition, low)])
        position = low
        while position < high:
            message = consumer.poll(10)
            assert message is not None, f'nothing from partition {partition} at {position} of {high}'
            assert message.error() is None, message.error()
            position = message.offset() + 1
            if message.value().startswith(b'confluent '):
                found[message.key().decode()] = partition
    consumer.close()
    return found


def kafka_python(bootstrap, topic, count):
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition
    producer = KafkaProducer(bootstrap_servers=bootstrap.split(','), acks='all')
    futures = [producer.send(topic, key=f'key-{n}'.encode(), value=f'kafka-python {n}'.encode()) for n in range(count)]
    producer.flush(30)
    for future in futures:
        future.get(30)
    consumer = KafkaConsumer(bootstrap_servers=bootstrap.split(','), group_id=None, enable_auto_commit=False)
    partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    ends = consumer.end_offsets(partitions)
    found = {}
    while any(consumer.position(p) < ends[p] for p in partitions):
        batches = consumer.poll(timeout_ms=10000)
        assert batches, 'nothing more from the topic before its end'
        for partition, records in batches.items():
            found.update({r.key.decode(): partition.partition for r in records if r.value.startswith(b'kafka-python ')})
    return found


def main():
    client, bootstrap, topic, count = sys.argv[1:]
    found = {'confluent': confluent, 'kafka-python': kafka_python}[client](bootstrap, topic, int(count))
    print(json.dumps({'found': len(found), 'partitions': found}))


if __name__ == '__main__':
    main()
