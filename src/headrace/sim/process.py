"""One simulated worker process: a worker's loop, alive, paused or dead."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from headrace.config import Config
from headrace.ids import AttemptId, HostId, WorkerId
from headrace.loops.work import WorkerLoop, WorkerPorts
from headrace.ports import Flag, Phase
from headrace.sim.bodies import Body, SimCrash, SimGate, SimRunner, body_kind
from headrace.sim.clock import SimClock
from headrace.sim.disk import SimDisk
from headrace.sim.files import SimFiles
from headrace.sim.network import SimNetwork, Wire
from headrace.sim.work import work_of
from headrace.sim.world import World

MEMORY_BYTES = 24 << 20


class SimProcess:
    """What a crash, a pause or a slow machine happens to: a `Mortal`, with all that is in it."""

    def __init__(
        self, world: World, wire: Wire, disk: SimDisk, worker: WorkerId, host: HostId, pid: int, config: Config
    ) -> None:
        self.world, self.id, self.host, self.pid = world, worker, host, pid
        self.alive, self.paused = True, False
        self.clock = SimClock(world)
        self.slowness = 1.0
        self.charged_ns = 0
        self.body: Body | None = None
        self.waits: Flag | None = None
        self.work = work_of(config.work, world)
        self.phase: Phase = "idle"
        self.attempt = 0
        self.fuse: int | None = None  # uses of the disk after which it dies, in the midst of whatever it is doing then
        self.burnt: Callable[[], None] = lambda: None  # called when that has come
        self.short_of_memory = False  # the next thing that its body needs memory for fails
        self._held: list[Callable[[], None]] = []  # what would have happened while it was paused
        self.network = SimNetwork(wire, str(worker), self)
        self.left: Callable[[], None] = lambda: None
        ports = WorkerPorts(
            self.clock,
            self.network,
            SimFiles(disk, self, host),
            SimRunner(self, body_kind(config.bodies)),
            SimGate(self),
            self,
            lambda blob: None,  # `__main__` is the program's own here
            lambda: MEMORY_BYTES,
            self._leave,
        )
        self.loop = WorkerLoop(worker, host, str(worker), disk.root, config, ports)
        self.network.endpoint = self.loop

    def note(self, phase: Phase, attempt: int) -> None:
        """Keep what it is doing, for those who find it dead."""
        self.phase, self.attempt = phase, attempt

    def check(self) -> None:
        """Unwind whatever is still running in a dead process."""
        if not self.alive:
            raise SimCrash
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.fuse = None
                self.burnt()
                raise SimCrash

    def die(self) -> None:
        """End from within, and unwind."""
        self.fuse = 0
        self.check()

    def press(self) -> None:
        """Raise MemoryError in the running body, if there is to be no more memory."""
        if self.short_of_memory and self.body is not None and self.body.running:
            self.short_of_memory = False
            raise MemoryError

    def _leave(self) -> None:
        self.world.later(0, f"{self.id} leaves", self.left)

    def took_ns(self, records: int) -> int | None:
        """Return the time of what its body has done; None where the usual is meant."""
        if self.work is None:
            return None
        state = self.loop.attempts.get(AttemptId(self.attempt))
        return self.work.cost_ns(records, state.task if state is not None else None, self.attempt)

    # Turns.

    def happen(self, label: str, delay_ns: int, action: Callable[[], None]) -> None:
        """Have something happen in this process, if it lives then; later, if it is paused then."""
        self.world.later(delay_ns, f"{self.id} {label}", partial(self.now, action))

    def now(self, action: Callable[[], None]) -> None:
        """Have something happen in this process: at once, or when it goes on, or never, if it has ended."""
        if not self.alive:
            return
        if self.paused:
            self._held.append(action)
            return
        try:
            action()
            self.run()
        except SimCrash:
            pass  # it has died in the midst of it

    def run(self) -> None:
        """Run its loop until nothing waits."""
        if self.alive:
            self.loop.loop.run()

    def resume(self, body: Body, delay_ns: int) -> None:
        """Give a body its next turn."""
        self.happen("runs", delay_ns, partial(self._turn, body))

    def _turn(self, body: Body) -> None:
        if self.body is body and not body.ended:
            body.turn()

    def unpause(self) -> None:
        """Go on as if nothing had happened."""
        self.paused = False
        held, self._held = self._held, []
        for action in held:
            self.now(action)

    def crash(self) -> None:
        """Die at once; what the body was doing is unwound without touching anything."""
        self.alive = False
        self._held.clear()
        if self.body is not None and not self.body.ended and not self.body.running:
            self.body.turn()
