"""The channels of a simulated process.

The handshake is that of real channels, byte for byte, and so are the first frames, which travel behind it as one stream of
bytes; later frames travel whole.  A test holds the two ways against each other: framing tells lengths, and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Protocol

from msgspec import Struct

from headrace.errors import PeerRefused
from headrace.ports import Endpoint, Peer
from headrace.protocols.channel import HANDSHAKE_NS, LENGTH, NONCE_BYTES, Framing, Handshake, framed
from headrace.protocols.messages import CONTROL_BYTES_MAX
from headrace.sim.network.link import Link
from headrace.sim.network.wire import Wire

KEY = b"every process of a simulated run has this key"
PACKET = 64  # bytes of what says only that something begins or ends


class Party(Protocol):
    """A process, as the network sees it."""

    def now(self, action: Callable[[], None]) -> None:
        """Have something happen in it: at once, or when it goes on, or never, if it has ended."""
        ...


class Raw(Struct, frozen=True):
    """A stretch of a stream of bytes: of a handshake, or of frames."""

    data: bytes


class Twice(Struct, frozen=True):
    """A frame that is delivered two times."""

    data: bytes


class Last(Struct, frozen=True):
    """Nothing more comes."""


Item = bytes | Raw | Twice | Last


class End:
    """One end of a channel.

    Attributes:
        far: the other end.
        link: on which this one sends.
        open: both sides have proved the key, as far as this one knows.
        alive: nobody has closed it here, and nobody was told that it is closed.
        given_up: what is sent from here goes nowhere any more.
        waiting: frames that were sent before it was open.
        coming: what is on its way here; each has an event of its own, in this order.
        here: what has come, and is not handed over yet.
        stopped: what was sent from here and gets no further for now.
        arrives_ns: when what was sent last from here arrives; the next comes no sooner.
        unheard_ns: since when nothing that was sent is acknowledged.

    """

    __slots__ = (
        "alive",
        "arrives_ns",
        "coming",
        "far",
        "framing",
        "given_up",
        "handshake",
        "hears",
        "here",
        "link",
        "network",
        "open",
        "patient",
        "peer",
        "stopped",
        "unheard_ns",
        "waiting",
    )

    def __init__(self, network: SimNetwork, link: Link, far: str, *, opener: bool, patient: bool) -> None:
        self.network, self.link, self.patient = network, link, patient
        self.far = self
        self.peer = Peer(0)  # none yet: nobody here knows of it
        nonce = network.wire.world.chance("nonces").randbytes(NONCE_BYTES)
        self.handshake = Handshake(KEY, nonce, opener=opener)
        self.framing = Framing(CONTROL_BYTES_MAX)
        self.hears = f"{network.name} hears {far}"
        self.open, self.alive, self.given_up = False, True, False
        self.waiting: list[bytes] = []
        self.coming: deque[tuple[int, Item]] = deque()
        self.here: deque[Item] = deque()
        self.stopped: deque[tuple[int, Item]] = deque()
        self.arrives_ns = 0
        self.unheard_ns: int | None = None

    @property
    def is_gone(self) -> bool:
        """Whether nobody is here any more."""
        return not self.alive or self.network.gone

    def begin(self) -> None:
        """It is known here from now on: say hello, and do not wait for an answer for ever."""
        network = self.network
        self.peer = Peer(next(network.numbers))
        network.ends[self.peer] = self
        self.link.ends[self] = None
        self._send_bytes(self.handshake.greeting())
        if not self.patient:
            network.wire.world.later(HANDSHAKE_NS, f"{network.name} waits no longer", self._check)

    def _check(self) -> None:
        if self.alive and not self.open:
            self.network.party.now(self.break_off)

    def _send_bytes(self, data: bytes) -> None:
        self.network.wire.carry(self, len(data), Raw(data))

    # What comes, as the host sees it.

    def arrive(self) -> None:
        """The next of what was coming is at this host's door."""
        size, item = self.coming.popleft()
        network = self.network
        if network.gone:
            network.wire.refuse(self.far)
            return
        link = self.far.link
        if link.into is None or link.out is None:
            self.here.append(item)
            network.party.now(self._hand)
            return
        now = network.wire.world.time_ns
        done = link.into.take(self, size, item, now - link.out.time_of(size))  # it came while it was sent
        if done is not None:
            self.come(item, done)

    def come(self, item: Item, done_ns: int) -> None:
        """Something is through the door, or will be in a moment."""
        world = self.network.wire.world
        self.here.append(item)
        if done_ns <= world.time_ns:
            self.network.party.now(self._hand)
        else:
            world.later(done_ns - world.time_ns, self.hears, self._later)

    def _later(self) -> None:
        self.network.party.now(self._hand)

    # The process's side.

    def _hand(self) -> None:
        """Hand over the next of what has come."""
        item = self.here.popleft()
        if not self.alive:
            if type(item) is not Last:
                self.network.wire.refuse(self.far)
            return
        try:
            if type(item) is bytes:
                self._received(item)
            elif type(item) is Raw:
                self._bytes(item.data)
            elif type(item) is Twice:
                self._received(item.data)
                self._received(item.data)
            else:
                self.closed()
        except PeerRefused:
            self.break_off()

    def _received(self, data: bytes) -> None:
        network = self.network
        network.received_bytes += len(data)
        if self.alive and network.endpoint is not None:
            network.endpoint.received(self.peer, data)

    def _bytes(self, data: bytes) -> None:
        """Take bytes of the handshake, or of the frames that come right behind it."""
        if not self.peer:
            self.begin()
        if not self.open:
            answer = self.handshake.receive(data)
            if answer:
                self._send_bytes(answer)
            if not self.handshake.done:
                return
            self.open = True
            if self.network.endpoint is not None:
                self.network.endpoint.opened(self.peer)
            frames, self.waiting = self.waiting, []
            if frames and self.alive:
                self._send_bytes(b"".join(map(framed, frames)))
            data = self.handshake.rest
        for frame in self.framing.receive(data):
            self._received(frame)

    def closed(self) -> None:
        """The other side is gone."""
        if self.alive:
            self.vanish()
            if self.network.endpoint is not None:
                self.network.endpoint.closed(self.peer)

    def close(self) -> None:
        """Give it up; the other side hears of that after what was sent."""
        self.vanish()
        self.network.wire.carry(self, PACKET, Last())

    def break_off(self) -> None:
        """Give it up for what the other side did, or did not do."""
        if self.alive:
            self.close()
            if self.network.endpoint is not None:
                self.network.endpoint.closed(self.peer)

    def vanish(self) -> None:
        """Be gone, without a word to anybody."""
        self.alive = False
        self.network.ends.pop(self.peer, None)
        self.waiting.clear()
        self.settle()

    # The host's side.

    def give_up(self) -> None:
        """Send nothing more; the owner is told, and the other side is not."""
        self.given_up, self.unheard_ns = True, None
        self.stopped.clear()
        self.lose()
        self.settle()

    def lose(self) -> None:
        """Tell the owner that it is closed, if it does not know."""
        if self.alive:
            self.given_up = True
            self.network.party.now(self.closed)

    def settle(self) -> None:
        """Be forgotten by the link, when nothing is left to do."""
        if not self.alive and not self.stopped:
            self.link.ends.pop(self, None)


