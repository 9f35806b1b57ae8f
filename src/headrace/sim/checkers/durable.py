"""Promise: an output that is announced to be whole survives a loss of power."""

from __future__ import annotations

from collections.abc import Callable

from headrace.sim.checkers import seen
from headrace.sim.checkers.checker import Checker
from headrace.sim.checkers.ledger import Ledger

SUCCESS = "_SUCCESS"
ASIDE = "/_temporary"


class Durable(Checker):
    """Looks at what was not synced when an output is announced: by `_SUCCESS`, and by what was written aside being removed.

    Args:
        unsynced: lists what of a folder would not survive.

    """

    promise = "an output that is announced is durable"

    def __init__(self, ledger: Ledger, unsynced: Callable[[str], list[str]]) -> None:
        super().__init__(ledger)
        self._unsynced = unsynced
        self._announced: set[str] = set()
        self.seen = {seen.Created: self._created, seen.TreeRemoved: self._removed}

    def _created(self, created: seen.Created) -> None:
        folder, _, name = created.path.rpartition("/")
        if name == SUCCESS:
            self._look(folder, "is marked as whole")
            self._announced.add(folder)

    def _removed(self, removed: seen.TreeRemoved) -> None:
        folder, found, _ = removed.path.partition(ASIDE)
        if found and folder in self._announced:
            self._announced.discard(folder)
            self._look(folder, "is in place")

    def _look(self, folder: str, what: str) -> None:
        lacking = [path for path in self._unsynced(folder) if ASIDE not in path]
        if lacking:
            self.broken(f"{folder} {what}, and a loss of power would take {', '.join(lacking[:8])}")

    def unfinished(self) -> list[str]:
        """List outputs that were announced and would not survive now."""
        return [
            f"{path} would not survive a loss of power" for f in sorted(self._announced) for path in self._unsynced(f)
        ]
