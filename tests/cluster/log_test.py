"""`sluice log` towards people and scripts: dump, verify and repair on the directory of a node, running, stopped and damaged."""
import json
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from cluster import SLUICE, Cluster, run  # noqa: E402

RECORDS = 4500


class LogTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        with Cluster(1) as cluster:
            cluster.create_topic('orders', 1, 1, ['segment.bytes=1048576'])
            words = ''.join(f'key-{n}:{"v" * 1000} {n}\n' for n in range(RECORDS))
            run('kcat', '-P', '-b', cluster.bootstrap(), '-t', 'orders', '-K', ':', '-H', 'h=1', '-X', 'batch.num.messages=20', stdin=words)
            cls.live = next(pathlib.Path(cluster.directory).glob('node-1/**/meta.properties')).parent
            cls.while_live = cls.log('verify', cls.live), cls.log('repair', '--indexes', cls.live), cls.log('dump', cls.live / 'orders-0')
            run(SLUICE, 'dev', 'stop', '--dir', cluster.directory)
            shutil.copytree(cls.live, cls.root / 'whole')

    def setUp(self):
        self.data = self.root / self.id().rsplit('.', 1)[-1]
        shutil.copytree(self.root / 'whole', self.data)
        self.partition = self.data / 'orders-0'
        self.segments = sorted(self.partition.glob('*.log'))
        self.assertGreater(len(self.segments), 3)

    @staticmethod
    def log(*words):
        return run(SLUICE, 'log', *map(str, words), check=False)

    def objects(self, *words, code=0):
        done = self.log(*words, '-o', 'json')
        self.assertEqual(done.returncode, code, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def faults(self, code):
        return [line for line in self.objects('verify', self.data, code=code) if line['type'] == 'fault']

    def test_beside_a_running_server(self):
        verify, repair, dump = self.while_live
        self.assertEqual(verify.returncode, 0, verify.stdout)
        self.assertIn('running server', verify.stderr)
        self.assertEqual(repair.returncode, 6, repair.stderr)
        self.assertEqual([line.split(':')[0].strip() for line in repair.stderr.strip().splitlines()], ['sluice', 'why', 'do'])
        self.assertEqual(dump.returncode, 0)

    def test_a_whole_directory(self):
        summary = self.objects('verify', self.data, '--records')[-1]
        self.assertEqual((summary['faults'], summary['records'] >= RECORDS, summary['live']), (0, True, False))
        self.assertEqual(self.objects('verify', self.partition)[-1]['records'], RECORDS)
        self.assertIn('0 faults', self.log('verify', self.data).stdout)
        self.assertEqual(self.objects('repair', '--indexes', self.partition)[-1]['replaced'], 0)

    def test_every_record_is_dumped(self):
        rows = self.objects('dump', '--records', *self.segments)
        records = [row for row in rows if row['type'] == 'record']
        self.assertEqual([row['offset'] for row in records], list(range(RECORDS)))
        self.assertEqual(records[7]['key'], 'key-7')
        self.assertEqual(records[7]['value'], 'v' * 1000 + ' 7')
        self.assertEqual(records[7]['headers'], [{'key': 'h', 'value': '1'}])
        self.assertTrue(all(row['crc_ok'] for row in rows if row['type'] == 'batch'))
        self.assertIn('batch  base_offset: 0', self.log('dump', self.segments[0]).stdout)

    def test_a_damaged_index_is_found_and_mended(self):
        index = self.segments[1].with_suffix('.index')
        sound = index.read_bytes()
        index.write_bytes(bytes(len(sound)))
        fault, = self.faults(11)
        self.assertEqual((fault['file'], fault['position']), (str(index), 0))
        self.assertIn('zero-filled', fault['problem'])
        self.assertIn('repair --indexes', fault['remedy'])
        self.assertEqual(self.objects('repair', '--indexes', '--dry-run', self.partition)[-1]['replaced'], 1)
        self.assertNotEqual(index.read_bytes(), sound)
        self.assertEqual(self.log('repair', '--indexes', self.data).returncode, 0)
        self.assertEqual(index.read_bytes(), sound)
        self.assertEqual(self.faults(0), [])

    def test_a_damaged_log_is_found_and_left_alone(self):
        damaged = bytearray(self.segments[1].read_bytes())
        damaged[5000] ^= 1
        self.segments[1].write_bytes(damaged)
        fault = self.faults(11)[0]
        self.assertIn('checksum', fault['problem'])
        # Both tell it in the same words.
        damage, = [row for row in self.objects('repair', '--indexes', '--dry-run', self.data, code=11) if row['type'] == 'damage']
        self.assertEqual([damage[key] for key in ('type', 'file', 'position', 'problem', 'indexes')],
                         ['damage', fault['file'], fault['position'], fault['problem'], 'end there'])
        done = self.log('repair', '--indexes', self.data)
        self.assertEqual(done.returncode, 11, done.stderr)
        self.assertEqual(self.segments[1].read_bytes(), bytes(damaged))
        batches = [row for row in self.objects('dump', self.segments[1]) if row['type'] == 'batch']
        self.assertEqual(sum(not row['crc_ok'] for row in batches), 1)

    def test_what_is_not_there_or_nothing_of_ours(self):
        for words, code in ((('verify', self.root / 'nothing'), 3), (('verify', self.root), 2), (('verify', self.segments[0]), 2),
                            (('repair', '--indexes', self.root), 2), (('repair', self.data), 2), (('dump', self.root), 2),
                            (('dump', self.root / 'nothing' / self.segments[0].name), 3), (('dump', __file__), 1)):
            done = self.log(*words)
            self.assertEqual(done.returncode, code, f'{words}: {done.stderr}')
            self.assertTrue(done.stderr)


if __name__ == '__main__':
    unittest.main(verbosity=2)
