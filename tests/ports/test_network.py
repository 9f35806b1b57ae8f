"""What every network port promises, kept by sockets and by the simulated one."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.config import MS
from headrace.ports import Network, Peer
from headrace.runtime.channel.sockets import SocketNetwork
from headrace.runtime.clock import SystemClock
from headrace.runtime.reactor import Reactor
from headrace.sim.network import SimNetwork, Wire
from headrace.sim.world import World

LIMIT_S = 20


class Listener:
    """An endpoint that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Peer, bytes]] = []

    def opened(self, peer: Peer) -> None:
        self.told.append(("opened", peer, b""))

    def received(self, peer: Peer, data: bytes) -> None:
        self.told.append(("received", peer, data))

    def closed(self, peer: Peer) -> None:
        self.told.append(("closed", peer, b""))

    def frames(self) -> list[bytes]:
        return [data for what, _, data in self.told if what == "received"]

    def peers(self, what: str) -> list[Peer]:
        return [peer for told, peer, _ in self.told if told == what]


class Two:
    """Two processes' networks, and something that lets their world go on."""

    def __init__(
        self, here: Network, there: Network, ours: Listener, theirs: Listener, address: str, step: Callable[[], None]
    ) -> None:
        self.here, self.there, self.ours, self.theirs, self.address, self._step = (
            here,
            there,
            ours,
            theirs,
            address,
            step,
        )

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < deadline, f"{self.ours.told[-5:]} {self.theirs.told[-5:]}"
            self._step()

    def connected(self) -> tuple[Peer, Peer]:
        """Open a channel from here to there; return its names on both sides."""
        peer = self.here.connect(self.address)
        self.until(lambda: self.ours.peers("opened") and self.theirs.peers("opened"))
        assert self.ours.peers("opened") == [peer]
        return peer, self.theirs.peers("opened")[0]


class NetworkContract:
    @pytest.fixture
    def two(self) -> Two | Iterator[Two]:
        raise NotImplementedError("yield two networks that can reach each other")

    def test_frames_arrive_whole_and_in_order_both_ways(self, two: Two) -> None:
        here, there = two.connected()
        sent = [bytes([i % 256]) * (i * 997 % 5000) for i in range(200)]
        for data in sent:
            two.here.send(here, data)
            two.there.send(there, data[::-1])
        two.until(lambda: len(two.theirs.frames()) == len(two.ours.frames()) == len(sent))
        assert two.theirs.frames() == sent
        assert two.ours.frames() == [data[::-1] for data in sent]

    def test_large_frames(self, two: Two) -> None:
        here, _ = two.connected()
        sent = [b"x" * (1 << 20), b"", b"y" * (3 << 20)]
        for data in sent:
            two.here.send(here, data)
        two.until(lambda: len(two.theirs.frames()) == 3)
        assert two.theirs.frames() == sent

    def test_the_other_side_learns_of_the_end(self, two: Two) -> None:
        here, there = two.connected()
        two.here.send(here, b"last words")
        two.until(two.theirs.frames)
        two.here.close(here)
        two.until(lambda: two.theirs.peers("closed"))
        assert two.theirs.peers("closed") == [there]
        two.there.send(there, b"to nobody")  # dropped, not an error
        two.here.send(here, b"from nobody")
        two.here.close(here)

    def test_a_channel_to_nobody_is_closed(self, two: Two) -> None:
        peer = two.here.connect(f"{two.address}-nobody")
        two.until(lambda: two.ours.peers("closed"))
        assert two.ours.peers("closed") == [peer]
        assert not two.ours.peers("opened")

    def test_several_channels_are_apart(self, two: Two) -> None:
        first = two.here.connect(two.address)
        second = two.here.connect(two.address)
        two.until(lambda: len(two.theirs.peers("opened")) == 2 and len(two.ours.peers("opened")) == 2)
        two.here.send(first, b"1")
        two.here.send(second, b"2")
        two.until(lambda: len(two.theirs.frames()) == 2)
        by_peer = {peer: data for what, peer, data in two.theirs.told if what == "received"}
        assert sorted(by_peer.values()) == [b"1", b"2"]
        assert len(by_peer) == 2
        two.here.close(first)
        two.until(lambda: two.theirs.peers("closed"))
        two.here.send(second, b"3")
        two.until(lambda: len(two.theirs.frames()) == 3)


