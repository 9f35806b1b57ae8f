"""Promise: what is persisted is kept by as many workers as were asked for, and what is given up by none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from headrace.ids import HostId, OperatorId, WorkerId
from headrace.plan.levels import StorageLevel
from headrace.protocols import replicate
from headrace.sim.checkers.checker import Checker
from headrace.sim.checkers.ledger import Ledger

Held = tuple[WorkerId, HostId, tuple[int, int]]  # who holds which partition of which dataset


class Kept(Checker):
    """Compares what the program asked for with what workers hold.

    Args:
        held: lists what all workers hold.

    """

    promise = "what is persisted is kept by as many workers as were asked for, and what is given up by none"

    def __init__(self, ledger: Ledger, held: Callable[[], Iterable[Held]]) -> None:
        super().__init__(ledger)
        self._held = held
        self._asked: dict[OperatorId, StorageLevel] = {}
        self._crowded: set[OperatorId] = set()  # some worker had no room
        self.events = {
            replicate.Copied: lambda event, _: self._copied(event),
            replicate.Dropped: lambda event, _: self._crowded.add(event.operator),
        }

    def keep(self, operator: OperatorId, level: StorageLevel) -> None:
        """The program wants a dataset kept."""
        self._asked[operator] = level

    def give_up(self, operator: OperatorId) -> None:
        """It does not want that any more."""
        self._asked.pop(operator, None)

    def _copied(self, event: replicate.Copied) -> None:
        if event.outcome == "no room":
            self._crowded.add(event.operator)

    def unfinished(self) -> Iterator[str]:
        """List what is kept by nobody's wish, or by too few."""
        keepers: dict[tuple[int, int], dict[WorkerId, HostId]] = defaultdict(dict)
        for worker, host, key in self._held():
            if OperatorId(key[0]) in self._asked:
                keepers[key][worker] = host
            else:
                yield f"{worker} keeps partition {key[1]} of dataset {key[0]}, which was given up"
        hosts = len(set(self.ledger.workers.values()))
        for (operator, partition), found in sorted(keepers.items()):
            level = self._asked[OperatorId(operator)]
            if OperatorId(operator) in self._crowded:
                continue
            what = f"partition {partition} of dataset {operator} is kept by {', '.join(sorted(found))}"
            if len(found) < min(level.replication, len(self.ledger.workers)):
                yield f"{what}, and {level.replication} workers are asked for"
            elif not self.ledger.dead and len(set(found.values())) < min(level.replication, hosts):
                yield f"{what}, which are all on one host"  # once some were lost, it is not moved again
