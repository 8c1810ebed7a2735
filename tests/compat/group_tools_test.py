"""Apache Kafka's own group tools, every sub-command, against Sluice and against Apache Kafka itself with the same history: they print the same and end with the same
code. What may differ is masked: addresses, ids that a client or a broker makes up, and times."""
import concurrent.futures
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import foreign  # noqa: E402
from cluster import Cluster, run, wait_until  # noqa: E402
from kafka_node import KafkaNode  # noqa: E402

GROUP, MODERN, TOPIC, OTHER = 'the-group', 'modern-group', 'orders', 'payments'
COUNTS = {TOPIC: (10, 25, 0), OTHER: (5,)}  # records before the noted time, by partition; as many again after it
MASKS = ((r'\(?\b127\.0\.0\.1:\d+\)?', 'ADDRESS'), (r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', 'UUID'),
         (r'(?<![\w-])[\w-]{21}[AQgw](?![\w-])', 'UUID'), (r'(?<=Valid states are: ).*', 'STATES'), (r'(?<=ADDRESS) +\(\d+\)', ' (NODE)'),
         (r'^\[\d{4}-\d\d-\d\d [\d:,]+\] ', ''), (r' +\n', '\n'), (r' {2,}', '  '), (r'\(id: \d+ rack: null[^)]*\)', '(NODE)'))


def masked(text):
    for pattern, instead in MASKS:
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return '\n'.join(sorted(text.splitlines()))


class Side:
    """One of the two that are compared."""

    def __init__(self, name, bootstrap, tools):
        self.name, self.bootstrap, self.tools, self.consumers = name, bootstrap, tools, {}

    def tool(self, name, *arguments):
        main_class = {'groups': 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand', 'all-groups': 'org.apache.kafka.tools.GroupsCommand',
                      'topics': 'org.apache.kafka.tools.TopicCommand', 'configs': 'kafka.admin.ConfigCommand'}[name]
        return self.tools.run(main_class, '--bootstrap-server', self.bootstrap, *arguments)

    def produce(self):
        for topic, counts in COUNTS.items():
            for partition, count in enumerate(counts):
                if count > 0:
                    run('kcat', '-P', '-b', self.bootstrap, '-t', topic, '-p', str(partition), stdin=''.join(f'{n}\n' for n in range(count)))

    def prepare(self):
        for topic, counts in COUNTS.items():
            created = self.tool('topics', '--create', '--topic', topic, '--partitions', str(len(counts)))
            assert created.returncode == 0, created.stdout + created.stderr
        self.produce()

    def start_consumer(self, group=GROUP):
        """With names, so that both sides print the same for it: of the classic protocol a static member, of the other one a member that leaves when it ends."""
        settings = {GROUP: ('group.instance.id=the-instance', 'session.timeout.ms=6000'), MODERN: ('group.protocol=consumer', 'client.rack=the-rack')}[group]
        settings = [word for setting in ('client.id=the-client', 'enable.auto.commit=false', *settings) for word in ('--command-property', setting)]
        self.consumers[group] = subprocess.Popen(
            foreign.java_command('org.apache.kafka.tools.consumer.ConsoleConsumer', '--bootstrap-server', self.bootstrap, '--topic', TOPIC, '--group', group, *settings),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: self.has_settled(group), f'the member of {self.name} is in its group', 60)

    def stop_consumer(self, group=GROUP):
        consumer = self.consumers.get(group)
        if consumer is not None and consumer.poll() is None:
            consumer.send_signal(signal.SIGTERM)
            consumer.wait(30)
        wait_until(lambda: self.is_empty(group), f'the group of {self.name} is empty', 60)

    def end_consumers(self):
        for consumer in self.consumers.values():
            consumer.kill()
            consumer.wait(30)

    def has_settled(self, group):
        return re.search(r'\bStable +1\b', self.tool('groups', '--describe', '--group', group, '--state').stdout)

    def is_empty(self, group):
        return group in self.tool('groups', '--list', '--state', 'empty').stdout


class GroupToolsTest(unittest.TestCase):

    def setUp(self):
        foreign.java_classpath()
        cluster = self.enterContext(Cluster(3, settings=['group.initial.rebalance.delay.ms=0']))
        kafka = self.enterContext(KafkaNode())
        self.sides = [Side(name, bootstrap, self.enterContext(foreign.ToolBox())) for name, bootstrap in (('sluice', cluster.bootstrap()), ('kafka', kafka.bootstrap))]
        for side in self.sides:
            self.addCleanup(side.end_consumers)
        self.pool = self.enterContext(concurrent.futures.ThreadPoolExecutor(2))
        self.files = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def on_both(self, action):
        return list(self.pool.map(action, self.sides))

    def same(self, *arguments, tool='groups', expect=None):
        """Both print the same, and `expect` is found in it; gives what Sluice's printed."""
        sluice, kafka = self.on_both(lambda side: side.tool(tool, *arguments))
        with self.subTest(arguments=' '.join(arguments)):
            shown = [masked(done.stdout + done.stderr) for done in (sluice, kafka)]
            self.assertEqual(*shown)
            self.assertEqual(sluice.returncode, kafka.returncode)
            if expect is not None:
                self.assertRegex(shown[0], expect)
        return sluice.stdout

    def reset(self, *arguments, expect=None, group=GROUP):
        return self.same('--reset-offsets', '--group', group, *arguments, expect=expect)

    def test_the_tools_print_what_they_print_for_kafka(self):
        self.on_both(Side.prepare)
        middle = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime()) + f'.{time.time_ns() // 1000000 % 1000:03}'
        self.on_both(Side.produce)
        self.check_without_the_group()
        self.check_resets(middle)
        self.check_files()
        self.check_a_group_without_members()
        self.check_a_group_with_a_member()
        self.check_a_group_of_the_consumer_protocol()
        self.check_deletions()
        self.check_configs()
        self.check_what_is_refused()

    def check_without_the_group(self):
        self.same('--list', expect=r'^$')
        self.same('--describe', '--group', GROUP, expect='GroupIdNotFoundException')
        self.same('--describe', '--group', GROUP, '--members')
        self.same('--describe', '--group', GROUP, '--state')
        self.same('--describe', '--group', GROUP, '--offsets')
        self.same('--delete', '--group', GROUP, expect='GroupIdNotFoundException')
        self.same('--delete-offsets', '--group', GROUP, '--topic', TOPIC, expect='GroupIdNotFoundException|not exist')

    def check_resets(self, middle):
        """All kinds; each starts from what the one before left."""
        self.reset('--topic', TOPIC, '--to-earliest', '--dry-run', expect=fr'{GROUP} +{TOPIC} +1 +0\b')
        self.same('--list', expect=r'^$')
        self.reset('--topic', TOPIC, '--to-earliest', '--execute', expect=fr'{GROUP} +{TOPIC} +1 +0\b')
        self.reset('--topic', TOPIC, '--shift-by', '7', '--execute', expect=fr'{TOPIC} +1 +7\b')
        self.reset('--topic', TOPIC, '--shift-by', '-100', '--dry-run', expect=fr'{TOPIC} +1 +0\b')
        self.reset('--topic', f'{TOPIC}:0,1', '--to-offset', '12', '--execute', expect=fr'{TOPIC} +1 +12\b')
        self.reset('--topic', f'{TOPIC}:0', '--to-offset', '1000', '--dry-run', expect=fr'{TOPIC} +0 +20\b')
        self.reset('--topic', TOPIC, '--to-datetime', middle, '--execute', expect=fr'{TOPIC} +1 +25\b')
        self.reset('--topic', TOPIC, '--to-datetime', '2999-01-01T00:00:00.000', '--dry-run', expect=fr'{TOPIC} +1 +50\b')
        self.reset('--topic', TOPIC, '--by-duration', 'PT1H', '--dry-run', expect=fr'{TOPIC} +1 +0\b')
        self.reset('--topic', f'{TOPIC}:0', '--topic', f'{TOPIC}:2', '--by-duration', 'P0DT0H0M0S', '--execute', expect=fr'{TOPIC} +0 +20\b')
        self.reset('--topic', OTHER, '--to-latest', '--execute', expect=fr'{OTHER} +0 +10\b')
        self.reset('--all-topics', '--to-current', '--dry-run', expect=fr'{TOPIC} +1 +25\b')
        self.reset('--all-topics', '--to-current', '--execute', expect=fr'{TOPIC} +1 +25\b')
        self.same('--reset-offsets', '--all-groups', '--all-topics', '--shift-by', '1', '--dry-run', expect=fr'{TOPIC} +1 +26\b')
        self.reset('--topic', 'nowhere', '--to-earliest', '--dry-run')

    def check_files(self):
        plan = self.reset('--all-topics', '--to-earliest', '--export', '--dry-run', expect='"?orders"?,1,0')
        file = self.files / 'plan.csv'
        file.write_text('\n'.join(line for line in plan.splitlines() if line.count(',') == 2) + '\n')
        self.reset('--from-file', str(file), '--dry-run', expect=fr'{TOPIC} +1 +0\b')
        file.write_text(f'{TOPIC},0,3\n{TOPIC},1,30\n{TOPIC},2,0\n')
        self.reset('--from-file', str(file), '--execute', expect=fr'{TOPIC} +1 +30\b')
        # Of two groups, with their names in each line.
        self.reset('--topic', TOPIC, '--to-offset', '5', '--execute', group=MODERN, expect=fr'{MODERN} +{TOPIC} +1 +5\b')
        plan = self.reset('--all-topics', '--to-current', '--export', '--group', MODERN, expect=f'{MODERN}"?,"?orders"?,1,5')
        file.write_text('\n'.join(line for line in plan.splitlines() if line.count(',') == 3) + '\n')
        self.reset('--from-file', str(file), '--group', MODERN, '--dry-run', expect=fr'{MODERN} +{TOPIC} +1 +5\b')

    def check_a_group_without_members(self):
        self.same('--describe', '--group', GROUP, expect=fr'{TOPIC} +1 +30 +50 +20\b')
        self.same('--describe', '--group', GROUP, '--offsets', '--verbose', expect=fr'{TOPIC} +1 ')
        self.same('--describe', '--group', GROUP, '--members')
        self.same('--describe', '--group', GROUP, '--state', '--verbose', expect=r'Empty +')
        self.same('--list', '--state', expect=fr'{GROUP} +Empty')

    def check_a_group_with_a_member(self):
        self.on_both(Side.start_consumer)
        for words in ([], ['--offsets', '--verbose'], ['--members'], ['--members', '--verbose'], ['--state'], ['--state', '--verbose']):
            self.same('--describe', '--group', GROUP, *words, expect=GROUP)
        self.same('--describe', '--all-groups', expect='the-client')
        self.same('--list', '--state', 'stable', expect=fr'{GROUP} +Stable')
        self.same('--list', '--state', 'empty,dead')
        self.same('--list', '--type', 'classic', expect=GROUP)
        self.same('--list', '--type', 'consumer')
        self.same('--list', tool='all-groups', expect=fr'{GROUP} +Classic +consumer')
        self.same('--list', '--group-type', 'share', tool='all-groups')
        self.reset('--topic', TOPIC, '--to-earliest', '--execute', expect='inactive')
        self.same('--delete', '--group', GROUP, expect='GroupNotEmptyException')
        self.same('--delete-offsets', '--group', GROUP, '--topic', TOPIC, expect='GroupSubscribedToTopic|subscribed')
        self.same('--delete-offsets', '--group', GROUP, '--topic', OTHER, expect='Successful')

    def check_a_group_of_the_consumer_protocol(self):
        self.on_both(lambda side: side.start_consumer(MODERN))
        for words in ([], ['--offsets', '--verbose'], ['--members'], ['--members', '--verbose'], ['--state'], ['--state', '--verbose']):
            self.same('--describe', '--group', MODERN, *words, expect=MODERN)
        for words in (['--members', '--verbose'], ['--state']):
            self.same('--describe', '--group', MODERN, '--group', GROUP, *words, expect='the-instance|localhost|ADDRESS')
            self.same('--describe', '--all-groups', *words)
        self.same('--list', '--type', expect=f'{MODERN} +Consumer')
        self.same('--list', '--state', '--type', expect=f'{MODERN} +Consumer +Stable')
        self.same('--list', '--type', 'consumer', '--state', 'stable,reconciling', expect=MODERN)
        for words, expect in (([], f'{MODERN} +Consumer +consumer'), (['--consumer'], GROUP), (['--protocol', 'consumer'], GROUP), (['--protocol', 'connect'], None),
                              (['--group-type', 'consumer'], MODERN), (['--group-type', 'classic'], GROUP), (['--share'], None), (['--streams'], None)):
            self.same('--list', *words, tool='all-groups', expect=expect)
        self.reset('--topic', TOPIC, '--to-earliest', '--execute', group=MODERN, expect='inactive')
        self.same('--delete', '--group', MODERN, expect='GroupNotEmptyException')
        self.same('--delete-offsets', '--group', MODERN, '--topic', TOPIC, expect='GroupSubscribedToTopic|subscribed')
        self.on_both(lambda side: side.stop_consumer(MODERN))
        for words in (['--state', '--verbose'], ['--members', '--verbose'], ['--offsets']):
            self.same('--describe', '--group', MODERN, *words)
        self.reset('--topic', TOPIC, '--shift-by', '2', '--execute', group=MODERN, expect=fr'{TOPIC} +1 +7\b')
        self.same('--delete-offsets', '--group', MODERN, '--topic', f'{TOPIC}:1', expect=fr'{TOPIC} +1 +Successful')

    def check_deletions(self):
        """A static member that ends stays for its session."""
        self.on_both(Side.stop_consumer)
        self.same('--delete-offsets', '--group', GROUP, '--topic', f'{TOPIC}:0', '--topic', 'nowhere:0', expect=fr'{TOPIC} +0 +Successful')
        self.same('--describe', '--all-groups', '--offsets', expect=fr'{TOPIC} +1 ')
        self.same('--delete', '--group', MODERN, '--group', 'nobody', expect=f'{MODERN}.*success|success.*{MODERN}')
        self.same('--delete', '--all-groups', expect='was successful')
        self.same('--list', expect=r'^$')

    def check_configs(self):
        """Of a group, which need not exist."""
        entity = ('--entity-type', 'groups', '--entity-name', GROUP)
        self.same('--alter', *entity, '--add-config', 'consumer.session.timeout.ms=50000,consumer.heartbeat.interval.ms=6000', tool='configs', expect='Completed')
        self.same('--describe', *entity, tool='configs', expect=r'consumer.session.timeout.ms=50000 .*DEFAULT_CONFIG:group.consumer.session.timeout.ms=45000')
        self.same('--alter', *entity, '--delete-config', 'consumer.session.timeout.ms', tool='configs', expect='Completed')
        self.same('--describe', '--entity-type', 'groups', tool='configs', expect=r'^ *consumer.heartbeat.interval.ms=6000 ')

    def check_what_is_refused(self):
        self.same('--list', '--state', 'strange')
        self.same('--list', '--type', 'strange')
        self.same('--list', '--group-type', 'strange', tool='all-groups')
        self.reset('--topic', TOPIC, '--to-datetime', 'yesterday', '--dry-run')
        self.reset('--topic', f'{TOPIC}:7', '--to-earliest', '--dry-run')
        self.reset('--all-topics', '--to-earliest', '--dry-run')
        self.reset('--topic', TOPIC, '--shift-by', '1', '--dry-run', group='nobody')
        self.same('--validate-regex', 'ord.*', expect='is valid')
        self.same('--validate-regex', 'ord(?=ers)', expect='invalid|not valid')


if __name__ == '__main__':
    unittest.main(verbosity=2)
