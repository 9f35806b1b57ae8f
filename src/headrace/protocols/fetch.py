"""Pulling blocks from other hosts: in order, under a byte budget, from whoever serves the host now.

A block is consumed piece by piece in the order of the list; pulls run ahead of consumption as far as the budget allows, and
the piece needed next may always be asked for, so that no budget is too small to get on.  A silent or broken peer is not a
missing block: any other worker of that host has the same disk.  A block is lost when a peer that serves the host says that
it is not there, or when the host itself is gone.

Source: the byte budget is that of Spark's and MapReduce's reducers; Dean & Ghemawat (2004), section 3.1.
"""

from __future__ import annotations

from msgspec import Struct

from headrace.config import MS
from headrace.ids import HostId

ASK_AGAIN_NS = 500 * MS
PULL_AGAIN_NS = 5000 * MS


class Block(Struct, frozen=True):
    """Something to pull; `part` as in a pull message."""

    name: str
    part: int
    host: HostId


# What it is told.


class Begun(Struct, frozen=True):
    """The body waits for its first piece."""

    now_ns: int


class Located(Struct, frozen=True):
    """An address that serves a host; empty if nobody does at the moment."""

    host: HostId
    address: str
    now_ns: int


class HostGone(Struct, frozen=True):
    """A host's disk is lost."""

    host: HostId


class Arrived(Struct, frozen=True):
    """A piece of the block at `place`; `total` is the size of the whole block."""

    place: int
    offset: int
    length: int
    total: int
    now_ns: int


class Lacking(Struct, frozen=True):
    """The block at `place` is not where it should be."""

    place: int
    why: str


class Broken(Struct, frozen=True):
    """The channel to an address is gone."""

    address: str
    now_ns: int


class Consumed(Struct, frozen=True):
    """The body has taken bytes of the block at `place`."""

    place: int
    length: int
    now_ns: int


class Ticked(Struct, frozen=True):
    """Time passed."""

    now_ns: int


Event = Begun | Located | HostGone | Arrived | Lacking | Broken | Consumed | Ticked


# What it asks for.


class Locate(Struct, frozen=True):
    """Find out who serves a host; not whoever is at `avoid`, if there is a choice."""

    host: HostId
    avoid: str


class Pull(Struct, frozen=True):
    """Ask for bytes of the block at `place`."""

    place: int
    address: str
    offset: int
    limit: int


class Give(Struct, frozen=True):
    """A piece is next in its block and may be taken."""

    place: int
    offset: int


class Lose(Struct, frozen=True):
    """These blocks cannot be had; the body must end."""

    places: tuple[int, ...]
    why: str


Effect = Locate | Pull | Give | Lose


class _State(Struct):
    """How far one block is.

    Attributes:
        arrived, consumed: bytes.
        total: of the block; None before its first piece.
        asked: how many bytes are on their way, 0 if none.

    """

    arrived: int = 0
    consumed: int = 0
    total: int | None = None
    asked: int = 0
    asked_of: str = ""
    asked_ns: int = 0

    @property
    def complete(self) -> bool:
        return self.total is not None and self.arrived >= self.total


class _Host(Struct):
    address: str = ""
    avoid: str = ""
    asking_ns: int | None = None


