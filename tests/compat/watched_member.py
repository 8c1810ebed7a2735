"""watched_member.py BOOTSTRAP GROUP TOPIC [KEY=VALUE...]: one member with librdkafka's defaults, until its stdin closes. It commits what it has read, one commit after
the other, and prints a line for each thing that has happened, with the monotonic clock: "record T PARTITION" (the first of each batch), "commit T", "heartbeat T",
"assigned T", "revoked T", "failed T REASON"."""
import logging
import re
import select
import sys
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition


class Heartbeats(logging.Handler):
    """librdkafka has no callback for them; its log of the protocol has a line for each answer."""

    def emit(self, record):
        if re.search(r'Received (ConsumerGroup)?HeartbeatResponse', record.getMessage()):
            tell('heartbeat')


def tell(what, *details):
    print(what, f'{time.monotonic():.4f}', *details, flush=True)


class Member:

    def __init__(self, bootstrap, group, topic, settings):
        log = logging.Logger('librdkafka', logging.DEBUG)
        log.addHandler(Heartbeats())
        self.topic, self.positions, self.in_flight = topic, {}, False
        self.consumer = Consumer({'bootstrap.servers': bootstrap, 'group.id': group, 'auto.offset.reset': 'earliest', 'enable.auto.commit': False,
                                  'debug': 'protocol', 'on_commit': self.committed, **settings}, logger=log)
        self.consumer.subscribe([topic], on_assign=lambda *_: tell('assigned'), on_revoke=lambda *_: tell('revoked'), on_lost=lambda *_: tell('revoked'))

    def committed(self, error, _):
        self.in_flight = False
        tell('commit') if error is None else tell('failed', error)

    def step(self):
        partitions = set()
        for message in self.consumer.consume(500, 0.01):
            if message.error() is None:
                self.positions[message.partition()] = message.offset() + 1
                partitions.add(message.partition())
        for partition in partitions:
            tell('record', partition)
        if not self.in_flight and self.positions:
            positions, self.positions, self.in_flight = self.positions, {}, True
            try:
                self.consumer.commit(offsets=[TopicPartition(self.topic, *position) for position in positions.items()], asynchronous=True)
            except KafkaException as error:
                self.in_flight = False
                tell('failed', error)


def main():
    bootstrap, group, topic, *settings = sys.argv[1:]
    member = Member(bootstrap, group, topic, dict(setting.split('=', 1) for setting in settings))
    while not select.select([sys.stdin], [], [], 0)[0]:
        member.step()
    member.consumer.close()


if __name__ == '__main__':
    main()
