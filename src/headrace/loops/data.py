"""Blocks between processes: the side that serves, and the side that pulls.

Serving is reading a range and sending it.  Pulling is a `Fetch` machine for every body that waits for blocks; its pieces go
into a `Stream` that the body takes them from, and every piece taken makes room for another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Protocol

from msgspec import Struct

from headrace.config import DataConfig
from headrace.ids import HostId
from headrace.loops.loop import Loop
from headrace.ports import Clock, Gate, Network, Peer
from headrace.protocols import fetch
from headrace.protocols.messages import Lack, Message, Piece, Pull, encode
from headrace.store.serving import BlockReader, NoSuchBlock


class BlocksLost(Exception):
    """Blocks that a fetch cannot have: their places in its list."""

    def __init__(self, places: tuple[int, ...], why: str) -> None:
        self.places, self.why = places, why
        super().__init__(why)


class Whereabouts(Protocol):
    """Who knows which address serves a host; the answer comes to `DataPlane.located`."""

    def __call__(self, host: HostId, avoid: str) -> None:
        """Ask."""
        ...


class Stream:
    """Pieces on their way from the loop to a body.  The loop appends; the body takes, and waits when there are none."""

    def __init__(self, plane: DataPlane, name: str, gate: Gate, places: int) -> None:
        self._plane, self._name, self._gate = plane, name, gate
        self._pieces: list[deque[bytes]] = [deque() for _ in range(places)]
        self._complete = [False] * places
        self._lost: BlocksLost | None = None
        self._more = gate.flag()

    # The loop's side.

    def put(self, place: int, piece: bytes, *, complete: bool) -> None:
        """Append a piece."""
        self._pieces[place].append(piece)
        self._complete[place] = self._complete[place] or complete
        self._more.set()

    def lose(self, lost: BlocksLost) -> None:
        """Say that nothing more comes."""
        self._lost = lost
        self._more.set()

    # The body's side.

    def take(self, place: int) -> Iterator[bytes]:
        """Give the pieces of one block.

        Raises:
            BlocksLost: it cannot be had.

        """
        pieces = self._pieces[place]
        while True:
            self._more.clear()  # before looking: whatever comes after the look sets it again
            complete = self._complete[place]
            while pieces:
                piece = pieces.popleft()
                yield piece
                self._plane.consumed(self._name, place, len(piece))
            if complete:
                return
            if self._lost is not None:
                raise self._lost
            self._gate.wait(self._more)

    def close(self) -> None:
        """Nobody will take any more."""
        self._plane.end(self._name)


class Gathered:
    """Like a stream, for the loop itself: takes every piece at once, and says when it has all of one block."""

    def __init__(self, plane: DataPlane, done: Callable[[list[bytes] | BlocksLost], None]) -> None:
        self._plane, self._done = plane, done
        self._pieces: list[bytes] = []
        self.name = ""

    def put(self, place: int, piece: bytes, *, complete: bool) -> None:
        """Take a piece."""
        self._pieces.append(piece)
        if complete:
            self._plane.end(self.name)
            self._done(self._pieces)
        else:
            self._plane.consumed(self.name, place, len(piece))

    def lose(self, lost: BlocksLost) -> None:
        """Nothing more comes."""
        self._plane.end(self.name)
        self._done(lost)


class Taker(Protocol):
    """Who takes the pieces of one block within the loop; `name` is given to it, for `consumed` and `end`."""

    name: str

    def put(self, place: int, piece: bytes, *, complete: bool) -> None:
        """Take a piece."""
        ...

    def lose(self, lost: BlocksLost) -> None:
        """Nothing more comes."""
        ...


class DataPlane:
    """Both sides of one process."""

    def __init__(
        self, loop: Loop, clock: Clock, network: Network, reader: BlockReader, config: DataConfig, ask: Whereabouts
    ) -> None:
        self._loop, self._clock, self._network, self._reader, self._config = loop, clock, network, reader, config
        self._ask = ask
        self._streams: dict[str, Stream | Taker] = {}
        self._fetches: dict[str, fetch.Fetch] = {}
        self._requests: dict[int, tuple[str, int, Peer]] = {}  # what each pull was for, and who was asked
        self._arrived: dict[tuple[str, int, int], bytes] = {}  # pieces until the machine gives them out
        self._peers: dict[str, Peer] = {}
        self._addresses: dict[Peer, str] = {}
        self._waiting: dict[Peer, list[bytes]] = {}  # frames for channels that are not open yet
        self._numbers = count(1)
        self.received_bytes = 0

    @property
    def fetches(self) -> Mapping[str, fetch.Fetch]:
        """The pulls that have not ended, to look at."""
        return self._fetches

    # For bodies; any thread.

    def stream(self, blocks: tuple[fetch.Block, ...], budget: int, gate: Gate) -> Stream:
        """Begin to pull some blocks."""
        name = f"fetch/{next(self._numbers)}"
        stream = Stream(self, name, gate, len(blocks))
        self._loop.tell("data", _Begin(name, fetch.Fetch(blocks, budget, self._config.piece_bytes), stream))
        self._loop.wake()
        return stream

    def gather(self, block: fetch.Block, budget: int, done: Callable[[list[bytes] | BlocksLost], None]) -> str:
        """Pull a whole block, then call `done` from within the loop; return a name, by which `end` gives it up."""
        taker = Gathered(self, done)
        self.pour(block, budget, taker)
        return taker.name

    def pour(self, block: fetch.Block, budget: int, taker: Taker) -> None:
        """Pull a whole block, piece by piece, into something that takes each from within the loop."""
        taker.name = f"fetch/{next(self._numbers)}"
        machine = fetch.Fetch((block,), budget, self._config.piece_bytes)
        self._loop.tell("data", _Begin(taker.name, machine, taker))

    def consumed(self, name: str, place: int, length: int) -> None:
        """A body has taken a piece."""
        self._loop.tell(name, fetch.Consumed(place, length, self._clock.now_ns()))
        self._loop.wake()

    def end(self, name: str) -> None:
        """A body has what it wanted, or has ended."""
        self._loop.tell("data", _End(name))
        self._loop.wake()

    # For the loop.

    def step(self, event: _Begin | _End) -> list[object]:
        """Begin and end streams where everything else happens: in the loop."""
        name = event.name
        if isinstance(event, _Begin):
            self._streams[name], self._fetches[name] = event.stream, event.machine
            self._loop.add(name, _Named(name, event.machine))
            self._loop.tell(name, fetch.Begun(self._clock.now_ns()))
            return []
        self._streams.pop(name, None)
        self._fetches.pop(name, None)
        self._loop.remove(name)
        for key in [key for key in self._arrived if key[0] == name]:
            del self._arrived[key]
        return []

    def wire(self) -> None:
        """Give the loop what carries out the effects of fetches."""
        self._loop.add("data", self)
        self._loop.handle({_Effect: self._perform}, [_Effect])

    def _perform(self, wrapped: _Effect) -> None:
        name, effect = wrapped.name, wrapped.effect
        match effect:
            case fetch.Locate(host=host, avoid=avoid):
                self._ask(host, avoid)
            case fetch.Pull():
                self._pull(name, effect)
            case fetch.Give(place=place, offset=offset):
                piece = self._arrived.pop((name, place, offset))
                self._streams[name].put(place, piece, complete=self._fetches[name].states[place].complete)
            case fetch.Lose(places=places, why=why):
                self._streams[name].lose(BlocksLost(places, why))

    def _pull(self, name: str, effect: fetch.Pull) -> None:
        block = self._fetches[name].blocks[effect.place]
        peer = self._peer(effect.address)
        request = next(self._numbers)
        self._requests[request] = (name, effect.place, peer)
        self._send(peer, Pull(request, block.name, block.part, effect.offset, effect.limit))

    def _peer(self, address: str) -> Peer:
        peer = self._peers.get(address)
        if peer is None:
            peer = self._peers[address] = self._network.connect(address)
            self._addresses[peer] = address
            self._waiting[peer] = []
        return peer

    def _send(self, peer: Peer, message: Message) -> None:
        data = encode(message)
        if peer in self._waiting:
            self._waiting[peer].append(data)
        else:
            self._network.send(peer, data)

    def located(self, host: HostId, address: str, *, gone: bool) -> None:
        """The answer to `ask`."""
        event = fetch.HostGone(host) if gone else fetch.Located(host, address, self._clock.now_ns())
        for name in list(self._fetches):
            if host in self._fetches[name].hosts:
                self._loop.tell(name, event)

    def opened(self, peer: Peer) -> None:
        """A channel that was asked for is open."""
        for data in self._waiting.pop(peer, ()):
            self._network.send(peer, data)

    def closed(self, peer: Peer) -> None:
        """A channel is gone."""
        address = self._addresses.pop(peer, None)
        self._waiting.pop(peer, None)
        self._requests = {number: what for number, what in self._requests.items() if what[2] != peer}
        if address is not None and self._peers.get(address) == peer:
            del self._peers[address]
            for name in list(self._fetches):
                self._loop.tell(name, fetch.Broken(address, self._clock.now_ns()))

    def received(self, peer: Peer, message: Pull | Piece | Lack) -> None:
        """A data frame has come."""
        match message:
            case Pull():
                self._serve(peer, message)
            case Piece(request=request, offset=offset, total=total, data=data):
                self.received_bytes += len(data)
                name, place, _ = self._requests.pop(request, ("", 0, peer))
                if name in self._fetches:
                    self._arrived.setdefault((name, place, offset), data)
                    self._loop.tell(name, fetch.Arrived(place, offset, len(data), total, self._clock.now_ns()))
            case Lack(request=request, why=why):
                name, place, _ = self._requests.pop(request, ("", 0, peer))
                self._loop.tell(name, fetch.Lacking(place, why))

    def _serve(self, peer: Peer, pull: Pull) -> None:
        limit = max(0, min(pull.limit, self._config.piece_bytes))
        try:
            total, data = self._reader.read(pull.name, pull.part, max(0, pull.offset), limit)
        except NoSuchBlock as error:
            self._network.send(peer, encode(Lack(pull.request, str(error))))
        else:
            self._network.send(peer, encode(Piece(pull.request, pull.offset, total, data)))

    def tick(self, now_ns: int) -> None:
        """Let the fetches see that time passes."""
        for name in list(self._fetches):
            self._loop.tell(name, fetch.Ticked(now_ns))


class _Begin(Struct, frozen=True):
    name: str
    machine: fetch.Fetch
    stream: Stream | Taker


class _End(Struct, frozen=True):
    name: str


class _Effect:
    """An effect of one of many machines of the same kind: with the machine's name."""

    __slots__ = ("effect", "name")

    def __init__(self, name: str, effect: fetch.Effect) -> None:
        self.name, self.effect = name, effect

    def __repr__(self) -> str:
        return f"{self.name}: {self.effect!r}"


class _Named:
    """A fetch machine whose effects carry its name."""

    def __init__(self, name: str, machine: fetch.Fetch) -> None:
        self._name, self.machine = name, machine

    def step(self, event: fetch.Event) -> list[_Effect]:
        """Take one event."""
        return [_Effect(self._name, effect) for effect in self.machine.step(event)]
