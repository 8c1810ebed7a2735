"""What the comparison works out of its figures, and what it draws: the parts that start no process."""
import json
import pathlib
import sys
import unittest
import xml.etree.ElementTree

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from speed import bars, flame, load, machine, plot, proc, ratios, report, rounds, scenarios  # noqa: E402
from speed.ratios import Bar  # noqa: E402

ROUNDS = [{'kafka': {'cpu': 2.0, 'throughput': 100.0}, 'fsync': {'cpu': 1.0, 'throughput': 90.0}, 'dsync': {'throughput': 80.0}},
          {'kafka': {'cpu': 4.0, 'throughput': 200.0}, 'fsync': {'cpu': 1.0, 'throughput': 190.0}, 'dsync': {'throughput': 170.0}},
          {'kafka': {'cpu': 2.5, 'throughput': 100.0}, 'fsync': {'cpu': 2.0, 'throughput': 70.0}, 'dsync': {'throughput': 70.0}}]


class ProcTest(unittest.TestCase):
    def test_processor_time_of_a_process_whose_name_has_brackets_and_spaces(self):
        self.assertEqual(proc.cpu_ticks('77 (a (b) 9 8) S 1 2 3 0 -1 4194560 100 0 0 0 120 34 5 6 20 0 12 0 99 1 2\n'), 154)

    def test_sizes(self):
        self.assertEqual(proc.status_kib('Name:\tx\nVmHWM:\t   900 kB\nVmRSS:\t   512 kB\n', 'VmRSS'), 512)
        self.assertEqual(proc.status_kib('Name:\tx\nState:\tZ (zombie)\n', 'VmRSS'), 0)

    def test_this_process_has_both(self):
        self.assertGreater(proc.rss_mib([int(pathlib.Path('/proc/self').resolve().name)]), 1)
        self.assertGreaterEqual(proc.cpu_seconds([int(pathlib.Path('/proc/self').resolve().name)]), 0)


class RatiosTest(unittest.TestCase):
    def test_the_ratio_is_taken_within_each_round(self):
        found = ratios.ratio(ROUNDS, 'fsync', 'kafka', 'cpu')
        # Not 1.0 / 2.5, which the medians of each side would give.
        self.assertEqual((found.median, found.least, found.most, found.rounds), (0.5, 0.25, 0.8, 3))

    def test_rounds_without_the_figure_do_not_count(self):
        self.assertEqual(ratios.ratio([*ROUNDS, {'fsync': {'cpu': 9.0}}, {'fsync': {'cpu': None}, 'kafka': {'cpu': 1.0}}], 'fsync', 'kafka', 'cpu').rounds, 3)
        self.assertIsNone(ratios.ratio(ROUNDS, 'fsync', 'floor', 'cpu'))
        self.assertIsNone(ratios.ratio([{'fsync': {'cpu': 1.0}, 'kafka': {'cpu': 0.0}}], 'fsync', 'kafka', 'cpu'))

    def test_of_costs_less_is_better_of_throughput_more(self):
        self.assertTrue(ratios.judge(Bar('x', 'fsync', 'cpu', 0.5), ROUNDS).reached)
        self.assertFalse(ratios.judge(Bar('x', 'fsync', 'cpu', 0.49), ROUNDS).reached)
        self.assertTrue(ratios.judge(Bar('x', 'fsync', 'throughput', 0.9), ROUNDS).reached)
        self.assertFalse(ratios.judge(Bar('x', 'fsync', 'throughput', 1.0), ROUNDS).reached)

    def test_a_disk_that_is_slower_than_the_bar_lowers_it(self):
        verdict = ratios.judge(Bar('x', 'fsync', 'throughput', 1.0, or_disk=0.9), ROUNDS)
        self.assertAlmostEqual(verdict.limit, 0.72)  # the disk did 0.8 of what Kafka did
        self.assertTrue(verdict.reached)

    def test_a_bar_of_the_figure_itself(self):
        self.assertEqual(ratios.judge(Bar('x', 'fsync', 'cpu', 1.0, against=None), ROUNDS).value, 1.0)

    def test_what_was_not_measured_is_neither_reached_nor_missed(self):
        self.assertIsNone(ratios.judge(Bar('x', 'fsync', 'p99', 1.0), ROUNDS).reached)

    def test_warmed_up_is_who_does_not_get_better(self):
        self.assertTrue(ratios.still_improving([], 0.05))
        self.assertTrue(ratios.still_improving([9.0], 0.05))
        self.assertTrue(ratios.still_improving([9.0, 8.0], 0.05))
        self.assertFalse(ratios.still_improving([9.0, 8.0, 7.9], 0.05))

    def test_every_bar_is_of_a_scenario_that_measures_it(self):
        for bar in bars.BARS:
            scenario = scenarios.SCENARIOS[bar.scenario]
            self.assertIn(bar.system, scenario.systems, bar)
            if bar.against:
                self.assertIn(bar.against, scenario.systems, bar)
        for name in (bars.CURVE_FROM, bars.CURVE_TO):
            self.assertIn(bars.CURVE_SYSTEM, scenarios.SCENARIOS[name].systems)


