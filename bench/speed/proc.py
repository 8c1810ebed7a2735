"""What /proc and the file system say of processes. The parsers are pure."""
import os
import pathlib
import re

TICKS_S = os.sysconf('SC_CLK_TCK')


def cpu_ticks(stat):
    """utime + stime of a /proc/PID/stat; the name in brackets may hold anything."""
    fields = stat.rsplit(')', 1)[1].split()
    return int(fields[11]) + int(fields[12])


def status_kib(status, key):
    """A size of a /proc/PID/status, as VmRSS; 0 when it is not there (a process that just ended)."""
    found = re.search(rf'^{key}:\s+(\d+) kB$', status, re.MULTILINE)
    return int(found[1]) if found else 0


def cpu_seconds(pids):
    """Of all their threads, those that have ended included."""
    return sum(cpu_ticks(pathlib.Path(f'/proc/{pid}/stat').read_text()) for pid in pids) / TICKS_S


def rss_mib(pids):
    return sum(status_kib(pathlib.Path(f'/proc/{pid}/status').read_text(), 'VmRSS') for pid in pids) / 1024


def disk_mib(directory):
    """What the files take on the disk; those that go away meanwhile are left out."""
    blocks = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                blocks += os.lstat(os.path.join(parent, name)).st_blocks
            except FileNotFoundError:
                continue
    return blocks * 512 / (1 << 20)
