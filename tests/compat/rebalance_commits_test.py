"""Commits during a rebalance (KIP-429): librdkafka's members, eager, cooperative and of the consumer protocol, static ones too, commit where they are when partitions are
taken from them, and nowhere else. Each such commit is taken, and the next owner begins there: every record is read once, no more and no less."""
import concurrent.futures
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import foreign  # noqa: E402
from cluster import Cluster, run  # noqa: E402

KINDS = ('eager', 'cooperative', 'consumer', 'static-eager', 'static-consumer')
PARTITIONS = 6


class RebalanceCommitsTest(unittest.TestCase):

    def test_the_next_owner_begins_where_the_one_before_committed(self):
        python = foreign.python_with_clients()
        with Cluster(3, settings=['group.initial.rebalance.delay.ms=100']) as cluster:
            for kind in KINDS:
                cluster.create_topic(kind, PARTITIONS, 3)
            with concurrent.futures.ThreadPoolExecutor(len(KINDS)) as pool:
                outcomes = pool.map(lambda kind: json.loads(run(python, str(foreign.COMPAT / 'rebalance_commits.py'), cluster.bootstrap(), kind, f'group-{kind}', kind,
                                                                str(PARTITIONS), timeout=300).stdout), KINDS)
                for kind, outcome in zip(KINDS, outcomes):
                    with self.subTest(kind=kind):
                        self.check(kind, outcome)

    def check(self, kind, outcome):
        events = [event for reader in outcome['readers'] for event, partitions in reader['events'] if partitions]
        self.assertNotIn('lost', events)
        self.assertGreaterEqual(events.count('revoke'), 2)
        self.assertEqual(sorted(value for reader in outcome['readers'] for value in reader['read']), list(range(outcome['written'])))
        print(f'  {kind}: {outcome["written"]} records, {events.count("revoke")} times partitions were taken', flush=True)


if __name__ == '__main__':
    unittest.main(verbosity=2)