class Fetch:
    """One list of blocks on its way to one body."""

    def __init__(self, blocks: tuple[Block, ...], budget: int, piece: int) -> None:
        self.blocks, self.budget, self.piece = blocks, budget, piece
        self.states = [_State() for _ in blocks]
        self.hosts = {block.host: _Host() for block in blocks}
        self.head = 0  # the first block that is not consumed to its end
        self.held = 0  # bytes asked for or arrived, and not consumed
        self.lost = False

    def step(self, event: Event) -> list[Effect]:
        """Take one event."""
        if self.lost:
            return []  # the body has been told; what still comes is for nobody
        match event:
            case Begun(now_ns=now):
                return self._go(now)
            case Located(host=host, address=address, now_ns=now):
                return self._located(host, address, now)
            case Arrived():
                return self._arrived(event)
            case Consumed(place=place, length=length, now_ns=now):
                self.states[place].consumed += length
                self.held -= length
                self._advance()
                return self._go(now)
            case HostGone(host=host):
                open_ = [i for i, block in enumerate(self.blocks) if block.host == host and not self.states[i].complete]
                return self._lose(tuple(open_), f"the disk of host {host} is lost") if open_ else []
            case Lacking(place=place, why=why):
                return [] if self.states[place].complete else self._lose((place,), why)
            case Broken(address=address, now_ns=now):
                self._give_up(address)
                return self._go(now)
            case Ticked(now_ns=now):
                return self._ticked(now)
        raise AssertionError(f"{type(event).__name__} is not an event of this protocol")

    def _advance(self) -> None:
        while self.head < len(self.states):
            state = self.states[self.head]
            if not state.complete or state.consumed < state.arrived:
                return
            self.head += 1

    def _go(self, now_ns: int) -> list[Effect]:
        """Ask for as much as the budget allows, in order."""
        effects: list[Effect] = []
        room = self.budget - self.held
        for place in range(self.head, len(self.blocks)):
            state = self.states[place]
            if state.complete or state.asked:
                continue
            limit = self.piece if state.total is None else min(self.piece, state.total - state.arrived)
            urgent = place == self.head and state.consumed == state.arrived
            if limit > room and not urgent:
                break
            host = self.hosts[self.blocks[place].host]
            if not host.address:
                effects += self._ask(self.blocks[place].host, now_ns)
                continue
            room -= limit
            self.held += limit
            state.asked, state.asked_of, state.asked_ns = limit, host.address, now_ns
            effects.append(Pull(place, host.address, state.arrived, limit))
        return effects

    def _ask(self, host_id: HostId, now_ns: int) -> list[Effect]:
        host = self.hosts[host_id]
        if host.asking_ns is not None:
            return []
        host.asking_ns = now_ns
        return [Locate(host_id, host.avoid)]

    def _located(self, host_id: HostId, address: str, now_ns: int) -> list[Effect]:
        host = self.hosts.get(host_id)
        if host is None or host.asking_ns is None or not address:
            return []  # not asked for, or to be asked again at a tick
        host.asking_ns, host.address = None, address
        return self._go(now_ns)

    def _arrived(self, event: Arrived) -> list[Effect]:
        state = self.states[event.place]
        if event.offset != state.arrived or state.complete:
            return []  # twice, or the answer to a pull that was given up
        state.total = event.total
        state.arrived += event.length
        self.held += event.length - state.asked
        state.asked = 0
        if not event.length and not state.complete:
            return self._lose((event.place,), f"it ends at byte {state.arrived:,} of {event.total:,}")
        self._advance()
        return [Give(event.place, event.offset), *self._go(event.now_ns)]

    def _give_up(self, address: str) -> None:
        """Expect nothing more from an address; somebody else may serve its host."""
        for host in self.hosts.values():
            if host.address == address:
                host.address, host.avoid = "", address
        for state in self.states[self.head :]:
            if state.asked and state.asked_of == address:
                self.held -= state.asked
                state.asked = 0

    def _ticked(self, now_ns: int) -> list[Effect]:
        effects: list[Effect] = []
        for host_id, host in sorted(self.hosts.items()):
            if host.asking_ns is not None and now_ns - host.asking_ns >= ASK_AGAIN_NS:
                host.asking_ns = now_ns
                effects.append(Locate(host_id, host.avoid))
        silent = {s.asked_of for s in self.states[self.head :] if s.asked and now_ns - s.asked_ns >= PULL_AGAIN_NS}
        for address in sorted(silent):
            self._give_up(address)
        return effects + self._go(now_ns) if silent else effects

    def _lose(self, places: tuple[int, ...], why: str) -> list[Effect]:
        self.lost = True
        return [Lose(places, why)]
