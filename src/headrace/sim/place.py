"""Where simulated processes come from and go to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from headrace.config import MS, SECOND, Config
from headrace.ids import AttemptId, HostId, WorkerId
from headrace.loops.members import may_pass
from headrace.ports import Exit
from headrace.sim.disk import SimDisk
from headrace.sim.machine import Machine
from headrace.sim.network import Wire
from headrace.sim.process import SimProcess
from headrace.sim.world import World
from headrace.store.layout import Layout

START_NS = (20 * MS, 200 * MS)
LONG_START_NS = (2 * SECOND, 20 * SECOND)  # where it takes long
NOTICE_NS = 1 * MS  # from a death to its being told
SIGKILL = 9
PROGRAM = "program"


class Supervisor(Protocol):
    """Who is told what becomes of processes: the controller."""

    def exited(self, worker: WorkerId, exit_: Exit) -> None:
        """A process has ended."""
        ...

    def launch_failed(self, worker: WorkerId, why: str, *, passing: bool = False) -> None:
        """A process could not be started."""
        ...

    def host_lost(self, host: HostId) -> None:
        """A host's disk is gone."""
        ...


class SimPlace:
    """Launches, kills and buries simulated workers."""

    def __init__(self, world: World, wire: Wire, disk: SimDisk, config: Config) -> None:
        self._world, self._wire, self._disk, self._config = world, wire, disk, config
        self._layout = Layout(disk.root)
        self.processes: dict[WorkerId, SimProcess] = {}
        self.supervisor: Supervisor | None = None
        self.born: Callable[[SimProcess], None] = lambda process: None  # is shown every process that has started
        self.soon: Callable[[str, int, Callable[[], None]], None] = lambda label, delay, action: None  # in the program
        self._pids = 1000
        self.start_ns = START_NS
        self.machines: dict[HostId, Machine] = {}
        self._destroyed: set[HostId] = set()
        self._starting: set[WorkerId] = set()

    # The port.

    def launch(self, worker: WorkerId, host: HostId) -> None:
        """Start a worker after a while."""
        machine = self.machine(host)
        delay = self._world.chance("start").randrange(*self.start_ns)
        if machine.launches == "take long":
            delay += self._world.chance("long starts").randrange(*LONG_START_NS)
        delay = max(0, machine.up_ns - self._world.time_ns) + int(delay * machine.slowness)
        self._starting.add(worker)
        self._world.later(delay, f"{worker} starts", lambda: self._start(worker, host))

    def machine(self, host: HostId) -> Machine:
        """Return what is the matter with a host, to be changed; `refresh` has its processes know."""
        return self.machines.setdefault(host, Machine())

    def refresh(self, host: HostId) -> None:
        """Have the processes of a host be as it is."""
        machine = self.machine(host)
        for process in self.on(host):
            process.slowness = machine.slowness
            if process.clock.rate_ppm != machine.rate_ppm:
                process.clock.rate_ppm = machine.rate_ppm

    def on(self, host: HostId) -> list[SimProcess]:
        """Return the processes of a host."""
        return [process for process in self.processes.values() if process.host == host]

    def _start(self, worker: WorkerId, host: HostId) -> None:
        if worker not in self._starting:
            return  # killed before it was there
        machine = self.machine(host)
        if machine.up_ns > self._world.time_ns:  # it went down meanwhile
            self._world.later(
                machine.up_ns - self._world.time_ns, f"{worker} starts", lambda: self._start(worker, host)
            )
            return
        self._starting.discard(worker)
        if host in self._destroyed:
            self._fail(worker, f"{worker} was not started: its host {host} is lost")
            return
        if machine.launches == "fail":
            self._fail(worker, f"{worker} could not be started: Resource temporarily unavailable", passing=True)
            return
        self._pids += 1
        self._wire.host_of[str(worker)] = str(host)
        try:
            process = SimProcess(self._world, self._wire, self._disk, worker, host, self._pids, self._config)
        except OSError as error:
            self._fail(worker, f"{worker} could not be started: {error}", passing=may_pass(error))
            return
        process.burnt = lambda: self.end(process, None, SIGKILL)
        # It was told to leave when idle; or it has lost the program, which ends it whatever it does.
        process.left = lambda: self.end(process, None, SIGKILL) if process.attempt else self.end(process, 0, None)
        self.processes[worker] = process
        self.born(process)
        self.refresh(host)
        peer = process.network.connect(PROGRAM, patient=True)
        process.loop.greet(peer, process.pid)
        self._tick(process)

    def _fail(self, worker: WorkerId, why: str, *, passing: bool = False) -> None:
        supervisor = self.supervisor
        assert supervisor is not None
        self.soon(f"misses {worker}", NOTICE_NS, lambda: supervisor.launch_failed(worker, why, passing=passing))

    def _tick(self, process: SimProcess) -> None:
        def tick() -> None:
            process.loop.tick()
            self._tick(process)

        process.happen("ticks", process.clock.true_ns(self._config.membership.heartbeat_ns), tick)

    def kill(self, worker: WorkerId) -> None:
        """End a worker at once."""
        process = self.processes.get(worker)
        if process is not None:
            self.end(process, None, SIGKILL, asked=True)
        elif worker in self._starting:
            self._starting.discard(worker)
            self._bury(worker, Exit(None, SIGKILL, asked=True))

    def pid(self, worker: WorkerId) -> int | None:
        """Return the made-up number of a process that has not ended."""
        process = self.processes.get(worker)
        return process.pid if process is not None else None

    def probe(self, worker: WorkerId) -> int | None:
        """A process that runs uses time; one that is paused does not."""
        process = self.processes.get(worker)
        if process is None:
            return None
        return 0 if process.paused else self._world.time_ns

    def destroy(self, host: HostId) -> None:
        """Lose a host: its workers, and its disk."""
        self._destroyed.add(host)
        self._wire.darken(host)
        supervisor = self.supervisor
        assert supervisor is not None
        self.soon(f"loses {host}", NOTICE_NS, lambda: supervisor.host_lost(host))
        for process in self.on(host):
            self.end(process, None, SIGKILL)
        self._disk.lose(host)

    def reboot(self, host: HostId, down_ns: int) -> None:
        """Take a host's power away; it comes back, with what its disk has kept."""
        doomed = [(process, process.phase, process.attempt) for process in self.on(host)]
        for process, *_ in doomed:
            process.crash()  # all at once, before anybody removes what they leave
        self._disk.lose_power(host)
        self._wire.darken(host)
        self.machine(host).up_ns = self._world.time_ns + down_ns
        self._world.later(down_ns, f"{host} is up", lambda: self._up(host))
        for process, phase, attempt in doomed:
            process.phase, process.attempt = phase, attempt
            self.end(process, None, SIGKILL)

    def _up(self, host: HostId) -> None:
        """A host is there again, unless it has gone down anew."""
        if host not in self._destroyed and self._world.time_ns >= self.machine(host).up_ns:
            self._wire.lighten(host)

    def end(
        self,
        process: SimProcess,
        code: int | None,
        signal: int | None,
        *,
        asked: bool = False,
        notes: tuple[str, ...] = (),
    ) -> None:
        """End a process, however it came to that; the program is told soon."""
        if self.processes.get(process.id) is not process:
            return
        phase, attempt = process.phase, process.attempt
        process.crash()
        del self.processes[process.id]
        process.network.shut()
        self._disk.drop(self._layout.own(process.host, process.id))
        self._bury(process.id, Exit(code, signal, asked, notes, (), phase, AttemptId(attempt) if attempt else None))

    def _bury(self, worker: WorkerId, exit_: Exit) -> None:
        supervisor = self.supervisor
        assert supervisor is not None
        self.soon(f"buries {worker}", NOTICE_NS, lambda: supervisor.exited(worker, exit_))

    def strike(self, worker: WorkerId) -> SimProcess | None:
        """End a worker as a disaster would; return what it was, if it was there."""
        process = self.processes.get(worker)
        if process is not None:
            self.end(process, None, SIGKILL)
        return process
