"""A compacted topic on three real nodes: each replica cleans its own log; of each key the last record stays, at its offset, over restarts and failovers."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from cluster import Cluster, run, wait_until  # noqa: E402

TOPIC = 'latest'
KEYS = 700
CLEANED_BYTES_MAX = 5 * (1 << 20) // 4  # the active segment, at most 1 MiB, and one record of each key
RECORDS = 40_000  # of some 130 bytes: five segments of 1 MiB and a part of the sixth


class CompactionTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        settings = ('log.cleaner.backoff.ms=100', 'log.cleaner.threads=2')
        cls.cluster = cls.enterClassContext(Cluster(3, settings=settings))

    def produce(self, lines):
        run('kcat', '-P', '-b', self.cluster.bootstrap(), '-t', TOPIC, '-p', '0', '-K', ':', '-Z',
            '-X', 'enable.idempotence=true', '-X', 'batch.num.messages=100', stdin=''.join(lines))

    def stored(self, start='beginning'):
        """(offset, key, value) of each record from `start` on; None for a tombstone."""
        out = run('kcat', '-C', '-q', '-b', self.cluster.bootstrap(), '-t', TOPIC, '-p', '0', '-o', str(start), '-e', '-Z',
                  '-f', '%o %k %s\n').stdout
        records = [line.split(' ') for line in out.splitlines()]
        return [(int(offset), key, None if value == 'NULL' else value) for offset, key, value in records]

    def log_bytes(self):
        """Of the topic's partition, by node."""
        logs = sorted(pathlib.Path(self.cluster.directory).glob(f'node-*/**/{TOPIC}-0'))
        return [sum(file.stat().st_size for file in log.glob('*.log')) for log in logs]

    def check(self, written):
        records = self.stored()
        for offset, key, value in records:
            self.assertEqual((key, value), written[offset])
        newest = {key: offset for offset, (key, _) in enumerate(written)}
        found = {key: offset for offset, key, _ in records}
        for key, offset in newest.items():
            # A tombstone may have gone; nothing older may have come back for it.
            if written[offset][1] is None and key not in found:
                continue
            self.assertEqual(found[key], offset, key)
        return records

    def test_the_last_record_of_each_key_stays_where_it_is(self):
        self.cluster.create_topic(TOPIC, configs=('cleanup.policy=compact', 'segment.bytes=1048576', 'min.cleanable.dirty.ratio=0.1',
                                                  'delete.retention.ms=0'))
        written = [(f'key-{n * 7919 % KEYS}', f'{n}-' + 'v' * 100) for n in range(RECORDS)]
        for n in range(0, 2000, 100):
            written[n] = (f'gone-{n}', None)
        self.produce(f'{key}:{value or ""}\n' for key, value in written)
        # To the end: a sealed segment that is still to be cleaned and the active one are more.
        wait_until(lambda: len(self.log_bytes()) == 3 and max(self.log_bytes()) < CLEANED_BYTES_MAX, 'every replica cleaned', 30)
        records = self.check(written)
        self.assertLess(len(records), RECORDS // 2)

        # An offset that is gone gives the next one that is there.
        there = {offset for offset, _, _ in records}
        gone = next(offset for offset in range(2000, RECORDS) if offset not in there)  # above the tombstones
        self.assertEqual(self.stored(gone)[0][0], min(offset for offset in there if offset > gone))

        more = [(f'key-{n % KEYS}', f'again-{n}') for n in range(KEYS)]
        self.produce(f'{key}:{value}\n' for key, value in more)
        written += more
        self.cluster.kill_all()
        self.cluster.start_all()
        self.cluster.refresh()
        wait_until(lambda: self.cluster.fully_in_sync(TOPIC), 'all replicas in sync after the restart', 10)
        self.check(written)

        # A replica that was behind reads over the gaps; then it leads.
        leader = self.cluster.partitions(TOPIC)[0]['leader']
        self.cluster.kill(leader)
        wait_until(lambda: self.cluster.partitions(TOPIC)[0]['leader'] not in (leader, -1), 'another leader', 10)
        self.check(written)


if __name__ == '__main__':
    unittest.main()
