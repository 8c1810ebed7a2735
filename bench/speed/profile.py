"""A flame graph of one system's processes while one scenario runs on it, by perf."""
import contextlib
import os
import signal
import subprocess
import threading
import time

from cluster import wait_until

from speed import flame, rounds, systems

FREQUENCY_HZ = 497
STOP_S = 60
# From the making of its file until perf counts.
ATTACH_S = 0.5
SHOWN = 40
# Frame pointers: everything is built with them (cmake/Toolchain.cmake).
PERF = ['perf', 'record', '-F', str(FREQUENCY_HZ), '-g', '--call-graph', 'fp']
SCRIPT = ['perf', 'script', '-F', 'comm,tid,time,event,ip,sym,dso']


@contextlib.contextmanager
def recorded(pids, path):
    process = subprocess.Popen([*PERF, '-o', path, '-p', ','.join(map(str, pids))], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    complaints = []
    reader = threading.Thread(target=lambda: complaints.append(process.stderr.read()))
    reader.start()
    try:
        wait_until(lambda: process.poll() is not None or os.path.exists(path), 'perf records', STOP_S)
        time.sleep(ATTACH_S)
        yield
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(STOP_S)
        reader.join()
        if not os.path.exists(path):
            raise AssertionError(f'perf recorded nothing: {complaints[0]}')


def ours(function):
    """Not the rest of the kernel, nor the standard library's layers of calls."""
    return function.startswith(('sluice::', '__x64_sys_', '__arm64_sys_'))


def record(scenario, name, directory, output):
    """Runs it once to warm up and once for the profile; gives the lines that tell where the time went."""
    with contextlib.ExitStack() as stack:
        system = systems.started(stack, [name], scenario.nodes, directory)[name]
        runs = rounds.KINDS[scenario.kind](scenario)
        runs.prepare(system)
        runs.run(system)
        rounds.settle()
        data = os.path.join(directory, 'perf.data')
        with recorded(system.pids(), data):
            figures = runs.run(system)
        script = subprocess.run([*SCRIPT, '-i', data], capture_output=True, text=True, errors='replace', check=True)
    folded = flame.fold(script.stdout)
    output.mkdir(parents=True, exist_ok=True)
    path = output / f'flame-{scenario.name}-{name}.svg'
    path.write_text(flame.svg(folded, f'{scenario.name}, {name}'))
    lines = [f'{scenario.name}, {name}: {rounds.brief(figures)}; {sum(folded.values())} samples at {FREQUENCY_HZ} Hz', 'where the time is spent itself:']
    lines += [f'  {share:6.1%}  {function}' for share, function in flame.hottest(folded)]
    lines += ['with what it calls, system calls and functions of the server:']
    lines += [f'  {share:6.1%}  {function}' for share, function in flame.with_callees(folded, ours, SHOWN)]
    return '\n'.join([*lines, f'written: {path}'])