class SimNetwork:
    """The channels of one process.

    Attributes:
        gone: the process has ended.

    """

    def __init__(self, wire: Wire, name: str, party: Party) -> None:
        self.wire, self.name, self.party = wire, name, party
        self.ends: dict[Peer, End] = {}
        self.numbers = count(1)
        self.gone = False
        self.endpoint: Endpoint | None = None
        self.sent_bytes = self.received_bytes = 0
        self._doubled = wire.world.chance("double").random
        wire.networks[name] = self

    def connect(self, address: str, *, patient: bool = False) -> Peer:
        """Open a channel to a process by its name; who is patient waits for it as long as it may take."""
        wire = self.wire
        link = wire.link(wire.host(self.name), wire.host(address))
        other = wire.networks.get(address)
        if other is None:
            return self._connect_to_nobody(link)
        ours = End(self, link, address, opener=True, patient=patient)
        theirs = End(other, link.back, self.name, opener=False, patient=patient)
        ours.far, theirs.far = theirs, ours
        ours.begin()
        return ours.peer

    def _connect_to_nobody(self, link: Link) -> Peer:
        """A host says at once that there is no such process, if it can be asked."""
        peer = Peer(next(self.numbers))
        delay = HANDSHAKE_NS if link.blocked or link.back.blocked else 2 * link.median_ns

        def tell() -> None:
            if self.endpoint is not None:
                self.endpoint.closed(peer)

        self.wire.world.later(delay, f"{self.name} cannot connect", lambda: self.party.now(tell))
        return peer

    def send(self, peer: Peer, data: bytes) -> None:
        """Send a frame, or drop it if the channel is gone."""
        end = self.ends.get(peer)
        if end is None:
            return
        size, wire = len(data), self.wire
        self.sent_bytes += size
        if not end.open:
            end.waiting.append(data)
            return
        item: Item = data
        if wire.double.value and self._doubled() < wire.double.value:
            item = Twice(data)
        elif size > CONTROL_BYTES_MAX:
            item = Raw(framed(data))  # which the other side refuses, as it would on a socket
        wire.carry(end, size + LENGTH.size, item)

    def close(self, peer: Peer) -> None:
        """Give a channel up; the other side notices after a while."""
        end = self.ends.get(peer)
        if end is not None:
            end.close()

    def shut(self) -> None:
        """The process is gone.  Its host says so to whoever had a channel to it, unless it is gone, too."""
        self.gone = True
        silent = self.wire.host(self.name) in self.wire.dark
        self.wire.networks.pop(self.name, None)
        for end in list(self.ends.values()):
            if silent:
                end.given_up = True
                end.stopped.clear()
                end.vanish()
            else:
                end.close()
