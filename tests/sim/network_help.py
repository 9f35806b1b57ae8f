"""A few processes of a simulated network, and what they are told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from headrace.errors import InternalError
from headrace.ports import Peer
from headrace.sim.network import SimNetwork, Wire
from headrace.sim.world import World

STEPS_MAX = 100_000


class Process:
    """A process that keeps what it is told, channel by channel."""

    def __init__(self, wire: Wire, name: str) -> None:
        self.world = wire.world
        self.frames: dict[Peer, list[bytes]] = {}
        self.came: list[tuple[int, Peer, bytes]] = []
        self.opened_ns: dict[Peer, int] = {}
        self.closed_ns: dict[Peer, int] = {}
        self.paused: list[Callable[[], None]] | None = None
        self.network = SimNetwork(wire, name, self)
        self.network.endpoint = self

    def now(self, action: Callable[[], None]) -> None:
        if self.paused is None:
            action()
        else:
            self.paused.append(action)

    def unpause(self) -> None:
        held, self.paused = self.paused or [], None
        for action in held:
            action()

    def opened(self, peer: Peer) -> None:
        assert peer not in self.opened_ns
        self.opened_ns[peer] = self.world.time_ns
        self.frames[peer] = []

    def received(self, peer: Peer, data: bytes) -> None:
        assert peer not in self.closed_ns
        self.frames[peer].append(data)
        self.came.append((self.world.time_ns, peer, data))

    def closed(self, peer: Peer) -> None:
        assert peer not in self.closed_ns, "told once"
        self.closed_ns[peer] = self.world.time_ns

    def heard(self) -> list[bytes]:
        return [data for frames in self.frames.values() for data in frames]


def make(hosts: str = "abc", seed: int = 1) -> tuple[Wire, list[Process]]:
    """Make a process on each host; its name is that of its host."""
    wire = Wire(World(seed))
    return wire, [Process(wire, name) for name in hosts]


def rest(world: World) -> None:
    """Let the world go on until nothing is left to happen."""
    with pytest.raises(InternalError, match="come to rest"):
        _go_on(world)


def _go_on(world: World) -> None:
    for _ in range(STEPS_MAX):
        world.step()
    raise AssertionError("the world does not come to rest")


def until(world: World, at_ns: int) -> None:
    """Let the world go on until a time."""
    world.later(at_ns - world.time_ns, "mark", lambda: None)
    while world.time_ns < at_ns:
        world.step()


def link_up(one: Process, other: Process) -> tuple[Peer, Peer]:
    """Open a channel; return its names on both sides."""
    known = set(other.opened_ns)
    ours = one.network.connect(other.network.name)
    while ours not in one.opened_ns or not set(other.opened_ns) - known:
        one.world.step()
    (theirs,) = set(other.opened_ns) - known
    return ours, theirs
