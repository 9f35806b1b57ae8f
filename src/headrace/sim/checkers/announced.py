"""Promise: what was discarded, or has not counted, is announced to nobody; what is said to be done is there."""

from __future__ import annotations

from headrace.sim.checkers import seen
from headrace.sim.checkers.checker import Checker
from headrace.sim.checkers.ledger import Ledger


class AnnouncedOutputs(Checker):
    """Reads what processes say to each other of outputs."""

    promise = "nothing is announced but outputs that are there and count"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self.seen = {seen.Announced: self._announced, seen.Said: self._said}

    def _announced(self, told: seen.Announced) -> None:
        counted, stage = self.ledger.counted, told.stage
        for partition, attempt in enumerate(told.attempts):
            if not attempt:
                continue
            if attempt not in counted:
                self.broken(f"{told.worker} is told to read attempt {attempt}, which does not count", attempt)
            if self.ledger.attempts[attempt].task != (stage, partition):
                self.broken(f"{told.worker} is told to read partition {stage}.{partition} of another's output", attempt)

    def _said(self, said: seen.Said) -> None:
        if said.report.outcome == "done" and said.missing:
            self.broken(
                f"{said.worker} says that it is done, and {', '.join(said.missing)} is not there",
                *(attempt for attempt in self.ledger.attempts if attempt == said.report.attempt),
            )
