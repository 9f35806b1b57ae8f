"""Faults of processes and hosts."""

from __future__ import annotations

from collections.abc import Callable

from headrace.config import MS, SECOND
from headrace.ids import HostId, WorkerId
from headrace.sim.clock import TRUE_PPM
from headrace.sim.disasters.disasters import Handler, Struck
from headrace.sim.faults import Fault, choose
from headrace.sim.place import SIGKILL, SimPlace
from headrace.sim.process import MEMORY_BYTES, SimProcess
from headrace.sim.world import World

FUSE_USES = 40  # of its disk, at most, until a process dies that is to die in the midst of something
DOWN_NS = (50 * MS, 5 * SECOND)  # that a host takes to come back
DOZEN = 12
SLOWEST = 30  # times
STEPS = 8  # in which a host grows slow, or is slow and not
TENTH_PPM = TRUE_PPM // 10
JUMP_NS = 3600 * SECOND  # that a clock jumps at most
KILLED = (  # what the real place finds out when the kernel has ended a process for lack of memory
    f"it held {MEMORY_BYTES / 1e6:,.0f} MB when last heard",
    "the kernel killed a process for lack of memory meanwhile",
)


class Machines:
    """What happens to processes and to the hosts that they are on."""

    def __init__(self, world: World, place: SimPlace) -> None:
        self._world, self._place = world, place
        self._healed = False

    @property
    def handlers(self) -> dict[str, Handler]:
        """What carries out each kind of fault."""
        return {
            "crash": self._crash,
            "churn": self._churn,
            "reboot": self._reboot,
            "host": self._lose_host,
            "pause": self._pause,
            "slow": self._slow,
            "memory": self._memory,
            "launch": self._launch,
            "clock": self._clock,
        }

    def heal(self) -> None:
        """Let all go on, at its usual speed, by clocks that run right."""
        self._healed = True
        for host, machine in self._place.machines.items():
            machine.heal()
            self._place.refresh(host)
        for process in list(self._place.processes.values()):
            process.fuse, process.short_of_memory = None, False
            if process.paused:
                process.unpause()

    def _later(self, delay_ns: int, label: str, happen: Callable[[], None]) -> None:
        """Have something happen, unless the world is kind by then."""
        self._world.later(delay_ns, label, lambda: None if self._healed else happen())

    def _victim(self, fault: Fault, *, busy: bool = False) -> SimProcess | None:
        processes = self._place.processes
        name = choose(sorted(one for one, process in processes.items() if process.attempt or not busy), fault.pick)
        return processes[WorkerId(name)] if name is not None else None

    # Processes.

    def _crash(self, fault: Fault) -> Struck | None:
        process = self._victim(fault)
        if process is None:
            return None
        if fault.form == "within":
            process.fuse = fault.pick // 7 % FUSE_USES
        else:
            self._place.strike(process.id)
        return Struck(fault, process.id, process.phase)

    def _churn(self, fault: Fault) -> Struck | None:
        number = max(2, round(DOZEN * fault.strength))
        first = self._victim(fault)
        if first is None:
            return None
        struck = Struck(fault, first.id, first.phase)
        self._place.strike(first.id)
        for i in range(1, number):
            self._later(fault.for_ns * i // number, "churn", lambda pick=fault.pick // 3 + 7 * i: self._end_one(pick))  # type: ignore[misc]
        return struck

    def _end_one(self, pick: int) -> None:
        name = choose(sorted(self._place.processes), pick)
        if name is not None:
            self._place.strike(WorkerId(name))

    def _pause(self, fault: Fault) -> Struck | None:
        process = self._victim(fault)
        if process is None or process.paused:
            return None
        process.paused = True
        self._world.later(fault.for_ns, f"{process.id} wakes", process.unpause)
        return Struck(fault, process.id, process.phase)

    def _memory(self, fault: Fault) -> Struck | None:
        process = self._victim(fault, busy=True)
        if process is None:
            return None
        struck = Struck(fault, process.id, process.phase)
        if fault.form == "error":
            process.short_of_memory = True
        else:
            self._place.end(process, None, SIGKILL, notes=KILLED)
        return struck

    # Hosts.

    def _lose_host(self, fault: Fault) -> Struck | None:
        process = self._victim(fault)
        if process is None:
            return None
        self._place.destroy(process.host)
        return Struck(fault, process.host, process.phase)

    def _reboot(self, fault: Fault) -> Struck | None:
        process = self._victim(fault)
        if process is None:
            return None
        struck = Struck(fault, process.host, process.phase)
        shortest, longest = DOWN_NS
        self._place.reboot(process.host, shortest + fault.pick // 7 * MS % (longest - shortest))
        return struck

    def _slow(self, fault: Fault) -> Struck | None:
        process = self._victim(fault)
        if process is None:
            return None
        host, most = process.host, max(1.0, SLOWEST * fault.strength)
        steps = {
            "intermittent": [most if i % 2 == 0 else 1.0 for i in range(STEPS)],
            "growing": [1 + (most - 1) * (i + 1) / STEPS for i in range(STEPS)],
        }.get(fault.form, [most])
        for i, slowness in enumerate(steps):
            begin, end = fault.for_ns * i // len(steps), fault.for_ns * (i + 1) // len(steps)
            self._later(begin, f"{host} is slow", lambda slowness=slowness: self._be_slow(host, slowness))  # type: ignore[misc]
            self._later(end, f"{host} is not", lambda slowness=slowness: self._be_slow(host, slowness, over=True))  # type: ignore[misc]
        return Struck(fault, host, process.phase)

    def _be_slow(self, host: HostId, slowness: float, *, over: bool = False) -> None:
        slow = self._place.machine(host).slow
        if over:
            slow.remove(slowness)
        else:
            slow.append(slowness)
        self._place.refresh(host)

    def _launch(self, fault: Fault) -> Struck | None:
        """Only while other hosts have workers: with none at all, a run ends, as it should."""
        process = self._victim(fault)
        if process is None or {one.host for one in self._place.processes.values()} == {process.host}:
            return None
        machine = self._place.machine(process.host)
        machine.launches = "take long" if fault.form == "long" else "fail"

        def over() -> None:
            machine.launches = ""

        self._world.later(fault.for_ns, f"{process.host} starts processes again", over)
        struck = Struck(fault, process.host, process.phase)
        self._place.strike(process.id)  # for one to be started
        return struck

    def _clock(self, fault: Fault) -> Struck | None:
        process = self._victim(fault)
        if process is None:
            return None
        wrong = int(TENTH_PPM * fault.strength)
        self._place.machine(process.host).rate_ppm = TRUE_PPM + (wrong if fault.pick % 2 else -wrong)
        self._place.refresh(process.host)
        for one in self._place.on(process.host):
            one.clock.offset_ns += int(JUMP_NS * fault.strength) * (fault.pick // 2 % 3) // 2
        return Struck(fault, process.host, process.phase)
