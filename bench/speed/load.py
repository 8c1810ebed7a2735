"""Runs bench_client and Kafka's own tools against a system, and looks at its processes' time when the client says that it begins and when it is done."""
import json
import os
import re
import subprocess
import threading

import foreign
from cluster import BUILD

from speed import proc

CLIENT = os.environ.get('BENCH_CLIENT', str(BUILD / 'bench_client'))
RUN_S_MAX = 600
GB = 1e9


def words(arguments):
    return [f'{key}={value}' for key, value in arguments.items()]


def start(system, verb, **arguments):
    return subprocess.Popen([CLIENT, verb, f'bootstrap={system.bootstrap}', *words(arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process, on_line=lambda told: None):
    """The last object that it prints; each one is given to `on_line` as it comes."""
    watchdog = threading.Timer(RUN_S_MAX, process.kill)
    watchdog.start()
    last = None
    try:
        for line in process.stdout:
            last = json.loads(line)
            on_line(last)
        complaint = process.stderr.read()
        if process.wait() != 0 or last is None:
            raise AssertionError(f'{" ".join(process.args)} ended with {process.returncode}: {complaint[-2000:]}')
        return last
    finally:
        watchdog.cancel()
        if process.poll() is None:
            process.kill()
        process.communicate()


def run(system, verb, **arguments):
    return finish(start(system, verb, **arguments))


def measure(system, verb, **arguments):
    """(what the client told, the servers' CPU-seconds from its "begin" to its end)."""
    cpu = [proc.cpu_seconds(system.pids())]

    def note(_):
        cpu.append(proc.cpu_seconds(system.pids()))
    told = finish(start(system, verb, **arguments), note)
    return told, cpu[-1] - cpu[-2]


def throughput(told, cpu_s):
    """The figures of a run that went as fast as it could."""
    return {'cpu': cpu_s / (told['bytes'] / GB), 'throughput': told['bytes'] / 1e6 / told['seconds']}


def latencies(told, cpu_s):
    """The figures of one at a fixed rate. What did not come counts in `missing` too."""
    figures = {'cpu': cpu_s / (told['bytes'] / GB) if told['bytes'] else None, 'missing': told['missing'] + told['failed']}
    for prefix, quantiles in (('', told['end_to_end_ms']), ('acknowledged_', told['acknowledged_ms']), ('late_', told['late_ms'])):
        figures.update((f'{prefix}{name}', value) for name, value in (quantiles or {}).items())
    return figures


def parse_producer_tool(text):
    """MB/s and ms of the last line of ProducerPerformance: the whole run."""
    found = re.findall(r'records/sec \(([\d.]+) MB/sec\), ([\d.]+) ms avg latency.*?, (\d+) ms 50th, .*?(\d+) ms 99th', text)
    if not found:
        raise AssertionError(f'the producer tool said: {text[-500:]}')
    rate, _, p50, p99 = found[-1]
    return {'throughput': float(rate) * 1.048576, 'acknowledged_p50': float(p50), 'acknowledged_p99': float(p99)}


def parse_consumer_tool(text):
    """The line of figures of ConsumerPerformance below its head: its columns are found by name. The rate is that of fetching, without the joining."""
    lines = [line.split(', ') for line in text.splitlines() if ', ' in line]
    if len(lines) < 2:
        raise AssertionError(f'the consumer tool said: {text[-500:]}')
    columns = dict(zip(lines[-2], lines[-1]))
    return {'throughput': float(columns['fetch.MB.sec']) * 1.048576}


def producer_tool(system, topic, mib, record_bytes):
    records = (mib << 20) // record_bytes
    before = proc.cpu_seconds(system.pids())
    done = foreign.kafka_tool('org.apache.kafka.tools.ProducerPerformance', '--topic', topic, '--num-records', str(records), '--record-size', str(record_bytes),
                              '--throughput', '-1', '--producer-props', f'bootstrap.servers={system.bootstrap}', 'acks=all', timeout=RUN_S_MAX)
    return {**parse_producer_tool(done.stdout), 'cpu': (proc.cpu_seconds(system.pids()) - before) / (records * record_bytes / GB)}


def consumer_tool(system, topic, mib, record_bytes):
    records = (mib << 20) // record_bytes
    before = proc.cpu_seconds(system.pids())
    done = foreign.kafka_tool('org.apache.kafka.tools.ConsumerPerformance', '--topic', topic, '--num-records', str(records),
                              '--bootstrap-server', system.bootstrap, '--timeout', '30000', timeout=RUN_S_MAX)
    return {**parse_consumer_tool(done.stdout), 'cpu': (proc.cpu_seconds(system.pids()) - before) / (records * record_bytes / GB)}
