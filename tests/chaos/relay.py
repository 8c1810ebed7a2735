#!/usr/bin/env python3
"""A relay that hands on TCP connections with a delay. It runs in a host's namespace, whose connections to others are redirected to it (nftables), and goes on
from there to where they wanted to go; its own are marked, so that they are not redirected.

    relay.py PORT DELAY_MS MARK"""
import asyncio
import socket
import struct
import sys

SO_ORIGINAL_DST, CHUNK_BYTES, QUEUED_CHUNKS_MAX = 80, 1 << 16, 256


def wanted(writer):
    raw = writer.get_extra_info('socket').getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
    port, address = struct.unpack('!2xH4s8x', raw)
    return socket.inet_ntoa(address), port


async def pump(reader, writer, delay_s):
    queue, loop = asyncio.Queue(QUEUED_CHUNKS_MAX), asyncio.get_running_loop()

    async def receive():
        while chunk := await reader.read(CHUNK_BYTES):
            await queue.put((loop.time() + delay_s, chunk))
        await queue.put((loop.time() + delay_s, b''))
    receiving = asyncio.create_task(receive())
    try:
        while True:
            due, chunk = await queue.get()
            await asyncio.sleep(max(0, due - loop.time()))
            if not chunk:
                return
            writer.write(chunk)
            await writer.drain()
    finally:
        receiving.cancel()
        writer.close()


async def serve(port, delay_s, mark):
    running = set()  # asyncio itself holds them weakly

    async def accept(reader, writer):
        running.add(asyncio.current_task())
        try:
            out = socket.socket()
            out.setblocking(False)
            out.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
            await asyncio.get_running_loop().sock_connect(out, wanted(writer))
            far_reader, far_writer = await asyncio.open_connection(sock=out)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, far_writer, delay_s), pump(far_reader, writer, delay_s), return_exceptions=True)
    async with await asyncio.start_server(accept, '0.0.0.0', port) as server:
        print('ready', flush=True)
        await server.serve_forever()


if __name__ == '__main__':
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]) / 1000, int(sys.argv[3])))
