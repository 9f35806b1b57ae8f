"""A simulated network: frames take time, and arrive in order while a channel lives.

A frame that is lost is sent again below the channel, as TCP would, so loss is delay, for it and for all behind it.  Frames
may be delivered twice.  A partition between hosts holds frames back, and breaks the channels if it lasts.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, field

from headrace.config import MS, SECOND
from headrace.ports import Endpoint, Peer
from headrace.protocols.channel import NONCE_BYTES, Framing, Handshake, framed
from headrace.protocols.messages import CONTROL_BYTES_MAX
from headrace.sim.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

LATENCY_NS = (50_000, 500_000)
RESEND_NS = 200 * MS
KEY = b"every process of a simulated run has this key"
BREAK_NS = 10 * SECOND  # a partition that lasts so long breaks what it cuts


class Party(Protocol):
    """A process, as the network sees it."""

    def happen(self, label: str, delay_ns: int, action: Callable[[], None]) -> None:
        """Have something happen in it."""
        ...


class _End(Struct, eq=False):
    """One end of a channel: as on a real socket, a handshake and then frames.

    Attributes:
        waiting: frames that were sent before the handshake was over.
        free_ns: when the last bytes sent from here have arrived; the next come after them.

    """

    network: SimNetwork
    peer: Peer
    handshake: Handshake
    framing: Framing
    waiting: list[bytes] = field(default_factory=list)
    free_ns: int = 0


class Wire(Struct):
    """All channels of a simulated cluster, and what is wrong with them.

    Attributes:
        lose, double: probabilities, for each frame.
        cut: pairs of hosts, in sorted order, that cannot reach each other, and since when.

    """

    world: World
    networks: dict[str, SimNetwork] = field(default_factory=dict)
    host_of: dict[str, str] = field(default_factory=dict)
    lose: float = 0.0
    double: float = 0.0
    cut: dict[tuple[str, str], int] = field(default_factory=dict)
    held: list[tuple[tuple[str, str], Callable[[], None]]] = field(default_factory=list)

    def between(self, one: str, other: str) -> tuple[str, str]:
        """Name the path between two processes by their hosts."""
        first, second = sorted((self.host_of.get(one, one), self.host_of.get(other, other)))
        return first, second

    def partition(self, path: tuple[str, str]) -> None:
        """Let nothing through between two hosts."""
        since = self.cut[path] = self.world.time_ns
        self.world.later(BREAK_NS, f"{path} is given up", lambda: self._break(path, since))

    def _break(self, path: tuple[str, str], since: int) -> None:
        """Break the channels of a partition that has lasted too long; each side learns of it by itself."""
        if self.cut.get(path) != since:
            return  # it has healed, and perhaps begun anew
        for _, network in sorted(self.networks.items()):
            network.lose(path)

    def heal(self, path: tuple[str, str]) -> None:
        """Let everything through again, beginning with what was held."""
        self.cut.pop(path, None)
        waiting, self.held = self.held, []
        for its_path, action in waiting:
            if its_path == path:
                action()
            else:
                self.held.append((its_path, action))


class SimNetwork:
    """The channels of one process."""

    def __init__(self, wire: Wire, name: str, party: Party) -> None:
        self._wire, self.name, self._party = wire, name, party
        self._ends: dict[Peer, tuple[_End, _End]] = {}  # ours, theirs
        self._numbers = count(1)
        self.endpoint: Endpoint | None = None
        self.sent_bytes = self.received_bytes = 0
        wire.networks[name] = self

    def connect(self, address: str) -> Peer:
        """Open a channel to a process by its name."""
        peer = Peer(next(self._numbers))
        other = self._wire.networks.get(address)
        if other is None:
            self._party.happen("cannot connect", LATENCY_NS[1], lambda: self._closed(peer))
            return peer
        ours = self._end(peer, opener=True)
        theirs = other._end(Peer(next(other._numbers)), opener=False)
        self._ends[peer], other._ends[theirs.peer] = (ours, theirs), (theirs, ours)
        for end, far in ((ours, theirs), (theirs, ours)):
            self._carry_bytes(end, far, end.handshake.greeting(), 1)
        return peer

    def _end(self, peer: Peer, *, opener: bool) -> _End:
        nonce = self._wire.world.chance("nonces").randbytes(NONCE_BYTES)
        return _End(self, peer, Handshake(KEY, nonce, opener=opener), Framing(CONTROL_BYTES_MAX))

    def send(self, peer: Peer, data: bytes) -> None:
        """Send a frame, or drop it if the channel is gone."""
        ends = self._ends.get(peer)
        if ends is None:
            return
        ours, theirs = ends
        self.sent_bytes += len(data)
        if not ours.handshake.done:
            ours.waiting.append(data)
            return
        times = 1 + (self._wire.world.chance("double").random() < self._wire.double)
        self._carry_bytes(ours, theirs, framed(data), times)

    def _carry_bytes(self, ours: _End, theirs: _End, data: bytes, times: int) -> None:
        action = lambda: theirs.network._bytes(theirs.peer, data, times)  # noqa: E731
        self._carry(ours, theirs, f"hears {ours.network.name}", action)

    def _bytes(self, peer: Peer, data: bytes, times: int) -> None:
        """Bytes have come: of the handshake, or of a frame, which is delivered so many times."""
        ends = self._ends.get(peer)
        if ends is None:
            return
        ours, theirs = ends
        if not ours.handshake.done:
            answer = ours.handshake.receive(data)
            if answer:
                self._carry_bytes(ours, theirs, answer, 1)
            if not ours.handshake.done:
                return
            self._opened(peer)
            data = ours.handshake.rest
            waiting, ours.waiting = ours.waiting, []
            for frame in waiting:
                self.send(peer, frame)
        for frame in ours.framing.receive(data):
            for _ in range(times):
                self._received(peer, frame)

    def close(self, peer: Peer) -> None:
        """Give a channel up; the other side notices after a while."""
        ends = self._ends.pop(peer, None)
        if ends is not None:
            ours, theirs = ends
            self._carry(ours, theirs, f"loses {self.name}", lambda: theirs.network._closed(theirs.peer))

    def lose(self, path: tuple[str, str]) -> None:
        """Give up the channels along a path, without the other side hearing of it."""
        for peer, (ours, theirs) in list(self._ends.items()):
            if self._wire.between(ours.network.name, theirs.network.name) == path:
                self._party.happen("loses a channel", 0, lambda peer=peer: self._closed(peer))  # type: ignore[misc]

    def shut(self) -> None:
        """The process is gone."""
        self._wire.networks.pop(self.name, None)
        for peer in list(self._ends):
            self.close(peer)

    def _carry(self, ours: _End, theirs: _End, label: str, action: Callable[[], None]) -> None:
        """Take something from one end to the other, after what went before."""
        wire, world = self._wire, self._wire.world
        path = wire.between(ours.network.name, theirs.network.name)
        if path in wire.cut:
            wire.held.append((path, lambda: self._carry(ours, theirs, label, action)))
            return
        delay = world.chance("latency").randrange(*LATENCY_NS)
        resend = RESEND_NS
        while world.chance("loss").random() < wire.lose:
            delay += resend
            resend *= 2
        arrival = max(world.time_ns + delay, ours.free_ns + 1)
        ours.free_ns = arrival
        theirs.network._party.happen(label, arrival - world.time_ns, action)

    def _opened(self, peer: Peer) -> None:
        if peer in self._ends and self.endpoint is not None:
            self.endpoint.opened(peer)

    def _received(self, peer: Peer, data: bytes) -> None:
        if peer in self._ends and self.endpoint is not None:
            self.received_bytes += len(data)
            self.endpoint.received(peer, data)

    def _closed(self, peer: Peer) -> None:
        self._ends.pop(peer, None)
        if self.endpoint is not None:
            self.endpoint.closed(peer)
