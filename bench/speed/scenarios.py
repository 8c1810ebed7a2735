"""What is measured, as data. `load` is what bench_client is told (bench/client/main.cc); sizes are those of one run of one system."""
import dataclasses

ALL = ('kafka', 'fsync', 'replicated', 'floor')
BROKERS = ('kafka', 'fsync', 'replicated')


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    kind: str  # produce, consume, latency, catch-up, idle, footprint, many, tool-produce, tool-consume
    about: str
    load: dict
    systems: tuple = ALL
    nodes: int = 1
    partitions: int = 6
    replicas: int = 1
    default: bool = True  # measured when nobody names one

    @property
    def record_bytes(self):
        return self.load.get('record_bytes', 1024)


def produce(name, about, record_bytes=1024, mib=1024, **options):
    fields = {key: options.pop(key) for key in ('systems', 'nodes', 'partitions', 'replicas', 'default') if key in options}
    return Scenario(name, 'produce', about, {'record_bytes': record_bytes, 'mib': mib, 'warm_mib': max(1, mib // 32), **options}, **fields)


def consume(name, about, record_bytes, mib):
    # Sluice reads alike in both modes.
    return Scenario(name, 'consume', about, {'record_bytes': record_bytes, 'mib': mib}, systems=('kafka', 'fsync', 'floor'))


def latency(name, rate, replicas=1):
    where = 'one node' if replicas == 1 else 'three nodes, min ISR 2'
    return Scenario(name, 'latency', f'{rate} records/s of 1 KiB, end to end, RF {replicas}, {where}',
                    {'record_bytes': 1024, 'rate': rate, 'seconds': 10, 'warm_seconds': 2, 'acks': 'all'},
                    systems=ALL if replicas == 1 else BROKERS, nodes=1 if replicas == 1 else 3, partitions=1, replicas=replicas)


def curve():
    points = ((1, 1), (6, 1), (100, 1), (1000, 1), (6, 10), (6, 100), (100, 10), (1000, 100))
    for partitions, connections in points:
        yield produce(f'curve-p{partitions}-c{connections}', f'produce 1 KiB, {partitions} partitions, {connections} producers', mib=512,
                      systems=('kafka', 'replicated'), partitions=partitions, producers=connections)


RF3 = {'systems': BROKERS, 'nodes': 3, 'replicas': 3, 'mib': 512}
SCENARIOS = {scenario.name: scenario for scenario in (
    produce('produce-1k', 'produce 1 KiB, RF 1, acks=all'),
    produce('produce-100b', 'produce 100 B, RF 1, acks=all', record_bytes=100, mib=512),
    produce('produce-10k', 'produce 10 KiB, RF 1, acks=all', record_bytes=10240),
    produce('produce-zstd', 'produce 1 KiB of half-compressible bytes, zstd', mib=512, compression='zstd', half_compressible=1),
    produce('produce-lz4', 'produce 1 KiB of half-compressible bytes, lz4', mib=512, compression='lz4', half_compressible=1),
    produce('produce-acks1', 'produce 1 KiB, RF 1, acks=1', acks='1'),
    produce('produce-idempotent', 'produce 1 KiB, RF 1, idempotent', idempotence=1),
    consume('consume-1k', 'consume 1 KiB from the page cache', 1024, 1024),
    consume('consume-100b', 'consume 100 B from the page cache', 100, 256),
    latency('e2e-1000', 1000), latency('e2e-5000', 5000), latency('e2e-20000', 20000),
    Scenario('catch-up', 'catch-up', '1,000 records/s of 1 KiB while another consumer reads 5 GB of old records that are not in memory',
             {'record_bytes': 1024, 'rate': 1000, 'seconds': 20, 'warm_seconds': 2, 'acks': 'all', 'old_mib': 4768}, systems=BROKERS, partitions=1),
    Scenario('idle-1000', 'idle', '1,000 connections that say nothing', {'connections': 1000, 'seconds': 10}, partitions=1),
    *curve(),
    Scenario('tool-produce', 'tool-produce', "Kafka's own kafka-producer-perf-test, 1 KiB, acks=all", {'record_bytes': 1024, 'mib': 512}),
    Scenario('tool-consume', 'tool-consume', "Kafka's own kafka-consumer-perf-test, 1 KiB", {'record_bytes': 1024, 'mib': 512}, systems=BROKERS),
    Scenario('footprint', 'footprint', 'start to ready, idle memory and processor time, memory after produce and consume of 1 KiB',
             {'mib': 1024, 'idle_seconds': 10}, systems=('kafka', 'fsync')),
    produce('produce-1k-rf3', 'produce 1 KiB, RF 3, min ISR 2, acks=all', **RF3),
    produce('produce-1k-rf3-100', 'produce 1 KiB, RF 3, min ISR 2, acks=all, 100 producers, 100 partitions', partitions=100, producers=100, **RF3),
    latency('e2e-1000-rf3', 1000, replicas=3), latency('e2e-5000-rf3', 5000, replicas=3),
    Scenario('many-partitions', 'many', '2,000 partitions, RF 3: created and written; kill -9 of all three nodes, and written again', {},
             systems=('kafka', 'fsync'), nodes=3, partitions=2000, replicas=3),
)}

# Seconds instead of minutes: whether everything runs, not how fast.
SMOKE = {'mib': 8, 'warm_mib': 1, 'seconds': 2, 'warm_seconds': 1, 'old_mib': 16, 'idle_seconds': 1, 'connections': 50}
SMOKE_PARTITIONS_MAX = 60


def shrunk(scenario):
    load = {key: min(value, SMOKE[key]) if key in SMOKE else value for key, value in scenario.load.items()}
    return dataclasses.replace(scenario, load=load, partitions=min(scenario.partitions, SMOKE_PARTITIONS_MAX))


def chosen(names, smoke=False):
    """By name or by the beginning of it; all defaults without names. Unknown ones raise KeyError."""
    found = {}
    for name in names or ['']:
        matching = [each for each in SCENARIOS.values() if each.name == name] or \
                   [each for each in SCENARIOS.values() if each.name.startswith(name) and (name or each.default)]
        if not matching:
            raise KeyError(name)
        found.update((each.name, shrunk(each) if smoke else each) for each in matching)
    return list(found.values())


def topic_configs(partitions, replicas, keep=False):
    """Small segments and little retention, so that the page cache is recycled: a page that is touched for the first time costs more than the write itself.
    Those that are read again from their beginning are kept."""
    segment = min(64 << 20, max(1 << 20, (96 << 20) // partitions))
    configs = {'segment.bytes': segment, 'retention.bytes': -1 if keep else 4 * segment, 'file.delete.delay.ms': 1000}
    return {**configs, 'min.insync.replicas': 2} if replicas > 1 else configs
