"""What every network port promises, kept by sockets and by the simulated one."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace.config import MS
from headrace.errors import InternalError, PeerRefused
from headrace.ports import Peer
from headrace.protocols.messages import CONTROL_BYTES_MAX
from headrace.runtime.channel import sockets
from headrace.runtime.channel.sockets import SocketNetwork
from headrace.runtime.clock import SystemClock
from headrace.runtime.reactor import Reactor
from headrace.sim.network import SimNetwork, Wire
from headrace.sim.world import World

LIMIT_S = 20


class Listener:
    """An endpoint that keeps what it is told, and answers in the midst of it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Peer, bytes]] = []
        self.answer: Callable[[Peer, bytes], None] = lambda peer, data: None

    def opened(self, peer: Peer) -> None:
        self.told.append(("opened", peer, b""))

    def received(self, peer: Peer, data: bytes) -> None:
        self.told.append(("received", peer, data))
        self.answer(peer, data)

    def closed(self, peer: Peer) -> None:
        self.told.append(("closed", peer, b""))

    def frames(self) -> list[bytes]:
        return [data for what, _, data in self.told if what == "received"]

    def peers(self, what: str) -> list[Peer]:
        return [peer for told, peer, _ in self.told if told == what]


@dataclass
class Two:
    """Two processes' networks, and something that lets their world go on.

    Attributes:
        rest: let the world go on until nothing is on its way any more.
        stop: the process over there does nothing from now on; it is not dead.

    """

    here: SocketNetwork | SimNetwork
    there: SocketNetwork | SimNetwork
    ours: Listener
    theirs: Listener
    address: str
    step: Callable[[], None]
    rest: Callable[[], None]
    stop: Callable[[], None]

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < deadline, f"{self.ours.told[-5:]} {self.theirs.told[-5:]}"
            self.step()

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

    def test_what_was_sent_before_it_opened_comes_after(self, two: Two) -> None:
        here = two.here.connect(two.address)
        sent = [b"%d" % i for i in range(20)]
        for data in sent:
            two.here.send(here, data)
        two.until(lambda: len(two.theirs.frames()) == len(sent))
        two.here.send(here, b"later")
        two.until(lambda: len(two.theirs.frames()) == len(sent) + 1)
        assert [what for what, *_ in two.theirs.told] == ["opened"] + ["received"] * (len(sent) + 1)
        assert two.theirs.frames() == [*sent, b"later"]

    def test_who_closes_is_told_nothing_more_and_the_other_once(self, two: Two) -> None:
        here, there = two.connected()
        for i in range(50):
            two.here.send(here, b"%d" % i)
            two.there.send(there, b"%d" % i)
        two.here.close(here)
        told = list(two.ours.told)
        two.until(lambda: two.theirs.peers("closed"))
        two.there.send(there, b"to nobody")
        two.there.close(there)
        two.rest()
        assert two.ours.told == told
        assert two.theirs.told[0][0] == "opened"
        assert two.theirs.told[-1] == ("closed", there, b"")
        assert two.theirs.peers("closed") == [there]
        assert two.theirs.frames() == [b"%d" % i for i in range(len(two.theirs.frames()))]  # the tail may be lost

    def test_both_may_close_at_once(self, two: Two) -> None:
        here, there = two.connected()
        two.here.close(here)
        two.there.close(there)
        two.rest()
        assert not two.ours.peers("closed")
        assert not two.theirs.peers("closed")

    def test_a_process_that_ends_closes_its_channels(self, two: Two) -> None:
        here, there = two.connected()
        other = two.here.connect(two.address)
        two.until(lambda: len(two.theirs.peers("opened")) == 2 and len(two.ours.peers("opened")) == 2)
        two.there.send(there, b"last words")
        two.until(two.ours.frames)
        two.there.shut()
        two.until(lambda: len(two.ours.peers("closed")) == 2)
        two.here.send(here, b"to nobody")
        two.rest()
        assert sorted(two.ours.peers("closed")) == [here, other]
        assert not two.theirs.peers("closed")
        again = two.here.connect(two.address)
        two.until(lambda: again in two.ours.peers("closed"))
        assert again not in two.ours.peers("opened")

    def test_closing_in_the_midst_of_a_frame_s_news(self, two: Two) -> None:
        here, _ = two.connected()
        two.theirs.answer = lambda peer, data: two.there.close(peer) if data == b"3" else two.there.send(peer, data)
        for i in range(10):
            two.here.send(here, b"%d" % i)
        two.until(lambda: two.ours.peers("closed"))
        two.rest()
        assert two.theirs.frames() == [b"0", b"1", b"2", b"3"]
        assert two.ours.frames() == [b"0", b"1", b"2"][: len(two.ours.frames())]
        assert two.ours.peers("closed") == [here]
        assert not two.theirs.peers("closed")

    def test_a_frame_that_makes_no_sense_ends_its_channel_alone(self, two: Two) -> None:
        def refuse(peer: Peer, data: bytes) -> None:
            if data == b"nonsense":
                raise PeerRefused(f"{peer} talks nonsense")

        here, there = two.connected()
        two.theirs.answer = refuse
        for data in (b"sense", b"nonsense", b"more"):
            two.here.send(here, data)
        two.until(lambda: two.ours.peers("closed"))
        assert two.theirs.frames() == [b"sense", b"nonsense"]
        assert two.theirs.peers("closed") == [there]
        again = two.here.connect(two.address)
        two.until(lambda: again in two.ours.peers("opened"))

    def test_a_frame_that_is_too_long_ends_its_channel(self, two: Two) -> None:
        here, there = two.connected()
        two.here.send(here, bytes(CONTROL_BYTES_MAX))
        two.here.send(here, bytes(CONTROL_BYTES_MAX + 1))
        two.until(lambda: two.ours.peers("closed") and two.theirs.peers("closed"))
        assert [len(data) for data in two.theirs.frames()] == [CONTROL_BYTES_MAX]
        assert (two.ours.peers("closed"), two.theirs.peers("closed")) == ([here], [there])

    def test_who_does_not_answer_is_given_up(self, two: Two) -> None:
        two.stop()
        here = two.here.connect(two.address)
        two.here.send(here, b"is anybody there?")
        two.until(lambda: two.ours.peers("closed"))
        two.here.send(here, b"nobody")
        two.rest()
        assert two.ours.told == [("closed", here, b"")]

    def test_many_channels_at_once(self, two: Two) -> None:
        """Each has an order of its own, and none gets what is another's."""
        peers = [two.here.connect(two.address) for _ in range(30)]
        for i in range(20):
            for peer in peers:
                two.here.send(peer, b"%d %d" % (peer, i))
        two.until(lambda: len(two.theirs.frames()) == 20 * len(peers))
        got: dict[Peer, list[bytes]] = {}
        for what, peer, data in two.theirs.told:
            if what == "received":
                got.setdefault(peer, []).append(data)
        assert sorted(got.values()) == sorted([b"%d %d" % (peer, i) for i in range(20)] for peer in peers)


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
    def two(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Two]:
        monkeypatch.setattr(sockets, "HANDSHAKE_NS", 300 * MS)
        reactors = [_reactor(), _reactor()]
        running = list(reactors)
        here, there = (SocketNetwork(reactor, SystemClock(), b"key") for reactor in reactors)
        ours, theirs = Listener(), Listener()
        here.endpoint, there.endpoint = ours, theirs
        address = there.listen(str(tmp_path / "s"))

        def step() -> None:
            for reactor in running:
                _turn(reactor)
            here.check()

        def rest() -> None:
            for _ in range(20):
                step()

        yield Two(here, there, ours, theirs, address, step, rest, lambda: running.remove(reactors[1]))
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
    @pytest.fixture(params=["calm", "lossy", "slow", "narrow", "on one host"])
    def two(self, request: pytest.FixtureRequest) -> Two:
        world = World(1)
        wire = Wire(world)
        if request.param == "lossy":
            wire.lose.add(0.3)
        if request.param == "slow":
            wire.extra_ns.add(1000 * MS)
        if request.param == "narrow":
            for port in wire.ports("b"):
                port.narrow(0.001)
        if request.param == "on one host":
            wire.host_of.update(a="h", b="h")
        parties = (SimParty(), SimParty())
        here, there = (SimNetwork(wire, name, party) for name, party in zip("ab", parties, strict=True))
        ours, theirs = Listener(), Listener()
        here.endpoint, there.endpoint = ours, theirs

        def rest() -> None:
            with pytest.raises(InternalError, match="come to rest"):
                on_and_on(world)

        return Two(here, there, ours, theirs, "b", world.step, rest, parties[1].pause)


def on_and_on(world: World) -> None:
    while True:
        world.step()


class SimParty:
    """A process of a simulated world that does nothing of its own."""

    def __init__(self) -> None:
        self.is_paused = False
        self.held: list[Callable[[], None]] = []

    def pause(self) -> None:
        self.is_paused = True

    def unpause(self) -> None:
        self.is_paused = False
        held, self.held = self.held, []
        for action in held:
            action()

    def now(self, action: Callable[[], None]) -> None:
        if self.is_paused:
            self.held.append(action)
        else:
            action()
