"""What a report says of where it was measured, and how."""
import os
import pathlib
import platform
import re
import subprocess

import foreign
from cluster import ROOT, SLUICE

from speed import systems
from speed.scenarios import topic_configs


def first_match(path, pattern):
    try:
        found = re.search(pattern, pathlib.Path(path).read_text(), re.MULTILINE)
    except OSError:
        return None
    return found[1].strip() if found else None


def said(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except OSError:
        return None
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else None


def mount_of(directory, mounts):
    """(device, file system, options) of the longest mount point that holds the directory."""
    found = (None, None, None)
    longest = -1
    for line in mounts.splitlines():
        device, point, kind, options = line.split()[:4]
        if (directory == point or directory.startswith(point.rstrip('/') + '/')) and len(point) > longest:
            found, longest = (device, kind, options), len(point)
    return found


def describe(directory):
    device, kind, options = mount_of(os.path.realpath(directory), pathlib.Path('/proc/mounts').read_text())
    return {
        'cores': os.cpu_count(), 'processor': first_match('/proc/cpuinfo', r'^model name\s*: (.*)$'),
        'memory_gib': round(int(first_match('/proc/meminfo', r'^MemTotal:\s+(\d+)') or 0) / (1 << 20), 1),
        'kernel': platform.release(), 'disk': f'{device}, {kind} ({options})', 'directory': str(directory), 'load_average': os.getloadavg()[0],
        'sluice': said(SLUICE, '--version'), 'commit': said('git', '-C', str(ROOT), 'describe', '--always', '--dirty'),
        'kafka': first_match(foreign.COMPAT / 'pom.xml', r'<kafka\.version>(.*)</kafka\.version>'), 'java': said('java', '-version'),
        'librdkafka': said('pkg-config', '--modversion', 'rdkafka'),
    }


def settings():
    return {'kafka_java': {str(nodes): ' '.join(flags) for nodes, flags in systems.KAFKA_JAVA.items()}, 'every_server': systems.SETTINGS,
            'kafka_one_node': systems.KAFKA_ALONE, 'topics_of_6_partitions': topic_configs(6, 1), 'topics_of_6_partitions_rf3': topic_configs(6, 3)}
