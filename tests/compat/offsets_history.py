"""offsets_history.py BOOTSTRAP: groups of both protocols and of none write every kind of record into `__consumer_offsets`, one after another and one member each, so that
every broker writes the same. Prints the ids of the topics that it creates."""
import json
import sys
import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

CLASSIC = {'session.timeout.ms': 300000}
CONSUMER = {'group.protocol': 'consumer'}
STATIC = {'group.instance.id': 'the-instance'}


def take_part(bootstrap, group, settings, topic='orders'):
    """A member joins, commits and leaves; a static one stays a member."""
    consumer = Consumer({'bootstrap.servers': bootstrap, 'group.id': group, 'client.id': 'the-client', 'auto.offset.reset': 'earliest', 'enable.auto.commit': False, **settings})
    consumer.subscribe([topic])
    deadline = time.monotonic() + 60
    while not consumer.assignment():
        assert time.monotonic() < deadline, f'{group} without an assignment'
        consumer.poll(0.1)
    consumer.commit(offsets=[TopicPartition('orders', partition, 10 + partition, metadata=f'at {partition}', leader_epoch=0) for partition in range(2)], asynchronous=False)
    consumer.close()


def topic_ids(admin):
    described = admin.describe_topics(TopicCollection(['orders', 'payments']))
    return {name: str(future.result(30).topic_id).translate(str.maketrans('+/', '-_')) for name, future in described.items()}


def has_position(admin, group, topic):
    listed = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(30)
    return any(position.topic == topic for position in listed.topic_partitions)


def main():
    bootstrap, = sys.argv[1:]
    admin = AdminClient({'bootstrap.servers': bootstrap})
    for created in admin.create_topics([NewTopic('orders', 2, 1), NewTopic('payments', 1, 1)]).values():
        created.result(30)
    print(json.dumps(topic_ids(admin)))
    for group, settings in (('classic-left', CLASSIC), ('consumer-left', CONSUMER), ('classic-gone', CLASSIC), ('consumer-gone', CONSUMER),
                            ('changing', CLASSIC), ('changing', CONSUMER), ('changing', CLASSIC), ('classic-static', {**CLASSIC, **STATIC}), ('consumer-static', {**CONSUMER, **STATIC})):
        take_part(bootstrap, group, settings)
    take_part(bootstrap, 'matching', CONSUMER, '^ord.*')
    for group in ('classic-gone', 'consumer-gone'):
        admin.delete_consumer_groups([group])[group].result(30)
    positions = [TopicPartition('orders', 1, 7), TopicPartition('payments', 0, 3)]
    admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions('positions', positions)])['positions'].result(30)
    admin.delete_topics(['payments'])['payments'].result(30)
    deadline = time.monotonic() + 60
    while has_position(admin, 'positions', 'payments'):
        assert time.monotonic() < deadline, 'the position in a topic that was deleted stays'
        time.sleep(0.05)


if __name__ == '__main__':
    main()