class ScenariosTest(unittest.TestCase):
    def test_chosen_by_name_or_by_the_beginning(self):
        self.assertEqual([each.name for each in scenarios.chosen(['produce-1k'])], ['produce-1k'])
        self.assertEqual(len(scenarios.chosen(['curve'])), 8)
        self.assertEqual(len(scenarios.chosen([])), len(scenarios.SCENARIOS))
        with self.assertRaises(KeyError):
            scenarios.chosen(['produce-2k'])

    def test_smoke_only_shrinks(self):
        for each in scenarios.chosen([]):
            small = scenarios.shrunk(each)
            self.assertEqual(small.load.keys(), each.load.keys())
            self.assertLessEqual(small.load.get('mib', 0), each.load.get('mib', 0))
            self.assertLessEqual(small.partitions, each.partitions)

    def test_segments_are_sizes_that_kafka_takes(self):
        for partitions in (1, 6, 100, 1000):
            configs = scenarios.topic_configs(partitions, 1)
            self.assertGreaterEqual(configs['segment.bytes'], 1 << 20)
            self.assertGreater(configs['retention.bytes'], configs['segment.bytes'])
        self.assertEqual(scenarios.topic_configs(6, 3)['min.insync.replicas'], 2)
        self.assertEqual(scenarios.topic_configs(6, 1, keep=True)['retention.bytes'], -1)

    def test_each_system_follows_each_other_one(self):
        orders = [rounds.turned(('a', 'b', 'c'), number) for number in range(4)]
        self.assertEqual(orders, [['a', 'b', 'c'], ['b', 'c', 'a'], ['c', 'a', 'b'], ['a', 'b', 'c']])


class LoadTest(unittest.TestCase):
    def test_figures_of_a_run(self):
        figures = load.throughput({'bytes': 2e9, 'seconds': 4.0}, 3.0)
        self.assertEqual(figures, {'cpu': 1.5, 'throughput': 500.0})

    def test_figures_of_a_fixed_rate(self):
        told = {'bytes': 1e9, 'missing': 1, 'failed': 2, 'end_to_end_ms': {'p50': 1, 'p99': 2}, 'acknowledged_ms': {'p50': 3}, 'late_ms': None}
        self.assertEqual(load.latencies(told, 2.0), {'cpu': 2.0, 'missing': 3, 'p50': 1, 'p99': 2, 'acknowledged_p50': 3})
        nothing = {**told, 'bytes': 0, 'end_to_end_ms': None, 'acknowledged_ms': None}
        self.assertEqual(load.latencies(nothing, 2.0), {'cpu': None, 'missing': 3})

    def test_what_kafkas_tools_print(self):
        told = ('50001 records sent, 10000.2 records/sec (9.77 MB/sec), 22.5 ms avg latency, 231.0 ms max latency.\n'
                '100000 records sent, 43215.2 records/sec (42.20 MB/sec), 20.61 ms avg latency, 241.00 ms max latency, 2 ms 50th, 150 ms 95th, '
                '160 ms 99th, 170 ms 99.9th.\n')
        figures = load.parse_producer_tool(told)
        self.assertAlmostEqual(figures['throughput'], 42.20 * 1.048576)
        self.assertEqual((figures['acknowledged_p50'], figures['acknowledged_p99']), (2, 160))
        told = ('start.time, end.time, data.consumed.in.MB, MB.sec, fetch.time.ms, fetch.MB.sec\n'
                '2026-01-01 00:00:00:000, 2026-01-01 00:00:01:000, 50.0, 40.0, 500, 100.0\n')
        self.assertAlmostEqual(load.parse_consumer_tool(told)['throughput'], 104.8576)
        for parse in (load.parse_producer_tool, load.parse_consumer_tool):
            with self.assertRaises(AssertionError):
                parse('it went wrong')


class MachineTest(unittest.TestCase):
    def test_the_longest_mount_point_that_holds_the_directory(self):
        mounts = '/dev/a / ext4 rw 0 0\n/dev/b /data xfs rw,noatime 0 0\n/dev/c /da btrfs rw 0 0\n'
        self.assertEqual(machine.mount_of('/data/bench', mounts), ('/dev/b', 'xfs', 'rw,noatime'))
        self.assertEqual(machine.mount_of('/datum', mounts), ('/dev/a', 'ext4', 'rw'))