def _reactor() -> Reactor:
    return Reactor(lambda: None, lambda: None, 10 * MS)


def _turn(reactor: Reactor) -> None:
    """Let a reactor look around once."""
    for key, events in reactor._selector.select(0.001):
        key.data(events)
    while reactor._soon:
        reactor._soon.popleft()()


class TestSockets(NetworkContract):
    @pytest.fixture
    def two(self, tmp_path: Path) -> Iterator[Two]:
        reactors = (_reactor(), _reactor())
        here, there = (SocketNetwork(reactor, SystemClock(), b"key") for reactor in reactors)
        ours, theirs = Listener(), Listener()
        here.endpoint, there.endpoint = ours, theirs
        address = there.listen(str(tmp_path / "s"))

        def step() -> None:
            for reactor in reactors:
                _turn(reactor)

        yield Two(here, there, ours, theirs, address, step)
        for network, reactor in zip((here, there), reactors, strict=True):
            network.shut()
            reactor.close()

    def test_a_socket_is_the_owner_s_alone(self, two: Two) -> None:
        assert Path(two.address.removeprefix("unix:")).stat().st_mode & 0o077 == 0

    def test_an_inherited_pair_is_a_channel(self, two: Two) -> None:
        one, other = socket.socketpair()
        assert isinstance(two.here, SocketNetwork)
        assert isinstance(two.there, SocketNetwork)
        here, there = two.here.adopt(one, opener=True), two.there.adopt(other, opener=False)
        two.here.send(here, b"before the handshake was over")
        two.until(two.theirs.frames)
        assert two.theirs.told[0] == ("opened", there, b"")

    @pytest.mark.parametrize(
        "opening", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, b"headrace/1 " + b"n" * 32 + b"p" * 32]
    )
    def test_strangers_are_refused(self, two: Two, opening: bytes) -> None:
        assert isinstance(two.there, SocketNetwork)
        stranger = socket.socket(socket.AF_UNIX)
        stranger.connect(two.address.removeprefix("unix:"))
        stranger.sendall(opening)
        refused = two.there
        two.until(lambda: refused.refused == 1)
        assert not two.theirs.peers("opened")
        here, _ = two.connected()  # and nobody else is disturbed
        two.here.send(here, b"hello")
        two.until(two.theirs.frames)
        stranger.close()


class TestSimulated(NetworkContract):
    @pytest.fixture(params=[0.0, 0.3])
    def two(self, request: pytest.FixtureRequest) -> Two:
        world = World(1)
        wire = Wire(world, lose=request.param)
        parties = (Party(world, "a"), Party(world, "b"))
        here, there = (SimNetwork(wire, party.name, party) for party in parties)
        ours, theirs = Listener(), Listener()
        here.endpoint, there.endpoint = ours, theirs
        return Two(here, there, ours, theirs, "b", world.step)

    def test_a_partition_holds_frames_back_until_it_heals(self) -> None:
        world = World(2)
        wire = Wire(world)
        here, there = (SimNetwork(wire, name, Party(world, name)) for name in "ab")
        ours, theirs = Listener(), Listener()
        here.endpoint, there.endpoint = ours, theirs
        peer = here.connect("b")
        while not ours.told:
            world.step()
        wire.partition(("a", "b"))
        here.send(peer, b"1")
        here.send(peer, b"2")
        world.later(5000 * MS, "heal", lambda: wire.heal(("a", "b")))
        while len(theirs.frames()) < 2:
            world.step()
        assert world.time_ns >= 5000 * MS
        assert theirs.frames() == [b"1", b"2"]


class Party:
    """A process of a simulated world that does nothing of its own."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name

    def happen(self, label: str, delay_ns: int, action: Callable[[], None]) -> None:
        self.world.later(delay_ns, f"{self.name} {label}", action)
