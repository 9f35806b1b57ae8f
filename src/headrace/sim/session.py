"""A run in a simulated world: the program's own functions are really called, on a cluster that is not there."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from headrace.config import MS, SECOND, Config, MemoryConfig
from headrace.errors import ContextClosed, InternalError
from headrace.execute import recurring
from headrace.ids import Digest, HostId, JobId, OperatorId, RunId, StageId, WorkerId
from headrace.loops.controller import Controller, ControllerPorts
from headrace.loops.jobs import JobHandle, JobRequest, StageCode
from headrace.loops.loop import Watcher
from headrace.loops.session import WorkerInfo, kept_of, snapshot
from headrace.plan.levels import StorageLevel
from headrace.ports import Files, Flag
from headrace.sim.bodies import SimFlag
from headrace.sim.checkers import Checking
from headrace.sim.disasters import Disasters
from headrace.sim.disasters.disks import Disks
from headrace.sim.disasters.links import Links
from headrace.sim.disasters.machines import Machines
from headrace.sim.disk import SimDisk
from headrace.sim.faults import FaultPlan, draw_plan, read_plan
from headrace.sim.files import SimFiles
from headrace.sim.mover import Mover
from headrace.sim.network import SimNetwork, Wire
from headrace.sim.place import PROGRAM, SimPlace
from headrace.sim.work import settle_work
from headrace.sim.world import World

TICK_NS = 100 * MS
WORKERS = 4
MEMORY_BYTES = 256 << 20


class ProgramGate:
    """Where the user's program waits: it has the world go on."""

    def __init__(self, mover: Mover) -> None:
        self._mover = mover

    def flag(self) -> SimFlag:
        """Make something to wait for."""
        return SimFlag()

    def wait(self, flag: Flag) -> None:
        """Let the world go on until it has happened."""
        self._mover.wait(flag)

    def wait_until(self, flag: Flag, until_ns: int) -> bool:
        """Let the world go on until it has happened, or a time has come; return whether it has happened."""
        self._mover.wait(flag, until_ns)
        return flag.is_set()

    def pause(self, records: int) -> None:
        """Nothing to do."""

    def confirm(self) -> None:
        """Nothing to do."""

    def die(self) -> None:
        """Not the program."""
        raise InternalError("the program itself was to be killed")


