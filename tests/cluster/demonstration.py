"""What `make up` shows: acceptance stories 1 and 2 on the cluster of --dir, step by step, and the cluster healthy at the end."""
import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import scenarios  # noqa: E402
from cluster import Cluster, wait_until  # noqa: E402


def say(line):
    print(f'  {line}', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--dir', required=True)
    cluster = Cluster(3, parser.parse_args().dir)
    cluster.refresh()

    print('1. Real data in and out, by clients that speak Kafka')
    scenarios.real_input(cluster, say)

    print('2. The leader of a partition dies under load')
    topic = f'failover-{int(time.time())}'
    try:
        victim = scenarios.leader_kill(cluster, say, topic)
        scenarios.rejoin(cluster, say, victim, topic)
    finally:
        cluster.admin('topic', 'delete', topic, check=False)
    health = wait_until(lambda: (h := cluster.admin('cluster', 'health', check=False)) and h['healthy'] and h, 'a healthy cluster', 30)
    say(f'cluster health: {health["summary"]}')


if __name__ == '__main__':
    main()
