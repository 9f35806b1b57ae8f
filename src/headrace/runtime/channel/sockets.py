"""Channels over stream sockets: inherited pairs and Unix sockets in the run's own folder.

A channel shakes hands first (`protocols.channel`); until the other side has proved the run's key nothing that it sends is
looked at.  Who comes to the door has a few seconds for that; a process that we start, as long as starting may take.
"""

from __future__ import annotations

import os
import secrets
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from itertools import count
from urllib.parse import quote, unquote_to_bytes

from headrace.errors import PeerRefused
from headrace.ports import Clock, Endpoint, Peer
from headrace.protocols.channel import HANDSHAKE_NS, NONCE_BYTES, Framing, Handshake, framed
from headrace.protocols.messages import CONTROL_BYTES_MAX
from headrace.runtime.reactor import Reactor

STRANGERS_MAX = 64  # channels that have not proved themselves yet
READ_BYTES = 1 << 18
PATH_MAX = 100


class SocketNetwork:
    """All channels of one process."""

    def __init__(self, reactor: Reactor, clock: Clock, key: bytes) -> None:
        self._reactor, self._clock, self._key = reactor, clock, key
        self._channels: dict[Peer, _Channel] = {}
        self._numbers = count(1)
        self._listener: socket.socket | None = None
        self._lock = threading.Lock()  # bodies may send, too
        self.endpoint: Endpoint | None = None
        self.refused = 0  # peers that were not who they should have been
        self.sent_bytes = self.received_bytes = 0

    # Channels.

    def adopt(self, sock: socket.socket, *, opener: bool) -> Peer:
        """Make a channel of a socket whose other end a process has inherited, which may take long to start."""
        return self._add(sock, None, opener=opener)

    def _add(self, sock: socket.socket, deadline_ns: int | None, *, opener: bool) -> Peer:
        sock.setblocking(False)
        peer = Peer(next(self._numbers))
        handshake = Handshake(self._key, secrets.token_bytes(NONCE_BYTES), opener=opener)
        channel = _Channel(sock, handshake, deadline_ns)
        self._channels[peer] = channel
        channel.out.append(memoryview(handshake.greeting()))
        self._reactor.watch(sock, selectors.EVENT_READ, lambda events: self._ready(peer, events))
        self._reactor.call_soon(lambda: self._flush(peer, channel))  # it may be broken already, which is told by itself
        return peer

    def listen(self, path: str) -> str:
        """Accept channels at a path; return the address to give to others."""
        if len(os.fsencode(path)) >= PATH_MAX:
            raise ValueError(f"{path} is too long for a socket")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        os.chmod(path, 0o600)
        listener.listen(128)
        listener.setblocking(False)
        self._listener = listener
        self._reactor.watch(listener, selectors.EVENT_READ, self._accept)
        return f"unix:{quote(os.fsencode(path))}"  # addresses are text; names of files need not be

    def _accept(self, _: int) -> None:
        assert self._listener is not None
        while True:
            try:
                sock, _address = self._listener.accept()
            except (BlockingIOError, ConnectionError):
                return
            if sum(channel.is_stranger for channel in self._channels.values()) >= STRANGERS_MAX:
                sock.close()
            else:
                self._add(sock, self._clock.now_ns() + HANDSHAKE_NS, opener=False)

    def connect(self, address: str) -> Peer:
        """Open a channel; the endpoint is told when it is open, or that it is not."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(unquote_to_bytes(address.removeprefix("unix:")))
        except OSError:
            sock.close()
            peer = Peer(next(self._numbers))
            self._reactor.call_soon(lambda: self._tell(lambda endpoint: endpoint.closed(peer)))
            return peer
        return self._add(sock, self._clock.now_ns() + HANDSHAKE_NS, opener=True)

    def send(self, peer: Peer, data: bytes) -> None:
        """Send a frame, or drop it if the channel is gone."""
        channel = self._channels.get(peer)
        if channel is None:
            return
        with self._lock:
            self.sent_bytes += len(data)
            channel.frames.append(framed(data))
            broken = channel.handshake.done and not self._push(channel)
        if broken:
            self._reactor.call_soon(lambda: self._break(peer))
        elif channel.out:
            self._reactor.call_soon(lambda: self._flush(peer, channel))  # what is waited for, its thread decides alone

    def close(self, peer: Peer) -> None:
        """Give a channel up."""
        channel = self._channels.pop(peer, None)
        if channel is not None:
            self._reactor.forget(channel.sock)
            with self._lock:  # nobody is sending: the number of the socket may be another file's in a moment
                channel.sock.close()

    def check(self) -> None:
        """Give up channels that have not proved themselves in time."""
        now = self._clock.now_ns()
        for peer, channel in list(self._channels.items()):
            if channel.deadline_ns is not None and not channel.handshake.done and now >= channel.deadline_ns:
                self.refused += 1
                self._break(peer)

    def shut(self) -> None:
        """Close everything."""
        for peer in list(self._channels):
            self.close(peer)
        if self._listener is not None:
            self._reactor.forget(self._listener)
            self._listener.close()

    # What the reactor tells.

    def _tell(self, call: Callable[[Endpoint], None]) -> None:
        if self.endpoint is not None:
            call(self.endpoint)

    def _break(self, peer: Peer) -> None:
        if peer in self._channels:
            self.close(peer)
            self._tell(lambda endpoint: endpoint.closed(peer))

    def _ready(self, peer: Peer, events: int) -> None:
        channel = self._channels.get(peer)
        if channel is None:
            return
        if events & selectors.EVENT_WRITE:
            self._flush(peer, channel)
        if events & selectors.EVENT_READ:
            self._read(peer, channel)

    def _read(self, peer: Peer, channel: _Channel) -> None:
        try:
            data = channel.sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._break(peer)
            return
        self.received_bytes += len(data)
        try:
            if not channel.handshake.done:
                data = self._shake(peer, channel, data)
                if not data:
                    return
            for frame in channel.framing.receive(data):
                if peer not in self._channels:
                    return  # it was closed for what came before: nothing more is told
                self._tell(lambda endpoint, frame=frame: endpoint.received(peer, frame))  # type: ignore[misc]
        except PeerRefused:
            self.refused += 1
            self._break(peer)

    def _shake(self, peer: Peer, channel: _Channel, data: bytes) -> bytes:
        answer = channel.handshake.receive(data)
        if answer:
            channel.out.append(memoryview(answer))
        self._flush(peer, channel)
        if not channel.handshake.done:
            return b""
        self._tell(lambda endpoint: endpoint.opened(peer))
        self._flush(peer, channel)
        return channel.handshake.rest

    def _flush(self, peer: Peer, channel: _Channel) -> None:
        with self._lock:
            alive = self._push(channel)
        if alive:
            self._interest(peer, channel)
        else:
            self._break(peer)

    def _push(self, channel: _Channel) -> bool:
        """Send what can be sent now; False if the channel is broken."""
        if channel.handshake.done and channel.frames:
            channel.out.append(memoryview(b"".join(channel.frames)))
            channel.frames.clear()
        while channel.out:
            data = channel.out[0]
            try:
                sent = channel.sock.send(data)
            except (BlockingIOError, InterruptedError):
                return True
            except OSError:
                return False
            if sent < len(data):
                channel.out[0] = data[sent:]
            else:
                channel.out.popleft()
        return True

    def _interest(self, peer: Peer, channel: _Channel) -> None:
        writing = bool(channel.out)
        if writing != channel.writing and peer in self._channels:
            channel.writing = writing
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
            self._reactor.watch(channel.sock, events, lambda ready: self._ready(peer, ready))


class _Channel:
    """One socket: its handshake, its frames in both directions."""

    def __init__(self, sock: socket.socket, handshake: Handshake, deadline_ns: int | None) -> None:
        self.sock, self.handshake, self.deadline_ns = sock, handshake, deadline_ns
        self.framing = Framing(CONTROL_BYTES_MAX)
        self.frames: deque[bytes] = deque()  # that wait for the handshake, or for one another
        self.out: deque[memoryview] = deque()
        self.writing = False

    @property
    def is_stranger(self) -> bool:
        """Whether somebody came to the door and has not proved the key yet."""
        return self.deadline_ns is not None and not self.handshake.done
