"""What every place promises: how processes begin and end, and that each end is told once."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from headrace.config import MS, Config, MemoryConfig
from headrace.ids import HostId, WorkerId
from headrace.ports import Exit, Files, Peer, Place
from headrace.protocols.messages import Hello, Retire, decode, encode
from headrace.runtime.channel.sockets import PATH_MAX, SocketNetwork
from headrace.runtime.clock import SystemClock
from headrace.runtime.files import SystemFiles
from headrace.runtime.place.processes import ProcessPlace
from headrace.runtime.reactor import Reactor
from headrace.runtime.rundir import RunFolder, for_sockets
from headrace.sim.disk import SimDisk
from headrace.sim.files import SimFiles
from headrace.sim.network import SimNetwork, Wire
from headrace.sim.place import PROGRAM, SimPlace
from headrace.sim.world import World
from headrace.store.layout import Layout

CONFIG = Config(workers=3, hosts=2, memory=MemoryConfig(worker_bytes=64 << 20))
H0, H1 = HostId("h0"), HostId("h1")
W1, W2, W3, NOBODY = WorkerId("w1"), WorkerId("w2"), WorkerId("w3"), WorkerId("w99")
PATIENCE = 60.0  # seconds, for machines that are busy


class Program:
    """Where the news of a place goes: the program's loop, which only writes it down."""

    def __init__(self) -> None:
        self.exits: list[tuple[WorkerId, Exit]] = []
        self.failed: list[WorkerId] = []
        self.lost: list[HostId] = []
        self.peers: dict[str, Peer] = {}

    def exited(self, worker: WorkerId, exit_: Exit) -> None:
        self.exits.append((worker, exit_))

    def launch_failed(self, worker: WorkerId, why: str, *, passing: bool = False) -> None:
        assert why
        self.failed.append(worker)

    def host_lost(self, host: HostId) -> None:
        self.lost.append(host)

    def opened(self, peer: Peer) -> None:
        pass

    def closed(self, peer: Peer) -> None:
        pass

    def received(self, peer: Peer, data: bytes) -> None:
        message = decode(data)
        if isinstance(message, Hello):
            self.peers[message.worker] = peer


class Stage:
    """A place, and the means to have things happen at it."""

    place: Place
    files: Files
    layout: Layout
    program: Program

    def do(self, action: Callable[[], None]) -> None:
        """Have the program's loop do something."""
        raise NotImplementedError

    def until(self, look: Callable[[], bool]) -> None:
        """Let things happen until it is so."""
        raise NotImplementedError

    def rest(self) -> None:
        """Let things happen until whatever was to be told is told."""
        raise NotImplementedError

    def retire(self, worker: WorkerId) -> None:
        """Ask a worker to leave."""
        raise NotImplementedError

    def strike(self, worker: WorkerId) -> None:
        """Have a disaster end a worker."""
        raise NotImplementedError

    def start(self, worker: WorkerId, host: HostId) -> None:
        self.do(lambda: self.place.launch(worker, host))
        self.until(lambda: worker in self.program.peers)

    def ended(self, worker: WorkerId) -> bool:
        return worker in [one for one, _ in self.program.exits]

    def exit_of(self, worker: WorkerId) -> Exit:
        """Wait for a worker's end, and longer, and return it if it was told once."""
        self.until(lambda: self.ended(worker))
        self.rest()
        (exit_,) = [exit_ for one, exit_ in self.program.exits if one == worker]
        return exit_


class PlaceContract:
    @pytest.fixture
    def stage(self) -> Iterator[Stage]:
        raise NotImplementedError("return a place")

    def test_a_life_that_is_ended(self, stage: Stage) -> None:
        place = stage.place
        assert place.pid(W1) is None
        assert place.probe(W1) is None
        stage.start(W1, H0)
        assert place.pid(W1) is not None
        assert (used := place.probe(W1)) is not None
        assert used >= 0
        assert stage.files.exists(stage.layout.own(H0, W1))
        stage.do(lambda: place.kill(NOBODY))
        for _ in range(2):
            stage.do(lambda: place.kill(W1))
        exit_ = stage.exit_of(W1)
        assert (exit_.code, exit_.signal, exit_.asked) == (None, signal.SIGKILL, True)
        assert (exit_.phase, exit_.attempt) == ("idle", None)
        assert place.pid(W1) is None
        assert place.probe(W1) is None
        assert not stage.files.exists(stage.layout.own(H0, W1)), "what was its own goes with it"
        assert stage.program.failed == []

    def test_a_disaster_and_a_leave(self, stage: Stage) -> None:
        """Nobody asked for the one; the other is asked for, and goes by itself."""
        for worker in (W1, W2):
            stage.start(worker, H0)
        stage.strike(W1)
        exit_ = stage.exit_of(W1)
        assert (exit_.code, exit_.signal, exit_.asked) == (None, signal.SIGKILL, False)
        stage.retire(W2)
        exit_ = stage.exit_of(W2)
        assert (exit_.code, exit_.signal, exit_.asked) == (0, None, False)

    def test_a_host_that_is_lost(self, stage: Stage) -> None:
        place, files, layout = stage.place, stage.files, stage.layout
        for worker, host in ((W1, H0), (W2, H1)):
            stage.start(worker, host)
        kept = f"{layout.host(H0)}/kept"
        files.create(kept).close()
        stage.do(lambda: place.destroy(H0))
        exit_ = stage.exit_of(W1)
        assert exit_.signal == signal.SIGKILL
        assert stage.program.lost == [H0]
        assert not files.exists(kept)
        assert not files.exists(layout.host(H0))
        stage.do(lambda: place.launch(W3, H0))
        stage.until(lambda: stage.program.failed == [W3])
        assert not stage.ended(W2)
        assert place.pid(W2) is not None
        assert files.exists(layout.own(H1, W2))

    def test_who_is_ended_before_it_is_there(self, stage: Stage) -> None:
        stage.do(lambda: stage.place.launch(W1, H0))
        stage.do(lambda: stage.place.kill(W1))
        exit_ = stage.exit_of(W1)
        assert (exit_.code, exit_.signal, exit_.asked) == (None, signal.SIGKILL, True)
        assert stage.place.pid(W1) is None
        assert stage.program.failed == []

    def test_what_was_never_started_is_not_ended(self, stage: Stage) -> None:
        stage.do(lambda: stage.place.kill(NOBODY))
        stage.do(lambda: stage.place.launch(W1, H0))
        stage.do(lambda: stage.place.destroy(H0))
        stage.until(lambda: stage.ended(W1) or W1 in stage.program.failed)
        stage.rest()
        assert [stage.ended(W1), W1 in stage.program.failed].count(True) == 1, "it is told one way or the other"
        assert not stage.ended(NOBODY)
        assert stage.place.pid(W1) is None


