"""Promise: no attempt that counts has used what does not count, or other bytes than were written."""

from __future__ import annotations

from headrace.ids import AttemptId
from headrace.protocols import schedule_words as words
from headrace.sim.checkers import seen
from headrace.sim.checkers.checker import Checker
from headrace.sim.checkers.ledger import Ledger

SOURCES_MAX = 8  # of bad input, shown


class Inputs(Checker):
    """Follows what bodies write and read."""

    promise = "no attempt that counts used the output of one that does not, or other bytes than that one wrote"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._written: dict[tuple[AttemptId, int], int] = {}
        self._results: dict[AttemptId, int] = {}
        self._bad: dict[AttemptId, list[tuple[str, AttemptId]]] = {}
        self.effects = {words.Settle: self._settled, words.FreeShuffle: self._freed}
        self.seen = {
            seen.PartWritten: self._part_written,
            seen.PartRead: self._part_read,
            seen.ResultWritten: self._result_written,
            seen.Said: self._said,
            seen.Delivered: self._delivered,
        }

    def _part_written(self, part: seen.PartWritten) -> None:
        self._written[part.attempt, part.number] = part.digest

    def _result_written(self, result: seen.ResultWritten) -> None:
        self._results[result.attempt] = result.digest

    def _part_read(self, part: seen.PartRead) -> None:
        source = part.source
        found = self.ledger.attempts.get(source.attempt)
        what = f"shuffle {source.stage}, partition {source.partition}, part {part.number}, of attempt {source.attempt}"
        if found is None or found.task != (source.stage, source.partition):
            self._note(part.attempt, f"{what}: it never wrote that", source.attempt)
        elif source.attempt not in self.ledger.counted:
            self._note(part.attempt, f"{what}: it did not count", source.attempt)
        elif part.digest is not None and part.digest != self._written.get((source.attempt, part.number), part.digest):
            self._note(part.attempt, f"{what}: other bytes than it wrote", source.attempt)

    def _note(self, attempt: AttemptId, what: str, source: AttemptId) -> None:
        self._bad.setdefault(attempt, []).append((f"attempt {attempt} used {what}", source))

    def _settled(self, effect: words.Settle) -> None:
        bad = self._bad.pop(effect.attempt, None)
        if bad and effect.kept:
            some = bad[:SOURCES_MAX]
            self.broken("; ".join(what for what, _ in some), effect.attempt, *dict.fromkeys(by for _, by in some))

    def _said(self, said: seen.Said) -> None:
        """A result that comes along with its report."""
        report = said.report
        if report.outcome == "done" and report.inline and report.result:
            self._same(AttemptId(report.attempt), seen.digest(report.result))

    def _delivered(self, delivered: seen.Delivered) -> None:
        self._same(delivered.attempt, delivered.digest)

    def _same(self, attempt: AttemptId, digest: int) -> None:
        if self._results.get(attempt, digest) != digest:
            self.broken(f"the result of attempt {attempt} is not what it wrote", attempt)

    def _freed(self, effect: words.FreeShuffle) -> None:
        gone = {key for key in self._written if (task := self.ledger.task_of(key[0])) and task.stage == effect.stage}
        for key in gone:
            del self._written[key]