class ReportTest(unittest.TestCase):
    def setUp(self):
        self.scenario = scenarios.SCENARIOS['produce-1k']
        self.results = {'produce-1k': ROUNDS}

    def test_json_holds_every_round_and_every_bar(self):
        told = json.loads(json.dumps(report.as_json([self.scenario], self.results, {'cores': 2}, {})))
        self.assertEqual(told['scenarios']['produce-1k']['rounds'], ROUNDS)
        self.assertEqual(told['machine'], {'cores': 2})
        fsync = next(bar for bar in told['bars'] if bar['system'] == 'fsync' and bar['figure'] == 'cpu')
        self.assertEqual((fsync['value'], fsync['limit'], fsync['reached']), (0.5, 0.5, True))
        # There is no replicated mode in these rounds.
        self.assertIsNone(next(bar for bar in told['bars'] if bar['system'] == 'replicated')['reached'])

    def test_the_table_has_medians_ratios_and_bars(self):
        told = report.text([self.scenario], self.results, {'cores': 2}, {})
        self.assertIn('0.50 (0.25-0.80)', told)
        self.assertRegex(told, r'reached +produce-1k, fsync: cpu / kafka 0\.500, bar at most 0\.500')
        self.assertRegex(told, r'not measured +produce-1k, replicated: cpu / kafka')

    def test_smoke_judges_nothing(self):
        told = report.text([self.scenario], self.results, {}, {}, smoke=True)
        self.assertIn('SMOKE', told)
        self.assertNotIn('reached', told)

    def test_the_curve_compares_its_ends(self):
        results = {bars.CURVE_FROM: [{'replicated': {'cpu': 1.0}}], bars.CURVE_TO: [{'replicated': {'cpu': 1.6}}]}
        self.assertRegex('\n'.join(report.curve(results)), r'MISSED.*1\.60')


class DrawingTest(unittest.TestCase):
    SCRIPT = '''reactor-0   123  10.5: cpu-clock:
\t    55e0 sluice::Crc32c(std::basic_string_view<char>)+0x12 (/usr/bin/sluice)
\t    77aa sluice::Run(int (*)(void)) const+0x9 (/usr/bin/sluice)

reactor-0   123  10.6: cpu-clock:
\t    77ac sluice::Run(int (*)(void)) const+0x11 (/usr/bin/sluice)

flusher 1 two   124  10.7: cpu-clock:
\tffff0001 [unknown] (/usr/lib/libc.so.6)

'''

    def test_the_plot_is_xml_with_a_dot_for_each_ratio(self):
        drawn = plot.svg({'produce-1k': ROUNDS}, 'a & b')
        root = xml.etree.ElementTree.fromstring(drawn)
        dots = root.findall('{http://www.w3.org/2000/svg}circle')
        self.assertEqual(len(dots), 2)  # processor time and throughput of fsync
        self.assertAlmostEqual(float(dots[0].get('cx')), plot.x_of(0.5), places=1)
        self.assertIn('a &amp; b', drawn)

    def test_the_axis_is_logarithmic_and_has_ends(self):
        self.assertAlmostEqual(plot.x_of(1) - plot.x_of(0.5), plot.x_of(2) - plot.x_of(1))
        self.assertEqual(plot.x_of(0.0001), plot.LEFT)
        self.assertEqual(plot.x_of(1000), plot.LEFT + plot.WIDTH)

    def test_stacks_are_folded_from_the_outermost(self):
        self.assertEqual(flame.fold(self.SCRIPT), {('reactor-0', 'sluice::Run', 'sluice::Crc32c'): 1, ('reactor-0', 'sluice::Run'): 1,
                                                   ('flusher 1 two', '[libc.so.6]'): 1})

    def test_names_of_functions(self):
        self.assertEqual(flame.frame_name('\t 1 std::function<void ()>::operator()() const+0x1 (/bin/x)'), 'std::function<void ()>::operator()')
        self.assertEqual(flame.frame_name('\t 1 tcp_sendmsg+0x1 ([kernel.kallsyms])'), 'tcp_sendmsg')
        self.assertIsNone(flame.frame_name('\t no frame'))

    def test_widths_are_shares_of_the_samples(self):
        drawn = {name: (samples, left, width, depth) for name, samples, left, width, depth in flame.boxes(flame.tree(flame.fold(self.SCRIPT)))}
        self.assertEqual(drawn['all'], (3, 0.0, flame.WIDTH, 0))
        self.assertAlmostEqual(drawn['sluice::Crc32c'][2], flame.WIDTH / 3)
        self.assertEqual(drawn['sluice::Crc32c'][3], 3)

    def test_the_flame_graph_is_xml(self):
        drawn = flame.svg({('a', 'b<c>'): 2, ('a',): 1}, 'x < y')
        self.assertEqual(len(xml.etree.ElementTree.fromstring(drawn).findall('.//{http://www.w3.org/2000/svg}g')), 3)
        with self.assertRaises(ValueError):
            flame.svg({}, 'nothing')

    def test_what_calls_itself_counts_once(self):
        folded = {('thread', 'f', 'g', 'f'): 3, ('thread', 'h'): 1}
        self.assertEqual(flame.with_callees(folded, lambda name: name != 'g'), [(0.75, 'f'), (0.25, 'h')])

    def test_the_hottest_are_the_innermost(self):
        self.assertEqual(flame.hottest({('a', 'b'): 3, ('a',): 1}, 1), [(0.75, 'b')])


if __name__ == '__main__':
    unittest.main()
