"""A topic of many partitions, each with three replicas, on three nodes with durability=fsync: how long it takes to create it until each partition has been
written, and after kill -9 of all three nodes until each has been written again. bench/many_partitions.py runs rounds of it."""
import json
import os
import pathlib
import subprocess
import tempfile
import time

from cluster import BUILD, SLUICE, Cluster, wait_until

LOAD = os.environ.get('BENCH_LOAD', str(BUILD / 'bench_load'))
TOPIC, NODES, PARTITIONS = 'many', 3, 2000
BARS_S = {'created and written': 2, 'written after kill -9 of all': 5}


FILES = 30_000  # and directories that the nodes make for PARTITIONS


def file_system_s(share=15):
    """How long the file system takes by itself to make FILES, by a share of them. ext4 looks at each inode that was freed of late, so that it
    takes 20 times as long where many files were deleted some minutes ago."""
    with tempfile.TemporaryDirectory() as directory:
        begin = time.monotonic()
        for number in range(FILES // share // 4):
            place = pathlib.Path(directory) / str(number)
            place.mkdir()
            for name in ('log', 'index', 'timeindex'):
                (place / name).write_bytes(b'x')
        return (time.monotonic() - begin) * share


def writer(cluster, partitions):
    return subprocess.Popen([LOAD, 'each', cluster.bootstrap(), TOPIC, str(partitions)], stdout=subprocess.PIPE, text=True)


def written(process, partitions):
    told = json.loads(process.communicate(timeout=600)[0])
    assert told['records'] == partitions, told


def create(cluster, partitions):
    begin = time.monotonic()
    # Without an answer in time it may still be made; the writer waits for it.
    cluster.admin('topic', 'create', TOPIC, '--partitions', str(partitions), '--replication-factor', str(NODES), check=False)
    answered = time.monotonic() - begin
    written(writer(cluster, partitions), partitions)
    return answered, time.monotonic() - begin


def launch(cluster):
    """All nodes as processes of this one: `sluice dev` would wait for each other's health."""
    processes = []
    for node in cluster.addresses:
        directory = pathlib.Path(cluster.directory) / f'node-{node}'
        with open(directory / 'server.log', 'a') as log:
            processes.append(subprocess.Popen([SLUICE, 'server', '--config', str(directory / 'server.properties')], stdout=log, stderr=log))
    return processes


def restart(cluster, partitions):
    cluster.kill_all()
    probe = writer(cluster, partitions)
    time.sleep(0.2)  # it is there and finds nobody
    begin = time.monotonic()
    nodes = launch(cluster)
    try:
        written(probe, partitions)
        return time.monotonic() - begin
    finally:
        for node in nodes:
            node.kill()
        for node in nodes:
            node.wait(30)


def fences(cluster):
    return sum(log.read_text().count('is fenced') for log in pathlib.Path(cluster.directory).glob('node-*/server.log'))


def one_round(partitions=PARTITIONS, settings=()):
    """Seconds, in the order of BARS_S; of a cluster of its own."""
    with Cluster(NODES, settings=settings) as cluster:
        wait_until(lambda: cluster.admin('cluster', 'health', check=False)['healthy'], 'all nodes are well', 30)
        answered, created = create(cluster, partitions)
        fenced = fences(cluster)
        wait_until(lambda: cluster.fully_in_sync(TOPIC), 'all replicas in sync', 60)
        restarted = restart(cluster, partitions)
        print(f'created in {answered:.2f} s, each written at {created:.2f} s ({fenced} fenced); written again {restarted:.2f} s after the start', flush=True)
    return created, restarted
