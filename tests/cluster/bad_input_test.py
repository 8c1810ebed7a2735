"""The wire's bad input against a real node: the connection closes, other clients go on, memory stays, and one line is logged."""
import pathlib
import socket
import struct
import sys
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


if __name__ == '__main__':
    unittest.main(verbosity=2)
