"""Histories for the checkers of promises: what one checker is shown, word by word."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from headrace.config import SECOND
from headrace.ids import AttemptId, HostId, JobId, StageId, TaskId, WorkerId
from headrace.plan.stages import StageSpec
from headrace.protocols import claims
from headrace.protocols import schedule_words as words
from headrace.protocols.messages import Report
from headrace.sim.checkers.checker import Checker
from headrace.sim.checkers.checkers import Checkers
from headrace.sim.checkers.ledger import Ledger

MAPS, RESULTS = StageId(1), StageId(2)
JOB = JobId(1)
HOST, WORKER, OTHER = HostId("h1"), WorkerId("w1"), WorkerId("w2")


class History:
    """What one checker is shown, word by word."""

    def __init__(self, make: Callable[[Ledger], Checker], *, effects: bool = False, barrier: bool = False) -> None:
        self.now_ns = 0
        self.ledger = Ledger(lambda: self.now_ns)
        self.checker = make(self.ledger)
        self.all = Checkers(self.ledger, [self.checker], seed=7)
        maps = StageSpec(MAPS, "map", 2, True, (), has_effects=effects, barrier=barrier)
        results = StageSpec(RESULTS, "collect", 2, False, (), has_effects=effects, barrier=barrier)
        for worker in (WORKER, OTHER):
            self.told(words.WorkerJoined(worker, HOST, 0))
        self.told(words.JobSubmitted(JOB, (maps, results), (0, 1), 0, 10 * SECOND))

    def told(self, event: Any, *effects: Any) -> None:
        self.all("schedule", event, list(effects))

    def seen(self, *things: Any) -> None:
        for thing in things:
            self.all.see(thing)

    def claimed(
        self, attempt: int, task: tuple[StageId, int] = (MAPS, 0), worker: WorkerId = WORKER, *, copy: bool = False
    ) -> None:
        claim = claims.Claimed(TaskId(*task), AttemptId(attempt), worker, HOST, copy, self.now_ns)
        self.all("claims", claims.Ticked(self.now_ns), [claim])

    def gang(
        self, *attempts: int, partitions: Iterable[int] = (0, 1), workers: Iterable[WorkerId] = (WORKER, OTHER)
    ) -> None:
        made = zip(attempts, partitions, workers, strict=True)
        members = tuple(claims.Claimed(TaskId(RESULTS, p), AttemptId(a), w, HOST, False, 0) for a, p, w in made)
        self.all("claims", claims.Ticked(0), [claims.GangClaimed(members)])

    def done(self, attempt: int, *effects: Any, updates: bool = False, kept: bool | None = True) -> None:
        """An attempt has ended well; it counts, or is discarded, or it is not said which."""
        found = self.ledger.attempts[AttemptId(attempt)]
        event = words.OutputCommitted(
            found.task, found.id, found.worker, claims.Output(updates=updates), 1, self.now_ns
        )
        verdict = [words.Settle(found.id, found.worker, kept)] if kept is not None else []
        self.told(event, *effects, *verdict)

    def settled(self, attempt: int, *, kept: bool) -> None:
        self.told(words.Ticked(0), words.Settle(AttemptId(attempt), WORKER, kept))

    def deliver(self, attempt: int, partition: int = 0, job: JobId = JOB) -> words.Deliver:
        return words.Deliver(job, TaskId(RESULTS, partition), AttemptId(attempt), inline=True)

    def broken(self) -> str:
        """Return the evidence, in which the promise is named."""
        assert self.all.broken is not None, "nothing was noticed"
        assert self.all.broken.promise == self.checker.promise
        return "\n".join(self.all.broken.evidence)

    def unfinished(self) -> str:
        assert self.all.broken is None
        return "\n".join(self.checker.unfinished())


def report(attempt: int, outcome: str = "done") -> Report:
    said = dict.fromkeys(Report.__struct_fields__)
    return Report(**{**said, "stage": 1, "partition": 0, "attempt": attempt, "outcome": outcome, "result": b""})  # type: ignore[arg-type]