class RealStage(Stage):
    """Processes of this machine; the loop has a thread of its own."""

    def __init__(self) -> None:
        self._folder = RunFolder()
        self._sockets = for_sockets(self._folder, PATH_MAX - 20)
        self._reactor = Reactor(lambda: None, self._tick, 20 * MS)
        self._network = SocketNetwork(self._reactor, SystemClock(), key := secrets.token_bytes(32))
        self.files, self.layout = SystemFiles(), Layout(self._folder.path)
        sockets, printed = self._sockets.path, lambda worker, number, line: None
        self.place = self._real = ProcessPlace(
            CONFIG, key, self.layout, sockets, self.files, self._reactor, self._network, printed
        )
        self.program = self._network.endpoint = self._real.supervisor = Program()
        self._thread = threading.Thread(target=self._reactor.serve, daemon=True)
        self._thread.start()

    def _tick(self) -> None:
        self._network.check()
        self._real.check()

    def do(self, action: Callable[[], None]) -> None:
        done = threading.Event()
        self._reactor.call_soon(action)
        self._reactor.call_soon(done.set)
        assert done.wait(PATIENCE)

    def until(self, look: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not look():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.002)

    def rest(self) -> None:
        for _ in range(3):
            self.do(lambda: None)

    def retire(self, worker: WorkerId) -> None:
        self.do(lambda: self._network.send(self.program.peers[worker], encode(Retire())))

    def strike(self, worker: WorkerId) -> None:
        pid = self.place.pid(worker)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        over = threading.Event()
        self.do(lambda: self._real.close(0, over.set))
        assert over.wait(PATIENCE)
        self._reactor.stop()
        self._thread.join()
        self._real.shut()
        self._network.shut()
        self._reactor.close()
        self._sockets.remove()
        self._folder.remove()


class SimStage(Stage):
    """A simulated world of one place."""

    def __init__(self, seed: int) -> None:
        self.world, self.program = World(seed), Program()
        wire = Wire(self.world)
        disk = SimDisk("/sim-place", SystemFiles(), self.world.chance("disk"))
        self.files, self.layout = SimFiles(disk), Layout(disk.root)
        self.place = self._sim = SimPlace(self.world, wire, disk, CONFIG)
        self._network = SimNetwork(wire, PROGRAM, self)
        self._network.endpoint = self._sim.supervisor = self.program
        self._sim.soon = self.happen

    def happen(self, label: str, delay_ns: int, action: Callable[[], None]) -> None:
        self.world.later(delay_ns, f"program {label}", action)

    def now(self, action: Callable[[], None]) -> None:
        action()

    def do(self, action: Callable[[], None]) -> None:
        action()

    def until(self, look: Callable[[], bool]) -> None:
        for _ in range(10_000):
            if look():
                return
            self.world.step()
        raise AssertionError("waited in vain")

    def rest(self) -> None:
        until_ns = self.world.time_ns + 1000 * MS
        self.world.later(until_ns - self.world.time_ns, "has rested", lambda: None)
        while self.world.time_ns < until_ns:
            self.world.step()

    def retire(self, worker: WorkerId) -> None:
        self._network.send(self.program.peers[worker], encode(Retire()))

    def strike(self, worker: WorkerId) -> None:
        assert self._sim.strike(worker) is not None


class TestProcesses(PlaceContract):
    @pytest.fixture
    def stage(self) -> Iterator[Stage]:
        stage = RealStage()
        yield stage
        stage.close()


@pytest.mark.parametrize("seed", range(3))
class TestSimulated(PlaceContract):
    @pytest.fixture
    def stage(self, seed: int) -> Stage:
        return SimStage(seed)
