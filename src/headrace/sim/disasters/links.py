"""Faults of the network."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from headrace.config import MS, SECOND
from headrace.sim.disasters.disasters import Handler, Struck
from headrace.sim.faults import Fault, choose
from headrace.sim.network import Wire
from headrace.sim.network.link import Dial, Link, Number
from headrace.sim.place import PROGRAM, SimPlace
from headrace.sim.world import World

FLAP_NS = (10 * MS, 2 * SECOND)  # how long a flapping partition is, or is not
ALL = "all frames"


class Links:
    """What happens to frames on their way, and to the ways between hosts."""

    def __init__(self, world: World, wire: Wire, place: SimPlace) -> None:
        self._world, self._wire, self._place = world, wire, place
        self._numbers = count()
        self._ends: dict[int, Callable[[], None]] = {}  # what ends each fault that is in force

    @property
    def handlers(self) -> dict[str, Handler]:
        """What carries out each kind of fault."""
        return {
            "partition": self._partition,
            "clog": self._clog,
            "latency": self._latency,
            "narrow": self._narrow,
            "loss": self._loss,
            "double": self._double,
        }

    def heal(self) -> None:
        """Let everything through, for good."""
        for number in list(self._ends):
            self._over(number)

    def _until(self, fault: Fault, end: Callable[[], None]) -> int:
        """End a fault when its time has come, or when the world heals; return its number."""
        number = next(self._numbers)
        self._ends[number] = end
        if fault.for_ns:
            self._world.later(fault.for_ns, f"{fault.kind} ends", lambda: self._over(number))
        return number

    def _over(self, number: int) -> None:
        end = self._ends.pop(number, None)
        if end is not None:
            end()

    # Victims.

    def _hosts(self) -> list[str]:
        return sorted({str(process.host) for process in self._place.processes.values()} | {PROGRAM})

    def _pair(self, fault: Fault) -> tuple[str, str] | None:
        """Choose two hosts; which of them comes first is a matter of chance, too."""
        hosts = self._hosts()
        one = choose(hosts, fault.pick)
        other = choose([host for host in hosts if host != one], fault.pick // len(hosts))
        return (one, other) if one is not None and other is not None else None

    # Between two hosts.

    def _partition(self, fault: Fault) -> Struck | None:
        pair = self._pair(fault)
        if pair is None:
            return None
        there = self._wire.link(*pair)
        links = (there,) if fault.form == "one way" else (there, there.back)
        if fault.form == "flapping":
            self._flap(fault, links)
        else:
            self._cut(links)
            self._until(fault, lambda: self._mend(links))
        return Struck(fault, f"{pair[0]} to {pair[1]}" if fault.form == "one way" else f"{pair[0]} and {pair[1]}")

    def _cut(self, links: tuple[Link, ...]) -> None:
        for link in links:
            self._wire.cut(link)

    def _mend(self, links: tuple[Link, ...]) -> None:
        for link in links:
            self._wire.mend(link)

    def _flap(self, fault: Fault, links: tuple[Link, ...]) -> None:
        """Cut and mend by turns."""
        is_cut = False

        def turn() -> None:
            nonlocal is_cut
            if number not in self._ends:
                return
            is_cut = not is_cut
            (self._cut if is_cut else self._mend)(links)
            low, high = FLAP_NS
            wait = int(low * (high / low) ** self._world.chance("flapping").random())
            self._world.later(wait, f"{fault.kind} flaps", turn)

        def end() -> None:
            if is_cut:
                self._mend(links)

        number = self._until(fault, end)
        turn()

    def _clog(self, fault: Fault) -> Struck | None:
        pair = self._pair(fault)
        if pair is None:
            return None
        link = self._wire.link(*pair)
        self._wire.clog(link)
        self._until(fault, lambda: self._wire.unclog(link))
        return Struck(fault, link.name)

    # At one host.

    def _narrow(self, fault: Fault) -> Struck | None:
        host = choose(self._hosts(), fault.pick)
        if host is None:
            return None
        ports = self._wire.ports(host)
        for port in ports:
            port.narrow(fault.strength)

        def end() -> None:
            for port in ports:
                port.widen(fault.strength)

        self._until(fault, end)
        return Struck(fault, host)

    # Everywhere.

    def _latency(self, fault: Fault) -> Struck | None:
        return self._turn_up(self._wire.extra_ns, int(fault.strength * SECOND), fault)

    def _loss(self, fault: Fault) -> Struck | None:
        return self._turn_up(self._wire.lose, fault.strength, fault)

    def _double(self, fault: Fault) -> Struck | None:
        return self._turn_up(self._wire.double, fault.strength, fault)

    def _turn_up(self, dial: Dial[Number], strength: Number, fault: Fault) -> Struck:
        dial.add(strength)
        self._until(fault, lambda: dial.remove(strength))
        return Struck(fault, ALL)