class SimSession:
    """One run under one seed.

    Attributes:
        plan: the faults that were drawn.

    """

    WIRE = Wire

    def __init__(self, config: Config, watchers: Iterable[Watcher], real: Files) -> None:
        self.config = replace(
            config,
            workers=config.workers or max(WORKERS, config.hosts),
            memory=config.memory or MemoryConfig(worker_bytes=MEMORY_BYTES),
            work=settle_work(config.work),
        )
        self.world = World(config.seed)
        self.run = RunId(f"sim-{config.seed}")
        self.disk = SimDisk(f"/headrace-sim-{config.seed}", real, self.world.chance("disk"))
        self.files: Files = SimFiles(self.disk)
        self.wire = self.WIRE(self.world)
        self.mover = Mover(self.world)
        self.gate = ProgramGate(self.mover)
        self.place = SimPlace(self.world, self.wire, self.disk, self.config)
        self.network = network = SimNetwork(self.wire, PROGRAM, self)
        ports = ControllerPorts(self.world, network, self.files, self.place, self.gate)
        self.controller = Controller(self.config, self.disk.root, ports, PROGRAM)
        self.controller.loop.watchers.extend(watchers)
        network.endpoint = self.controller
        self.place.supervisor = self.controller
        self.place.soon = self.happen
        self.plan = self._plan(real)
        realms = (
            Machines(self.world, self.place),
            Links(self.world, self.wire, self.place),
            Disks(self.world, self.disk),
        )
        self.disasters = Disasters(self.world, self.plan, realms)
        self.disasters.watch = self._show
        self.checking = Checking(self.world, self.disk, self.config) if config.check else None
        if self.checking is not None:
            self.checking.attend(self)
        self._begun = self._closed = False
        self._pid = os.getpid()
        # What is shipped is for the user's code, which is real; the folder is made when something is.
        self.depot = f"{os.path.realpath(tempfile.gettempdir())}/headrace-sim-{os.getuid()}-{secrets.token_hex(8)}"
        self.happen("opens", 0, self.controller.open)
        self._tick()

    # The program, as a process of the world.

    def happen(self, label: str, delay_ns: int, action: Callable[[], None]) -> None:
        """Have something happen in the program's loop; called where the world moves."""
        self.world.later(delay_ns, f"program {label}", lambda: self.now(action))

    def now(self, action: Callable[[], None]) -> None:
        """Have something happen in the program's loop at once; called where the world moves."""
        action()
        self.controller.run()

    def _ask(self, label: str, action: Callable[[], None]) -> None:
        """Have the program's loop do something; from any thread, also when garbage is collected."""
        self.mover.ask(lambda: self.happen(label, 0, action))

    def _call(self, label: str, action: Callable[[], None]) -> None:
        self._check()
        self._ask(label, action)

    def _tick(self) -> None:
        def tick() -> None:
            self.controller.tick()
            self._tick()

        self.happen("ticks", TICK_NS, tick)

    def _plan(self, real: Files) -> FaultPlan:
        """Read the faults from the file that the address names, or draw them."""
        config = self.config
        if config.plan is None:
            return draw_plan(config.faults, config.workers, self.world.chance("faults"))
        file = real.open(os.path.abspath(config.plan))
        try:
            return read_plan(file.pread(0, file.size))
        finally:
            file.close()

    def _show(self, news: Any) -> None:
        for watch in self.controller.loop.watchers:
            watch("world", news, [])

    def _check(self) -> None:
        if self._closed:
            raise ContextClosed("this context is closed. Connect anew with headrace.connect().")

    # The session.

    def now_ns(self) -> int:
        """Return virtual time."""
        return self.world.time_ns

    def about(self) -> dict[str, Any]:
        """Say what was drawn."""
        return {"seed": self.world.seed, "faults drawn": self.plan.describe()}

    def summary(self) -> dict[str, Any]:
        """Say what came of it; the trace is the same for the same seed."""
        return {
            "seed": self.world.seed,
            "trace": self.world.trace,
            "events": self.world.events,
            "simulated_s": self.world.time_ns / 1e9,
            "faults hit": [f"{hit.fault.kind} during {hit.during}" for hit in self.disasters.struck],
        }

    def submit(self, request: JobRequest) -> JobHandle:
        """Have a job run."""
        handle = JobHandle(request, self.gate.flag(), self.gate.flag(), self.gate.flag())
        self._call(f"submits {request.id}", lambda: self._submit(handle))
        return handle

    def _submit(self, handle: JobHandle) -> None:
        if not self._begun:
            self._begun = True
            self.disasters.begin()
        self.controller.submit(handle)

    def wait(self, flag: Flag) -> None:
        """Let the world go on until something has happened."""
        self.gate.wait(flag)

    def wait_until(self, flag: Flag, until_ns: int) -> bool:
        """Let the world go on until something has happened, or a time has come."""
        return self.gate.wait_until(flag, until_ns)

    def cancel(self, job: JobId, because: str) -> None:
        """Have a job end."""
        self._call(f"cancels {job}", lambda: self.controller.cancel(job, because))

    def provide(self, name: str, pieces: Iterable[bytes]) -> None:
        """Put a block into the program's own store."""
        self._check()
        self.controller.provide(name, pieces)

    def withdraw(self, name: str) -> None:
        """Remove a block from the program's own store."""
        self._call("withdraws", lambda: self.controller.withdraw(name))

    def unload(self, name: str) -> None:
        """Have the workers let go of a block of the program's own store."""
        self._call("unloads", lambda: self.controller.unload(name))

    def replan(self, codes: tuple[StageCode, ...], blobs: dict[Digest, bytes]) -> None:
        """Have stages run other code from now on."""
        self._call("plans anew", lambda: self.controller.replan(codes, blobs))

    def release(self, stage: StageId) -> None:
        """No dataset refers to a shuffle any more."""
        if not self._closed:
            self._ask(f"releases {stage}", lambda: self.controller.release(stage))

    def forget(self, operator: OperatorId | None, names: tuple[str, ...] = ()) -> None:
        """Nothing refers any more to a dataset that is kept, or to blocks."""
        if not self._closed:
            self._ask(f"forgets {operator}", lambda: self.controller.forget(operator, names))

    def kept(self, operator: OperatorId, partitions: int) -> frozenset[int]:
        """Return which partitions of a dataset some worker keeps."""
        return kept_of(self.controller, operator, partitions)

    def keep(self, operator: OperatorId, level: StorageLevel) -> None:
        """A dataset is to be kept."""
        self._call(f"keeps {operator}", lambda: self.controller.keep(operator, level))

    def uncache(self, operator: OperatorId) -> None:
        """A dataset is not to be kept any more."""
        self._call(f"uncaches {operator}", lambda: self.controller.uncache(operator))

    def share_main(self, digest: Digest, blob: bytes) -> None:
        """Have classes of `__main__` known: they are, in the one process there is."""
        self.controller.share_main(digest, blob)

    def finished(self) -> frozenset[StageId]:
        """Return the shuffles that are complete."""
        return self.controller.scheduler.lineage.finished()

    def workers(self) -> tuple[WorkerInfo, ...]:
        """Return the workers that live."""
        return snapshot(self.controller)

    def kill_worker(self, worker: WorkerId) -> None:
        """End a worker's process."""
        self.mover.ask(lambda: self.place.strike(worker))

    def kill_host(self, host: HostId) -> None:
        """Lose a host with its disk."""
        self.mover.ask(lambda: self.place.destroy(host))

    def close(self) -> None:
        """End the world: bodies that still run are unwound."""
        if self._closed or os.getpid() != self._pid:
            return
        try:
            if self.checking is not None and not self.mover.is_here():
                self.checking.rest(self)
        finally:
            self._end()

    def _end(self) -> None:
        self._closed = True
        self.mover.end(self._unwind, self.config.schedule.cancel_grace_ns / SECOND)
        shutil.rmtree(self.depot, ignore_errors=True)
        recurring.forget()

    def _unwind(self) -> None:
        for process in list(self.place.processes.values()):
            process.crash()
        self.place.processes.clear()
