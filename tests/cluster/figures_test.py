"""The figures of one idle node and of three: time to ready, resident memory, the HTTP address, how soon 2,000 partitions are written,
and 100,000 have leaders again. Time is asserted at three times the bar, which is printed beside the figure."""
import pathlib
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from cluster import SLUICE, Cluster, run, wait_until  # noqa: E402
from controllers import DEATH_BAR_S, Controllers, SimulatedBrokers  # noqa: E402
from many_partitions import BARS_S, PARTITIONS, file_system_s, one_round  # noqa: E402
from scenarios import SLACK  # noqa: E402

SINGLE_READY_BAR_S, THREE_READY_BAR_S, IDLE_RSS_BAR_MIB = 0.3, 2.0, 64


def get(address, path):
    """(status, body) of an HTTP GET; (0, '') when nobody answers."""
    try:
        with urllib.request.urlopen(f'http://{address}{path}', timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ''


def rss_mib(pid):
    for line in pathlib.Path(f'/proc/{pid}/status').read_text().splitlines():
        if line.startswith('VmRSS:'):
            return int(line.split()[1]) / 1024
    raise AssertionError('no VmRSS')


class FiguresTest(unittest.TestCase):

    def test_one_node_is_ready_soon_after_exec(self):
        with Cluster(1) as cluster:
            run(SLUICE, 'dev', 'stop', '--dir', cluster.directory)
            http = cluster.addresses[1]['http']
            begin = time.monotonic()
            process = subprocess.Popen([SLUICE, 'server', '--config', f'{cluster.directory}/node-1/server.properties'],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                wait_until(lambda: get(http, '/ready')[0] == 200, 'the node ready', 10)
                ready_s = time.monotonic() - begin
            finally:
                process.terminate()
                self.assertEqual(process.wait(20), 0)
            print(f'  one node ready {ready_s * 1000:.0f} ms after exec (bar {SINGLE_READY_BAR_S * 1000:.0f} ms)', flush=True)
            self.assertLess(ready_s, SLACK * SINGLE_READY_BAR_S)

    def test_three_nodes_are_ready_soon_and_small(self):
        with Cluster(3) as cluster:
            print(f'  three nodes ready in {cluster.started_in_s:.2f} s (bar {THREE_READY_BAR_S:.0f} s)')
            self.assertLess(cluster.started_in_s, SLACK * THREE_READY_BAR_S)
            sizes = [rss_mib(node['pid']) for node in cluster.status()]
            print(f'  idle nodes have {max(sizes):.0f} MiB resident (bar {IDLE_RSS_BAR_MIB} MiB)', flush=True)
            self.assertLess(max(sizes), IDLE_RSS_BAR_MIB)

    def test_many_partitions_are_soon_written(self):
        # A machine that is busy elsewhere for a moment is not what is measured: it may be tried once more.
        for last in (False, True):
            files_s = file_system_s()
            seconds = one_round()
            limits = [SLACK * bar_s + files_s for bar_s in BARS_S.values()]
            for (name, bar_s), took_s in zip(BARS_S.items(), seconds):
                print(f'  {PARTITIONS} partitions {name}: {took_s:.2f} s (bar {bar_s} s; as many bare files: {files_s:.1f} s)', flush=True)
            if last or all(took_s < limit for took_s, limit in zip(seconds, limits)):
                break
        for took_s, limit in zip(seconds, limits):
            self.assertLess(took_s, limit)

    def test_a_broker_of_many_leaders_dies(self):
        with Controllers() as controllers, SimulatedBrokers(controllers, 10) as brokers:
            brokers.tell('create', 100, 1000, 'topic-')
            for kind, victim in (('kill', 10), ('silence', 9)):
                moved_s = brokers.tell(kind, victim)
                print(f'  100,000 partitions, a broker dies ({kind}): all leaders moved after {moved_s:.2f} s (bar {DEATH_BAR_S} s)', flush=True)
                self.assertLess(moved_s, SLACK * DEATH_BAR_S)
                brokers.tell('ask')
                time.sleep(1)  # the brake on fencing counts those of a session

    def test_the_http_address_answers(self):
        with Cluster(1) as cluster:
            http = cluster.addresses[1]['http']
            self.assertEqual(get(http, '/live')[0], 200)
            self.assertEqual(get(http, '/ready')[0], 200)
            status, text = get(http, '/metrics')
            self.assertEqual(status, 200)
            for name in ('kafka_server_replicamanager_partitioncount', 'kafka_controller_kafkacontroller_activecontrollercount 1',
                         'kafka_server_brokertopicmetrics_bytesin_total', 'sluice_build_info',
                         'sluice_raft_role{role="leader"} 1', 'sluice_raft_log_flush_seconds_count{of="entries"}'):
                self.assertIn(name, text)
            self.assertEqual(get(http, '/no-such-page')[0], 404)


if __name__ == '__main__':
    unittest.main(verbosity=2)
