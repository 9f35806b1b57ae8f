"""Faults of the network."""

from __future__ import annotations

from headrace.sim.disasters.disasters import Handler, Struck
from headrace.sim.faults import Fault, choose
from headrace.sim.network import Wire
from headrace.sim.place import PROGRAM, SimPlace
from headrace.sim.world import World


class Links:
    """What happens to frames on their way, and to the ways between hosts."""

    def __init__(self, world: World, wire: Wire, place: SimPlace) -> None:
        self._world, self._wire, self._place = world, wire, place

    @property
    def handlers(self) -> dict[str, Handler]:
        """What carries out each kind of fault."""
        nothing: Handler = lambda fault: None  # noqa: E731
        return {
            "partition": self._partition,
            "clog": nothing,
            "latency": nothing,
            "narrow": nothing,
            "loss": self._loss,
            "double": self._double,
        }

    def heal(self) -> None:
        """Let everything through, once."""
        self._wire.lose = self._wire.double = 0.0
        for path in sorted(self._wire.cut):
            self._wire.heal(path)

    def _partition(self, fault: Fault) -> Struck | None:
        hosts = sorted({str(process.host) for process in self._place.processes.values()} | {PROGRAM})
        one = choose(hosts, fault.pick)
        other = choose([host for host in hosts if host != one], fault.pick // 7)
        if one is None or other is None:
            return None
        path = (min(one, other), max(one, other))
        self._wire.partition(path)
        self._world.later(fault.for_ns, f"{path} heals", lambda: self._wire.heal(path))
        return Struck(fault, " and ".join(path))

    def _loss(self, fault: Fault) -> Struck | None:
        self._wire.lose = fault.strength
        return Struck(fault, "all frames")

    def _double(self, fault: Fault) -> Struck | None:
        self._wire.double = fault.strength
        return Struck(fault, "all frames")
