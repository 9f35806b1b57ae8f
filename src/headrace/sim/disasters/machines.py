"""Faults of processes and hosts."""

from __future__ import annotations

from headrace.ids import WorkerId
from headrace.sim.disasters.disasters import Handler, Struck
from headrace.sim.faults import Fault, choose
from headrace.sim.place import SimPlace
from headrace.sim.process import SimProcess
from headrace.sim.world import World


class Machines:
    """What happens to processes and to the hosts that they are on."""

    def __init__(self, world: World, place: SimPlace) -> None:
        self._world, self._place = world, place

    @property
    def handlers(self) -> dict[str, Handler]:
        """What carries out each kind of fault."""
        nothing: Handler = lambda fault: None  # noqa: E731
        return {
            "crash": self._crash,
            "churn": nothing,
            "reboot": nothing,
            "host": self._lose_host,
            "pause": self._pause,
            "slow": self._slow,
            "memory": nothing,
            "clock": nothing,
        }

    def heal(self) -> None:
        """Let all go on, at its usual speed."""
        self._place.slow.clear()
        for process in list(self._place.processes.values()):
            process.slowness = 1.0
            if process.paused:
                process.unpause()

    def _victim(self, fault: Fault) -> SimProcess | None:
        name = choose(sorted(self._place.processes), fault.pick)
        return self._place.processes[WorkerId(name)] if name is not None else None

    def _crash(self, fault: Fault) -> Struck | None:
        process = self._victim(fault)
        if process is None:
            return None
        self._place.strike(process.id)
        return Struck(fault, process.id, process.phase)

    def _lose_host(self, fault: Fault) -> Struck | None:
        process = self._victim(fault)
        if process is None:
            return None
        self._place.destroy(process.host)
        return Struck(fault, process.host, process.phase)

    def _pause(self, fault: Fault) -> Struck | None:
        process = self._victim(fault)
        if process is None or process.paused:
            return None
        process.paused = True
        self._world.later(fault.for_ns, f"{process.id} wakes", process.unpause)
        return Struck(fault, process.id, process.phase)

    def _slow(self, fault: Fault) -> Struck | None:
        process = self._victim(fault)
        if process is None:
            return None
        process.slowness = self._place.slow[process.host] = max(1.0, 30 * fault.strength)
        return Struck(fault, process.host, process.phase)
