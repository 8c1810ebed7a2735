"""Kafka's own DumpLogSegments on every file of partitions that storage/ wrote: rolled, truncated, killed, recovered, advanced. It ends with 0 even when it
finds a mismatch, so its words are read."""
import pathlib
import re
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import foreign  # noqa: E402
from cluster import BUILD, run  # noqa: E402

TOOL = 'org.apache.kafka.tools.DumpLogSegments'
COMPLAINTS = re.compile(r'Mismatch|mismatch|does not match|out of order|Exception|isvalid: false|Corrupt|corrupt|not found|less than')


class DumpLogSegmentsTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        foreign.java_classpath()
        cls.root = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        text = run(BUILD / 'write_log', str(cls.root)).stdout
        cls.ends = {name: (int(start), int(end)) for name, start, end in map(str.split, text.splitlines())}

    def files(self, *suffixes, partition='*'):
        found = sorted(p for s in suffixes for p in self.root.glob(f'{partition}/*{s}'))
        self.assertTrue(found, f'no files with {suffixes}')
        return found

    def dump(self, files, *flags):
        done = foreign.kafka_tool(TOOL, '--files', ','.join(map(str, files)), *flags)
        said = [line for line in (done.stdout + done.stderr).splitlines() if COMPLAINTS.search(line)]
        self.assertEqual(said, [])
        return done.stdout

    def test_every_batch_and_record_of_every_segment(self):
        for partition, (start, end) in self.ends.items():
            with self.subTest(partition=partition):
                text = self.dump(self.files('.log', partition=partition), '--deep-iteration', '--skip-record-metadata')
                batches = [(int(a), int(b)) for a, b in re.findall(r'^baseOffset: (\d+) lastOffset: (\d+)', text, re.M)]
                self.assertEqual(batches[-1][1], end - 1)
                self.assertLessEqual(batches[0][0], start)
                self.assertTrue(all(b[0] == a[1] + 1 for a, b in zip(batches, batches[1:])), 'a gap between batches')

    def test_every_index_entry(self):
        text = self.dump(self.files('.index', '.timeindex'), '--deep-iteration')
        self.assertGreater(len(re.findall(r'^offset: \d+ position: \d+', text, re.M)), 100)
        self.assertGreater(len(re.findall(r'^timestamp: \d+ offset: \d+', text, re.M)), 100)

    def test_index_verification_and_sanity_check(self):
        self.dump(self.files('.index', '.timeindex'), '--verify-index-only')
        indexes = self.files('.index', '.timeindex')
        text = self.dump(indexes, '--index-sanity-check')
        self.assertEqual(len(re.findall('passed sanity check', text)), len(indexes))

    def test_every_aborted_transaction(self):
        text = self.dump(self.files('.txnindex', partition='transactions-0'))
        entries = [tuple(map(int, entry)) for entry in re.findall(r'version: (\d+) producerId: (\d+) firstOffset: (\d+) lastOffset: (\d+) lastStableOffset: (\d+)', text)]
        self.assertEqual(entries, [(0, 502, 6 * i + 1, 6 * i + 4, 6 * i) for i in range(300)])

    def test_every_producer_snapshot(self):
        text = self.dump(self.files('.snapshot'))
        self.assertRegex(text, r'producerId: 1001 producerEpoch: 0')


if __name__ == '__main__':
    unittest.main(verbosity=2)
