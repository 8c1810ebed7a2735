"""Unmodified clients in groups of the consumer protocol (KIP-848), librdkafka and Java, all at once on one cluster, through the same as those of the classic one: members
join, leave, are killed and paused while the one coordinator of all the groups is killed."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import foreign  # noqa: E402
import groups_test  # noqa: E402


class ConsumerGroupsTest(groups_test.GroupsTest):
    PROTOCOL = 'consumer'
    TELLING = ('confluent-consumer', 'confluent-consumer-range', 'confluent-consumer-static', 'verifiable-consumer')
    SILENT = ('console-consumer',)
    SETTINGS = ('group.consumer.min.session.timeout.ms=6000', 'group.consumer.session.timeout.ms=6000',
                'group.consumer.min.heartbeat.interval.ms=1000', 'group.consumer.heartbeat.interval.ms=1000')

    @classmethod
    def setUpClass(cls):
        foreign.java_classpath()
        cls.python = foreign.python_with_clients()


if __name__ == '__main__':
    unittest.main(verbosity=2)
