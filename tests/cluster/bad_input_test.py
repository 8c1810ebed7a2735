"""The wire's bad input against a real node: the connection closes, other clients go on, memory stays, and one line is logged."""
import pathlib
import socket
import struct
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from cluster import Cluster, run, wait_until  # noqa: E402

RSS_SLACK_KIB = 8 * 1024


def rss_kib(pid):
    for line in pathlib.Path(f'/proc/{pid}/status').read_text().splitlines():
        if line.startswith('VmRSS:'):
            return int(line.split()[1])
    raise AssertionError('no VmRSS')


def header(key, version, correlation=7, client=b'raw'):
    return struct.pack('>hhih', key, version, correlation, len(client)) + client


def string(text):
    return struct.pack('>h', -1) if text is None else struct.pack('>h', len(text)) + text


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def record(delta, key, value):
    def field(data):
        return varint(-1) if data is None else varint(len(data)) + data
    body = b'\0' + varint(0) + varint(delta) + field(key) + field(value) + varint(0)
    return varint(len(body)) + body


def varint(number):
    number, out = number << 1 ^ number >> 63, b''
    while number > 127:
        number, out = number >> 7, out + bytes([number & 127 | 128])
    return out + bytes([number])


def batch(*records, magic=2, attributes=0, count=None, last=None, producer=(-1, -1, -1), length=None, bad_crc=False):
    """A record batch as the format says, but for what the caller wants otherwise; its CRC is right unless it shall not be."""
    now_ms, count = int(time.time() * 1000), len(records) if count is None else count
    body = struct.pack('>hiqqqhii', attributes, count - 1 if last is None else last, now_ms, now_ms, *producer, count) + b''.join(records)
    crc = crc32c(body) ^ bad_crc
    size = 9 + len(body)
    return struct.pack('>qiibI', 0, size if length is None else length, 0, magic, crc) + body


GOOD = batch(record(0, b'k', b'v'))


class BadInputTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(1))
        cls.node = cls.cluster.addresses[1]
        host, port = cls.node['kafka'].split(':')
        cls.address = (host, int(port))

    def exchange(self, data):
        """Sends `data`; what comes back until the other side closes, or until a whole frame is there."""
        with socket.create_connection(self.address, timeout=10) as connection:
            connection.sendall(data)
            got = b''
            while len(got) < 4 or len(got) < 4 + struct.unpack('>i', got[:4])[0]:
                try:
                    more = connection.recv(65536)
                except ConnectionResetError:
                    break
                if not more:
                    break
                got += more
            return got

    def frame(self, body):
        return struct.pack('>i', len(body)) + body

    def assert_closed(self, data):
        self.assertEqual(self.exchange(data), b'')

    def assert_others_go_on(self):
        self.cluster.sluice('produce', 'still-here', 'x', '--bootstrap', self.node['kafka'])

    def test_frames_that_cannot_be_close_the_connection_and_take_no_memory(self):
        self.assert_others_go_on()
        before = rss_kib(self.node['pid'])
        for size in (-1, -2**31, 0, 3, 100 * 1024 * 1024 + 1, 2**31 - 1):
            self.assert_closed(struct.pack('>i', size) + b'x' * 16)
        # A length prefix alone, many times over, held open.
        held = [socket.create_connection(self.address, timeout=10) for _ in range(50)]
        for connection in held:
            connection.sendall(struct.pack('>i', 90 * 1024 * 1024) + b'x' * 16)
        self.assert_others_go_on()
        self.assertLess(rss_kib(self.node['pid']) - before, RSS_SLACK_KIB)
        for connection in held:
            connection.close()

    def test_unknown_keys_and_versions_close_the_connection(self):
        for key, version in ((999, 0), (-1, 0), (0, 2), (1, 3), (3, 99), (11, 0), (1, -1)):
            self.assert_closed(self.frame(header(key, version)))
        self.assert_others_go_on()

    def test_api_versions_of_the_future_is_answered_in_version_0(self):
        body = self.exchange(self.frame(header(18, 77)))[4:]
        self.assertEqual(body[:4].hex(), '00000007')
        self.assertEqual(body[4:].hex(), '0023' '00000001' '0012' '0000' '0004')

    def test_truncated_and_lying_bodies_close_the_connection(self):
        lies = [
            header(3, 1) + struct.pack('>i', 2**31 - 1),                      # Metadata: two billion topics
            header(3, 1) + struct.pack('>ih', 1, 30000) + b'short',            # a string longer than the frame
            header(3, 9) + b'\x00' + b'\xff\xff\xff\xff\x0f',                  # a compact array of four billion
            header(3, 9) + b'\x00' + b'\x00' + b'\x01\x01\x01' + b'\xff\xff\xff\xff\x7f',
            header(3, 9)[:-2],                                                 # the header itself cut
            header(0, 7) + b'\xff\xff' + struct.pack('>hii', -1, 1000, 2**30),
        ]
        for body in lies:
            self.assert_closed(self.frame(body))
        self.assert_others_go_on()

    def test_the_log_counts_refusals_and_does_not_grow_with_them(self):
        log = pathlib.Path(self.cluster.directory) / 'node-1/server.log'
        for _ in range(200):
            self.assert_closed(struct.pack('>i', -1))
        told = wait_until(lambda: log.read_text().count('closing connection'), 'a line about closed connections', 10)
        self.assertLess(told, 20)
        self.assertRegex(log.read_text(), r'closing connection from .*socket\.request\.max\.bytes.*refused so far')

    def request(self, key, version, body):
        """The answer's body to a request that is answered."""
        answer = self.exchange(self.frame(header(key, version) + body))
        self.assertEqual(answer[4:8].hex(), '00000007', answer)
        return answer[8:]

    def produce(self, topic, *batches):
        """Produces each batch to the partition of its place in one request; their error codes and base offsets."""
        body = string(None) + struct.pack('>hii', -1, 5000, 1) + string(topic) + struct.pack('>i', len(batches))
        for partition, data in enumerate(batches):
            body += struct.pack('>ii', partition, len(data)) + data
        answer = self.request(0, 7, body)[4 + 2 + len(topic) + 4:]
        return [struct.unpack_from('>ihqqq', answer, 30 * i)[1:3] for i in range(len(batches))]

    def end_offset(self, topic):
        """The next offset of the topic's partition 0."""
        body = struct.pack('>ibi', -1, 0, 1) + string(topic) + struct.pack('>iiq', 1, 0, -1)
        return struct.unpack('>q', self.request(2, 2, body)[-8:])[0]

    def create(self, topic, *configs):
        self.cluster.sluice('topic', 'create', topic, '--partitions', '2', *configs, '--server', self.node['grpc'])

    def test_a_bad_batch_is_refused_alone_and_nothing_of_it_is_stored(self):
        self.create('batches', '--config', 'max.message.bytes=1000')
        self.create('compacted', '--config', 'cleanup.policy=compact')
        one, two = record(0, b'k', b'v'), record(1, b'k', b'v')
        corrupt, too_large, invalid, transaction = 2, 10, 87, 48
        cases = [
            ('CRC', b'batches', batch(one, bad_crc=True), corrupt),
            ('magic 0', b'batches', batch(one, magic=0), invalid),
            ('magic 1', b'batches', batch(one, magic=1), invalid),
            ('magic 3', b'batches', batch(one, magic=3), corrupt),
            ('more records claimed', b'batches', batch(one, count=2), invalid),
            ('two billion claimed', b'batches', batch(one, count=2**31 - 1), invalid),
            ('fewer records claimed', b'batches', batch(one, two, count=1), invalid),
            ('no records', b'batches', batch(), invalid),
            ('a negative count', b'batches', batch(one, count=-5), invalid),
            ('count and last delta differ', b'batches', batch(one, last=5), invalid),
            ('deltas do not start at 0', b'batches', batch(two), invalid),
            ('a length beyond the end', b'batches', batch(one, length=10000), invalid),
            ('a negative length', b'batches', batch(one, length=-1), corrupt),
            ('two batches', b'batches', GOOD + GOOD, invalid),
            ('bytes after the batch', b'batches', GOOD + b'x', invalid),
            ('cut', b'batches', GOOD[:-1], invalid),
            ('empty', b'batches', b'', invalid),
            ('over max.message.bytes', b'batches', batch(record(0, b'k', bytes(1000))), too_large),
            ('control', b'batches', batch(one, attributes=0x20), invalid),
            ('transactional', b'batches', batch(one, attributes=0x10, producer=(1, 0, 0)), transaction),
            ('null key', b'compacted', batch(one, record(1, None, b'v')), invalid),
        ]
        for name, topic, bad, error in cases:
            with self.subTest(name):
                (bad_code, bad_offset), (good_code, _) = self.produce(topic, bad, GOOD)
                self.assertEqual((bad_code, bad_offset), (error, -1))
                self.assertEqual(good_code, 0)
        for topic in (b'batches', b'compacted'):
            self.assertEqual(self.end_offset(topic), 0)
            self.assertEqual(self.produce(topic, GOOD), [(0, 0)])

    def test_text_that_is_none_is_refused_at_once_and_in_words(self):
        log = pathlib.Path(self.cluster.directory) / 'node-1/server.log'
        before, began = len(log.read_text(errors='replace')), time.monotonic()
        bad = b'\xff\xfe'
        created = struct.pack('>i', 1) + string(bad) + struct.pack('>ihii', 1, 1, 0, 0) + struct.pack('>ib', 30000, 0)
        self.assertIn(struct.pack('>2sh', bad, 17), self.request(19, 4, created))
        valued = (struct.pack('>i', 1) + string(b'x') + struct.pack('>ihii', 1, 1, 0, 1) + string(b'retention.ms') + string(bad) +
                  struct.pack('>ib', 30000, 0))
        self.assertIn(struct.pack('>sh', b'x', 40), self.request(19, 4, valued))
        deleted = struct.pack('>i', 1) + string(bad) + struct.pack('>i', 30000)
        self.assertIn(struct.pack('>2sh', bad, 17), self.request(20, 1, deleted))
        grown = struct.pack('>i', 1) + string(bad) + struct.pack('>ii', 2, -1) + struct.pack('>ib', 30000, 0)
        self.assertIn(struct.pack('>2sh', bad, 17), self.request(37, 0, grown))
        told = self.cluster.sluice('topic', 'create', bad, '--server', self.node['grpc'], check=False, text=False)
        self.assertNotEqual(told.returncode, 0)
        self.assertIn(b'why: name is not UTF-8 text', told.stderr)
        self.assertLess(time.monotonic() - began, 5)
        self.assertNotIn('libprotobuf', log.read_text(errors='replace')[before:])

    def test_the_controllers_log_is_no_topic(self):
        body = struct.pack('>i', 1) + string(b'__cluster_metadata') + struct.pack('>ihii', 1, 1, 0, 0) + struct.pack('>ib', 30000, 0)
        self.assertIn(struct.pack('>18sh', b'__cluster_metadata', 42), self.request(19, 4, body))

    def test_fetches_end_with_their_connection_and_list_a_partition_once(self):
        self.create('quiet')
        self.assert_others_go_on()
        entry = struct.pack('>iqi', 0, 0, 1000)
        fetch = self.frame(header(1, 4) + struct.pack('>iiiib', -1, 2**31 - 1, 2**31 - 1, 2**20, 0) +
                           struct.pack('>i', 1) + string(b'quiet') + struct.pack('>i', 200) + entry * 200)
        before = rss_kib(self.node['pid'])
        for _ in range(1000):
            with socket.create_connection(self.address, timeout=10) as connection:
                connection.sendall(fetch * 3)
        self.assert_others_go_on()
        self.assertLess(rss_kib(self.node['pid']) - before, RSS_SLACK_KIB)


if __name__ == '__main__':
    unittest.main(verbosity=2)
