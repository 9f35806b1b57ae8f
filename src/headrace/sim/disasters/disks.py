"""Faults of disks."""

from __future__ import annotations

from headrace.sim.disasters.disasters import Handler, Struck
from headrace.sim.disk import SimDisk
from headrace.sim.faults import Fault, choose
from headrace.sim.world import World


class Disks:
    """What happens to files."""

    def __init__(self, world: World, disk: SimDisk) -> None:
        self._world, self._disk = world, disk

    @property
    def handlers(self) -> dict[str, Handler]:
        """What carries out each kind of fault."""
        nothing: Handler = lambda fault: None  # noqa: E731
        return {"full": nothing, "sluggish": nothing, "unreadable": nothing, "corrupt": self._corrupt}

    def heal(self) -> None:
        """Let disks work; what is lost or corrupt stays so."""

    def _corrupt(self, fault: Fault) -> Struck | None:
        """Flip a bit of some map output, or lose it altogether."""
        path = choose(sorted(p for p in self._disk.files if "/shuffle/" in p and p.endswith(".data")), fault.pick)
        if path is None:
            return None
        content = self._disk.files[path]
        if fault.form == "gone" or not content:
            del self._disk.files[path]
        else:
            content[fault.pick % len(content)] ^= 1 << fault.pick % 8
        return Struck(fault, path.removeprefix(f"{self._disk.root}/"))
