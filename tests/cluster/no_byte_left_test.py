#!/usr/bin/env python3
"""Two disks of three without a byte left, filled by somebody else while nodes write, stop and start; mounting needs root: without it this is skipped, and says so."""
import contextlib
import os
import pathlib
import subprocess
import time
import unittest

import disks_test
from disks_test import MIB, SLUICE, SteadyProducer, check_history, json, run, say, wait_until


class NoByteLeftTest(disks_test.DisksTest):

    def fill(self, disk):
        """To the last byte, with what somebody else writes there; it is added to as long as there is room."""
        with open(disk / 'ballast', 'ab', buffering=0) as ballast:
            for size in (MIB, 4096, 1):
                with contextlib.suppress(OSError):
                    while ballast.write(b'b' * size):
                        pass
            with contextlib.suppress(OSError):
                os.fsync(ballast.fileno())
        return os.statvfs(disk).f_bavail

    def committed(self, group):
        done = run(SLUICE, 'group', 'lag', group, '--server', f'127.0.0.1:{self.nodes[3] + 3}', '-o', 'json')
        return [p['committed'] for p in json.loads(done.stdout)['partitions']]

    def said(self, node, text):
        return (self.directory / f'node-{node}.log').read_text(errors='replace').count(text)

    def test_two_of_three_disks_without_a_byte_left_end_no_node(self):
        """The metadata log goes on from the reserve; a node starts with it; and it is made again."""
        image = self.directory / 'ext4.img'
        with open(image, 'wb') as file:
            file.truncate(128 * MIB)
        run('mkfs.ext4', '-q', '-m', '0', str(image))
        disks = {1: self.directory / 'ext4', 2: self.directory / 'tmpfs'}
        self.mount(disks[1], '-o', 'loop', image)
        self.mount(disks[2], '-t', 'tmpfs', '-o', 'size=96m', 'tmpfs')
        self.configure({1: [disks[1] / 'data'], 2: [disks[2] / 'data'], 3: [self.directory / 'data-3']},
                       [f'disk.free.hard.bytes={8 * MIB}', f'disk.free.soft.bytes={12 * MIB}', 'group.initial.rebalance.delay.ms=0'])
        self.create_topic('orders', 3, 3)
        self.create_topic('read', 1, 3)
        reserves = {node: disk / 'data' / 'space.reserve' for node, disk in disks.items()}
        wait_until(lambda: all(reserve.exists() and reserve.stat().st_blocks * 512 >= 16 * MIB for reserve in reserves.values()),
                   'both reserves made', 10)

        with SteadyProducer(self, 'orders', rate=500).running() as producer:
            producer.wait_for_acks(500)
            # What it commits is in the key-value stores, and flushed by nobody until a stop finds no room for it.
            self.assertEqual(self.produce('read', 5, 100), 5)
            run(SLUICE, 'consume', 'read', '-g', 'readers', '--from', 'start', '-e', '--bootstrap', self.bootstrap(), '--timeout-ms', '20000')
            self.assertEqual(self.committed('readers'), [5])
            began = time.monotonic()
            while time.monotonic() < began + 10 and not all(self.said(node, 'is full: 1 MiB of the reserve') for node in disks):
                for disk in disks.values():
                    self.fill(disk)
                self.create_topic(f'made-{int(1000 * (time.monotonic() - began))}', 20, 3)
            for node, reserve in reserves.items():
                self.assertGreaterEqual(self.said(node, 'is full: 1 MiB of the reserve'), 1, f'node {node} has given a piece up')
                self.assertLess(reserve.stat().st_size, 16 * MIB)
                self.assertIn('of its reserve', self.health(node))
            after = producer.acks_so_far()
            producer.wait_for_acks(after + 500)
            self.assertTrue(all(process.poll() is None for process in self.processes.values()), 'nobody ended')
            say(f'{[reserve.stat().st_size // MIB for reserve in reserves.values()]} MiB are left of the reserves')

            # Both start as they are, one after another.
            for node, disk in disks.items():
                self.processes[node].terminate()
                # What the stop gives up is taken from it, but not faster than somebody's log would: who takes each piece at once takes the whole reserve.
                deadline = time.monotonic() + 30
                while self.processes[node].poll() is None:
                    self.assertLess(time.monotonic(), deadline, f'node {node} stops')
                    self.fill(disk)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self.processes[node].wait(0.5)
                self.assertIn(self.processes[node].returncode, (0, 1), 'it stops, and is not ended by a signal')
                self.assertEqual(self.fill(disk), 0)
                self.assertGreaterEqual(reserves[node].stat().st_size, 8 * MIB, 'enough is left to start with')
                self.start(node)
                wait_until(lambda node=node: self.ready(node), f'node {node} ready on a full disk', 30)
                self.assertEqual(self.said(node, 'are given up for this start'), 1)
            self.create_topic('last', 20, 3)

            for disk in disks.values():
                (disk / 'ballast').unlink()
            wait_until(lambda: all(self.said(node, 'in reserve again') for node in disks), 'both reserves made again', 10)
            wait_until(lambda: all(len(p['isr']) == 3 for p in self.partitions('orders').values()), 'all in sync again', 20)
            summary = producer.finish()
        self.assertTrue(all(process.poll() is None for process in self.processes.values()), 'nobody ended')
        self.assertTrue(all(reserve.stat().st_size == 16 * MIB for reserve in reserves.values()))
        self.assertEqual(self.committed('readers'), [5])
        self.assertEqual({len(self.partitions('last', node)) for node in self.nodes}, {20})
        check_history(self.read_all('orders'), summary['acks'], idempotent=True)


if __name__ == '__main__':
    unittest.main(defaultTest='NoByteLeftTest.test_two_of_three_disks_without_a_byte_left_end_no_node', verbosity=2)
