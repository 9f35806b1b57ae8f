"""Faults of disks."""

from __future__ import annotations

from collections.abc import Callable

from headrace.sim.disasters.disasters import Handler, Struck
from headrace.sim.disk import Ailing, SimDisk
from headrace.sim.faults import Fault, choose
from headrace.sim.world import World
from headrace.store.layout import HOME

SLOWEST = 100  # times


class Disks:
    """What happens to files; never to those of the program's own host, without which there is no run."""

    def __init__(self, world: World, disk: SimDisk) -> None:
        self._world, self._disk = world, disk

    @property
    def handlers(self) -> dict[str, Handler]:
        """What carries out each kind of fault."""
        return {
            "full": self._full,
            "sluggish": self._sluggish,
            "unreadable": self._unreadable,
            "corrupt": self._corrupt,
        }

    def heal(self) -> None:
        """Let disks work; what is lost or corrupt stays so."""
        self._disk.heal()

    def _ail(
        self, fault: Fault, begin: Callable[[Ailing], None], end: Callable[[Ailing], None], *, alone: bool = True
    ) -> Struck | None:
        """Have a host's disk ail for a while.

        Args:
            alone: it may be the only host's; otherwise some other must be sound.

        """
        hosts = sorted({self._disk.host_of(path) for path in self._disk.folders} - {HOME, ""})
        host = choose(hosts, fault.pick)
        if host is None or (len(hosts) < 2 and not alone):
            return None
        ailing = self._disk.ails(host)
        begin(ailing)
        self._world.later(fault.for_ns, f"the disk of {host} is well", lambda: end(ailing))
        return Struck(fault, host)

    def _full(self, fault: Fault) -> Struck | None:
        def begin(ailing: Ailing) -> None:
            ailing.full += 1

        def end(ailing: Ailing) -> None:
            ailing.full -= 1

        return self._ail(fault, begin, end, alone=False)

    def _sluggish(self, fault: Fault) -> Struck | None:
        factor = max(1.0, SLOWEST * fault.strength)
        return self._ail(fault, lambda ailing: ailing.slow.append(factor), lambda ailing: ailing.slow.remove(factor))

    def _unreadable(self, fault: Fault) -> Struck | None:
        def begin(ailing: Ailing) -> None:
            ailing.unreadable.append(fault.strength)

        return self._ail(fault, begin, lambda ailing: ailing.unreadable.remove(fault.strength), alone=False)

    def _corrupt(self, fault: Fault) -> Struck | None:
        """Flip a bit of some file that the engine wrote, or lose it altogether."""
        path = choose(sorted(path for path in self._disk.files if self._disk.host_of(path) != HOME), fault.pick)
        if path is None:
            return None
        content = self._disk.files[path].content
        if fault.form == "gone" or not content:
            self._disk.remove(path)
        else:
            content[fault.pick // 7 % len(content)] ^= 1 << fault.pick % 8
        return Struck(fault, path.removeprefix(f"{self._disk.root}/"))
