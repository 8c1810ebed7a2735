"""A relay before one listener of a node that can let its clients know nothing new of the cluster: while `frozen`, it answers their Metadata requests with what
the node said last. All else passes."""
import collections
import socket
import struct
import threading

METADATA = 3


class View:
    """What clients were told, by their id and the version they asked in; shared by the relays of a cluster."""

    def __init__(self):
        self.frozen = False
        self.told = {}
        self.stale_answers = 0


def frames(stream):
    """Frames of the Kafka protocol, without their length, until the stream ends."""
    while len(size := stream.read(4)) == 4:
        yield stream.read(struct.unpack('>i', size)[0])


class Connection:

    def __init__(self, client, port, view):
        self.client, self.server, self.view = client, socket.create_connection(('127.0.0.1', port)), view
        self.lock = threading.Lock()
        self.expected = collections.deque()  # (kind of a Metadata request, or None; its answer, if that is made here)
        for pump, source in ((self.up, self.client), (self.down, self.server)):
            threading.Thread(target=self.run, args=(pump, source), daemon=True).start()

    def run(self, pump, source):
        try:
            with source.makefile('rb') as stream:
                pump(stream)
        except OSError:
            pass  # either side has gone
        finally:
            for end in (self.client, self.server):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # the other pump was first
            source.close()

    def send(self, frame):
        self.client.sendall(struct.pack('>i', len(frame)) + frame)

    def up(self, stream):
        for frame in frames(stream):
            api, version, correlation, size = struct.unpack('>hhih', frame[:10])
            kind = (frame[10:10 + size], version) if api == METADATA else None
            with self.lock:
                stale = self.view.told.get(kind) if self.view.frozen and kind else None
                if stale is not None:
                    self.view.stale_answers += 1
                    self.expected.append((None, struct.pack('>i', correlation) + stale))
                    self.send_made()
                    continue
                self.expected.append((kind, None))
            self.server.sendall(struct.pack('>i', len(frame)) + frame)

    def send_made(self):
        while self.expected and self.expected[0][1] is not None:
            self.send(self.expected.popleft()[1])

    def down(self, stream):
        for frame in frames(stream):
            with self.lock:
                kind, _ = self.expected.popleft()
                if kind:
                    self.view.told[kind] = frame[4:]
                self.send(frame)
                self.send_made()


class Relay:

    def __init__(self, view):
        self.view = view
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]

    def start(self, port):
        """Relays to that port from now on, for as long as this process lives."""
        threading.Thread(target=self.accept, args=(port,), daemon=True).start()

    def accept(self, port):
        while True:
            client, _ = self.listener.accept()
            try:
                Connection(client, port, self.view)
            except OSError:
                client.close()  # the node does not listen yet
