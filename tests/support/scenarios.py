"""The acceptance stories, told once: tests/cluster asserts them, `make up` shows the first two. `say` gets one line for each step."""
import collections
import json
import subprocess
import time

from cluster import SLUICE, SteadyProducer, check_history, run, wait_until

SILENCE_BAR_MS = 1000
# Shared machines stall: time is asserted at three times the bar, and the bar is shown beside the figure.
SLACK = 3


def package_records():
    """The machine's package index, one (name, JSON) for each stanza of `apt-cache dumpavail`."""
    text = subprocess.run(['apt-cache', 'dumpavail'], capture_output=True, text=True, check=True).stdout
    for stanza in text.split('\n\n'):
        fields, key = {}, None
        for line in stanza.splitlines():
            if line[:1] in (' ', '\t'):
                fields[key] += '\n' + line[1:]
            elif ':' in line:
                key, _, value = line.partition(':')
                fields[key] = value.strip()
        if 'Package' in fields:
            yield fields['Package'], json.dumps(fields, ensure_ascii=False)


def by_key(lines):
    """Per key the values in their order. Lines are KEY<tab>VALUE."""
    values = collections.defaultdict(list)
    for line in lines:
        key, _, value = line.partition(b'\t')
        values[key].append(value)
    return values


def real_input(cluster, say):
    records = [f'{name}\t{text}'.encode() for name, text in package_records()]
    say(f'{len(records)} package records, {sum(map(len, records)) >> 20} MiB')
    if run(SLUICE, 'topic', 'describe', 'packages', '--server', cluster.addresses[1]['grpc'], check=False).returncode == 0:
        cluster.admin('topic', 'delete', 'packages')
        say('topic packages of an earlier run deleted')
    cluster.create_topic('packages', 6, 3, ['min.insync.replicas=2'])
    say('topic packages created: 6 partitions, 3 replicas, 2 of them must be in sync')

    half = len(records) // 2
    halves = {'kcat -P': (records[:half], ['kcat', '-P', '-q', '-b', cluster.bootstrap(), '-t', 'packages', '-K', '\t', '-X', 'acks=all',
                                           '-X', 'partitioner=murmur2_random', '-X', 'enable.idempotence=true']),
              'sluice produce': (records[half:], [SLUICE, 'produce', 'packages', '--bootstrap', cluster.bootstrap(), '-K', '\t',
                                                  '--timeout-ms', '60000'])}
    for client, (lines, command) in halves.items():
        begin = time.monotonic()
        run(*command, text=False, stdin=b'\n'.join(lines) + b'\n')
        say(f'{len(lines)} records in by {client} in {time.monotonic() - begin:.1f} s')

    read = cluster.read_all('packages', '%k\t%s\n').splitlines()
    assert len(read) == len(records), f'{len(records)} records went in, {len(read)} came out'
    assert by_key(read) == by_key(records), 'records differ, or a key lost its order'
    say(f'{len(read)} records out by kcat -C: the same count, the same bytes, the order of each key kept')


def leader_kill(cluster, say, topic='failover', idempotent=True):
    cluster.create_topic(topic, 6, 3, ['min.insync.replicas=2'])
    with SteadyProducer(cluster, topic, rate=2000, idempotent=idempotent).running() as producer:
        producer.wait_for_acks(2000)
        victim = cluster.partitions(topic)[0]['leader']
        cluster.kill(victim)
        say(f'node {victim}, leader of {topic}-0, killed while 2,000 records a second come in')
        producer.wait_for_acks(producer.acks_so_far() + 6000)
        summary = producer.finish()
    assert summary['failed'] == 0, f'{summary["failed"]} records failed'
    check_history(cluster.read_all(topic), summary['acks'], idempotent)
    say(f'{summary["acknowledged"]} records acknowledged, none lost, moved, out of order'
        + (' or twice' if idempotent else '')
        + f'; longest silence {summary["longest_silence_ms"]} ms (bar {SILENCE_BAR_MS} ms)')
    assert summary['longest_silence_ms'] <= SLACK * SILENCE_BAR_MS, summary['longest_silence_ms']
    return victim


def rejoin(cluster, say, node, topic):
    cluster.start(node)
    wait_until(lambda: cluster.fully_in_sync(topic), f'node {node} back in every ISR of {topic}', 30)
    say(f'node {node} started again: back in every ISR by itself')
