"""Log directories both ways. Kafka 4.3.1 writes one (transactions committed and aborted, every codec, headers, compacted topics, tombstones, several segments):
`sluice log verify` finds no fault in it, stopped or killed, and a node of ours serves its files with the same records at the same offsets, and goes on with
them. The other way Kafka serves files of ours. The topics' ids differ between the two, so each keeps its own partition.metadata."""
import base64
import json
import pathlib
import re
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import foreign  # noqa: E402
from cluster import SLUICE, Cluster, run, wait_until  # noqa: E402
from kafka_node import KafkaNode  # noqa: E402

COMPACTED = {'cleanup.policy': 'compact', 'min.cleanable.dirty.ratio': '0.01', 'segment.bytes': '1048576'}
PLAIN_TOPICS = {'codecs': [2, {'retention.ms': '-1'}], 'segments': [1, {'segment.bytes': '1048576'}], 'table': [1, COMPACTED]}
TOPICS = {**PLAIN_TOPICS, 'ledger': [1, {}], 'accounts': [1, COMPACTED]}
RECORDS = str(foreign.COMPAT / 'records.py')
SYNCED, CLEANED = 'recovery-point-offset-checkpoint', 'cleaner-offset-checkpoint'
DUMP = 'org.apache.kafka.tools.DumpLogSegments'
# A time index may name a batch whose records a cleaner has all removed, Kafka's own too; the tool then finds no record to compare with.
EMPTIED = re.compile(r'Found timestamp mismatch in :\S+\n(  Index timestamp: \d+, log timestamp: -1\n)+')


def records(bootstrap, *words):
    return run(foreign.python_with_clients(), RECORDS, bootstrap, *words, timeout=120).stdout.splitlines()


def partitions(topics):
    return [f'{topic}-{n}' for topic, (count, _) in topics.items() for n in range(count)]


def replace_files(source, target, topics):
    """The partitions' files of one log directory in place of another's, which keeps its topic ids."""
    for name in partitions(topics):
        for path in (target / name).iterdir():
            if path.name != 'partition.metadata':
                path.unlink()
        for path in (source / name).iterdir():
            if path.name != 'partition.metadata':
                shutil.copy(path, target / name)


def read_checkpoint(path):
    """{(topic, partition): offset}; Kafka makes its files empty at first."""
    lines = path.read_text().splitlines()[2:] if path.exists() else []
    return {(line.split()[0], int(line.split()[1])): int(line.split()[2]) for line in lines}


def take_checkpoint(name, source, target, topics):
    """What a server knew of its logs, for another that takes them over."""
    entries = {key: offset for key, offset in read_checkpoint(target / name).items() if key[0] not in topics}
    entries.update({key: offset for key, offset in read_checkpoint(source / name).items() if key[0] in topics})
    lines = [f'{topic} {partition} {offset}' for (topic, partition), offset in entries.items()]
    (target / name).write_text('\n'.join(['0', str(len(lines)), *lines]) + '\n')


def compacted(data, topics):
    """Whether the cleaner has been at all but the newest segment."""
    cleaned = read_checkpoint(data / CLEANED)
    newest = {topic: max(int(path.stem) for path in (data / f'{topic}-0').glob('*.log')) for topic in topics}
    return all(newest[topic] > 0 and cleaned.get((topic, 0)) == newest[topic] for topic in topics)


class LogDirectoryTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        foreign.java_classpath()
        foreign.python_with_clients()
        cls.root = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.kafka = cls.enterClassContext(KafkaNode())
        records(cls.kafka.bootstrap, 'create', json.dumps(TOPICS))
        records(cls.kafka.bootstrap, 'history')
        wait_until(lambda: compacted(cls.kafka.data, ('table', 'accounts')), 'Kafka compacted the topics', 40)
        cls.theirs = {isolation: records(cls.kafka.bootstrap, 'read', isolation, *TOPICS)
                      for isolation in ('read_uncommitted', 'read_committed')}
        # As a kill leaves it: active indexes of 10 MiB, no marker, old checkpoints.
        cls.killed = cls.copy('killed')
        cls.kafka.stop()
        cls.stopped = cls.copy('stopped')

    @classmethod
    def copy(cls, name):
        target = cls.root / name
        run('cp', '-r', '--sparse=always', str(cls.kafka.data), str(target))
        return target

    def verify(self, directory, *flags):
        """The findings that are faults, and the summary."""
        done = run(SLUICE, 'log', 'verify', str(directory), '-o', 'json', *flags, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        faults = [line for line in lines if line['type'] == 'fault']
        self.assertEqual(done.returncode, 11 if faults else 0, done.stderr)
        return faults, lines[-1]

    def served_by_sluice(self, source, clean):
        """A node of ours on the files of `source`: what it serves before and after more was appended."""
        cluster = self.enterContext(Cluster(1))
        records(cluster.bootstrap(), 'create', json.dumps(TOPICS))
        run(SLUICE, 'dev', 'stop', '--dir', cluster.directory)
        data = self.data_of(cluster)
        replace_files(source, data, TOPICS)
        take_checkpoint(CLEANED, source, data, TOPICS)
        if clean:
            take_checkpoint(SYNCED, source, data, TOPICS)
        else:
            (data / '.kafka_cleanshutdown').unlink()
        cluster.start_all()
        cluster.refresh()
        return cluster

    @staticmethod
    def data_of(cluster):
        return next(pathlib.Path(cluster.directory).glob('node-1/**/meta.properties')).parent

    def assert_same_records(self, ours, theirs):
        self.assertEqual(len(ours), len(theirs))
        for our, their in zip(ours, theirs):
            self.assertEqual(our, their)

    def test_verify_finds_no_fault_in_kafkas_directory(self):
        for directory in (self.stopped, self.killed):
            with self.subTest(directory=directory.name):
                faults, summary = self.verify(directory, '--records')
                self.assertEqual(faults, [])
                self.assertGreaterEqual(summary['partitions'], len(partitions(TOPICS)))
                self.assertGreater(summary['records'], 5000)

    def test_dump_shows_every_record_of_kafka(self):
        theirs = [line for line in map(json.loads, self.theirs['read_uncommitted']) if isinstance(line, list)]
        rows = [json.loads(line) for line in run(SLUICE, 'log', 'dump', '--records', '-o', 'json', str(self.stopped)).stdout.splitlines()]
        self.assertEqual([row for row in rows if row['type'] == 'damage'], [])
        self.assertEqual({row['end'] for row in rows if row['type'] == 'marker'}, {'abort', 'commit'})
        self.assertTrue(all(row['crc_ok'] for row in rows if row['type'] == 'batch'))
        ours = {(pathlib.Path(row['file']).parent.name, row['offset']): row for row in rows if row['type'] == 'record'}
        for topic, partition, offset, _, time, key, value, headers in theirs:
            row = ours[f'{topic}-{partition}', offset]
            self.assertEqual((row['timestamp_ms'], row['key'], row['value'] is None, len(row['headers'])),
                             (time, key and base64.b64decode(key).decode(), value is None, len(headers)))

    def test_repaired_indexes_of_kafka_are_kafkas(self):
        """Ours of the sealed segments are the same to the byte, transactions' too."""
        copy = self.root / 'repaired'
        shutil.copytree(self.stopped, copy)
        sealed = [path for name in partitions(TOPICS) for path in sorted((copy / name).glob('*.log'))[:-1]]
        indexes = [path.with_suffix(suffix) for path in sealed for suffix in ('.index', '.timeindex', '.txnindex')]
        indexes += [path for path in copy.glob('ledger-0/*.txnindex')]
        before = {path: path.read_bytes() for path in indexes if path.exists()}
        self.assertTrue(any(path.suffix == '.txnindex' and content for path, content in before.items()))
        for path in before:
            path.unlink()
        self.assertNotEqual(self.verify(copy)[0], [])
        run(SLUICE, 'log', 'repair', '--indexes', str(copy))
        self.assertEqual(self.verify(copy)[0], [])
        for path, content in before.items():
            if 'accounts' not in path.parent.name or path.suffix != '.txnindex':
                self.assertEqual(path.read_bytes(), content, path)

    def test_sluice_serves_the_files_of_kafka(self):
        for source, clean in ((self.stopped, True), (self.killed, False)):
            with self.subTest(source=source.name):
                cluster = self.served_by_sluice(source, clean)
                for isolation, theirs in self.theirs.items():
                    self.assert_same_records(records(cluster.bootstrap(), 'read', isolation, *TOPICS), theirs)
                records(cluster.bootstrap(), 'more', *PLAIN_TOPICS)
                again = records(cluster.bootstrap(), 'read', 'read_uncommitted', *PLAIN_TOPICS)
                appended = base64.b64encode(b'appended').decode()
                self.assertEqual(sum(appended in line for line in again), 10 * len(PLAIN_TOPICS))
                run(SLUICE, 'dev', 'stop', '--dir', cluster.directory)
                self.assertEqual(self.verify(self.data_of(cluster))[0], [])

    def test_kafka_serves_the_files_of_sluice(self):
        with Cluster(1, settings=['log.cleaner.backoff.ms=200']) as cluster:
            data = self.data_of(cluster)
            records(cluster.bootstrap(), 'create', json.dumps(PLAIN_TOPICS))
            records(cluster.bootstrap(), 'plain')
            wait_until(lambda: compacted(data, ['table']), 'Sluice compacted the topic', 40)
            ours = records(cluster.bootstrap(), 'read', 'read_uncommitted', *PLAIN_TOPICS)
            run(SLUICE, 'dev', 'stop', '--dir', cluster.directory)
            self.assertEqual(self.verify(data, '--records')[0], [])
            files = sorted(path for name in partitions(PLAIN_TOPICS) for path in (data / name).iterdir()
                           if path.suffix in ('.log', '.index', '.timeindex', '.snapshot'))
            said = foreign.kafka_tool(DUMP, '--files', ','.join(map(str, files)), '--deep-iteration', '--skip-record-metadata')
            text = EMPTIED.sub('', said.stdout + said.stderr)
            self.assertNotRegex(text, r'(?i)mismatch|does not match|out of order|exception|isvalid: false|corrupt|not found')
            # The topics are Kafka's from before; their files were kept aside.
            replace_files(data, self.kafka.data, PLAIN_TOPICS)
            for name in (SYNCED, CLEANED):
                take_checkpoint(name, data, self.kafka.data, PLAIN_TOPICS)
            self.kafka.start()
            try:
                self.assert_same_records(records(self.kafka.bootstrap, 'read', 'read_uncommitted', *PLAIN_TOPICS), ours)
                records(self.kafka.bootstrap, 'more', *PLAIN_TOPICS)
            finally:
                self.kafka.stop()
            self.assertEqual(self.verify(self.kafka.data)[0], [])


if __name__ == '__main__':
    unittest.main(verbosity=2)
