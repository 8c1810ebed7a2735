"""Kafka Streams' own word count, unmodified, at least once: of two instances one is killed with -9 and a third one joins while the coordinator of their group is killed,
later one is paused until it is put out, and one leaves. It makes its own topics. No word is ever counted less often than it was said, and exactly as often where no kill fell inside."""
import collections
import pathlib
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import foreign  # noqa: E402
from cluster import OFFSETS_TOPIC, Cluster, partition_of_group, run, wait_until  # noqa: E402

INPUT, OUTPUT, APPLICATION = 'streams-plaintext-input', 'streams-wordcount-output', 'word-count'
PARTITIONS, WORDS, STEP_S_MAX = 4, 40, 90
SETTINGS = {'application.id': APPLICATION, 'replication.factor': 3, 'commit.interval.ms': 200, 'main.consumer.session.timeout.ms': 10000,
            'main.consumer.heartbeat.interval.ms': 1000}


class StreamsTest(unittest.TestCase):

    def setUp(self):
        foreign.java_classpath()
        self.cluster = self.enterContext(Cluster(3, settings=['group.initial.rebalance.delay.ms=500']))
        self.directory = pathlib.Path(self.cluster.directory)
        for topic in (INPUT, OUTPUT):
            self.cluster.create_topic(topic, PARTITIONS, 3)
        self.instances = []
        self.said, self.exact = collections.Counter(), []

    def start_instance(self):
        name = f'instance-{len(self.instances)}'
        config = self.directory / f'{name}.properties'
        lines = {**SETTINGS, 'bootstrap.servers': self.cluster.bootstrap(), 'state.dir': self.directory / name, 'client.id': name}
        config.write_text(''.join(f'{key}={value}\n' for key, value in lines.items()))
        with open(self.directory / f'{name}.log', 'w') as log:
            instance = subprocess.Popen(foreign.java_command('org.apache.kafka.streams.examples.wordcount.WordCountDemo', str(config), heap='192m'), stdout=log, stderr=log)
        self.addCleanup(self.end, instance, signal.SIGKILL)
        self.instances.append(instance)

    @staticmethod
    def end(instance, how):
        if instance.poll() is None:
            instance.send_signal(how)
            instance.wait(STEP_S_MAX)

    def say(self, phase, lines):
        text = [' '.join(f'{phase}{(n * step) % WORDS}' for step in (1, 3, 7)) for n in range(lines)]
        run('kcat', '-P', '-b', self.cluster.bootstrap(), '-t', INPUT, '-X', 'acks=all', '-X', 'enable.idempotence=true', stdin='\n'.join(text) + '\n')
        self.said.update(word for line in text for word in line.split())

    def counts(self):
        """The last count of each word; too few while a leader has just been killed."""
        text = run('kcat', '-C', '-q', '-b', self.cluster.bootstrap(), '-t', OUTPUT, '-o', 'beginning', '-e', '-s', 'value=q', '-f', '%k %s\n', check=False).stdout
        return {word: int(count) for word, count in map(str.split, text.splitlines())}

    def short(self, said):
        """The words that are counted less often than they were said."""
        counts = self.counts()
        return {word: f'{counts.get(word, 0)} of {count}' for word, count in said.items() if counts.get(word, 0) < count}

    def wait_for(self, condition, what):
        begin = time.monotonic()
        try:
            result = wait_until(condition, what, STEP_S_MAX)
        except AssertionError as error:
            raise AssertionError(f'{error}; not counted: {self.short(self.said)}; {self.cluster.admin("group", "describe", APPLICATION, check=False)}') from None
        print(f'  {time.monotonic() - begin:5.1f} s: {what}', flush=True)
        return result

    def wait_until_counted(self, phase):
        said = {word: count for word, count in self.said.items() if word.startswith(phase)}
        self.wait_for(lambda: not self.short(said), f'each word of the {phase} phase is counted')
        # Until then a kill would have what is counted counted again.
        self.wait_for(self.all_committed, 'and committed')

    def all_committed(self):
        """Of the input and of the topic between the two halves of the work."""
        partitions = (self.cluster.admin('group', 'lag', APPLICATION, check=False) or {'partitions': []})['partitions']
        return len(partitions) == 2 * PARTITIONS and all((partition['committed'] or 0) == partition['log_end'] for partition in partitions)

    def group(self):
        group = self.cluster.admin('group', 'describe', APPLICATION, check=False)
        return group if group and group['state'] == 'Stable' and all(member['assignment'] for member in group['members']) else None

    def wait_for_members(self, names):
        """Each with tasks; gives the generation."""
        def settled():
            group = self.group()
            return group if group and {member['client_id'].partition('-StreamThread')[0] for member in group['members']} == names else None
        # Asked once more it might be in the rebalance by which Streams moves a task to where its state is.
        return self.wait_for(settled, f'{", ".join(sorted(names))} have tasks')['generation']

    def calm_phase(self, phase, names):
        """Until no rebalance falls into it: Streams may move tasks once more some time after instances came. Then every count of it is exact."""
        for attempt in (f'{phase}a', f'{phase}b', f'{phase}c'):
            generation = self.wait_for_members(names)
            self.say(attempt, 500)
            self.wait_until_counted(attempt)
            if self.wait_for_members(names) == generation:
                self.exact.append(attempt)
                break

    def test_the_word_count_outlives_an_instance_and_the_coordinator(self):
        self.start_instance()
        self.start_instance()
        self.calm_phase('first', {'instance-0', 'instance-1'})
        partitions = self.cluster.partitions(OFFSETS_TOPIC)
        coordinator = partitions[partition_of_group(APPLICATION, len(partitions))]['leader']
        self.say('storm', 500)
        self.instances[0].kill()
        self.cluster.kill(coordinator)
        self.start_instance()
        for _ in range(5):
            self.say('storm', 200)
        self.wait_until_counted('storm')
        self.cluster.start(coordinator)
        self.calm_phase('second', {'instance-1', 'instance-2'})
        self.instances[1].send_signal(signal.SIGSTOP)
        self.say('paused', 500)
        self.wait_for_members({'instance-2'})
        self.instances[1].send_signal(signal.SIGCONT)
        self.wait_until_counted('paused')
        self.wait_for_members({'instance-1', 'instance-2'})
        self.end(self.instances[1], signal.SIGTERM)
        self.calm_phase('third', {'instance-2'})
        self.assertEqual(self.short(self.said), {})
        counts = self.counts()
        self.assertEqual(set(counts), set(self.said))
        print(f'  exact: {", ".join(self.exact)}', flush=True)
        for word, count in self.said.items():
            if word.startswith(tuple(self.exact)):
                self.assertEqual(counts[word], count, word)


if __name__ == '__main__':
    unittest.main(verbosity=2)
