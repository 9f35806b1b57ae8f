"""Promise: one body at a time in a worker; tasks with effects run alone; gangs count together or not at all."""

from __future__ import annotations

from typing import Any

from headrace.ids import AttemptId, StageId, TaskId, WorkerId
from headrace.protocols import claims
from headrace.protocols import schedule_words as words
from headrace.sim.checkers import seen
from headrace.sim.checkers.checker import Checker
from headrace.sim.checkers.ledger import Ledger


class Alone(Checker):
    """Knows which bodies run, and beside which others."""

    promise = "a worker runs one body at a time, tasks with effects run alone, gangs count together or not at all"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._running: dict[WorkerId, AttemptId] = {}
        self._begun: set[AttemptId] = set()
        self._busy: dict[TaskId, set[AttemptId]] = {}  # bodies of tasks with effects
        self.events = {words.OutputCommitted: self._committed}
        self.effects = {claims.Claimed: self._claimed, claims.GangClaimed: self._gang_claimed}
        self.seen = {
            seen.BodyBegan: self._began,
            seen.BodyEnded: lambda s: self._ended(s.worker),
            seen.WorkerEnded: lambda s: self._ended(s.worker),
        }

    def _began(self, began: seen.BodyBegan) -> None:
        worker, attempt = began.worker, began.attempt
        other = self._running.get(worker)
        if other is not None:
            self.broken(f"{worker} runs the bodies of two attempts at once", other, attempt)
        if attempt in self._begun:
            self.broken(f"the body of attempt {attempt} is run twice", attempt)
        self._running[worker] = attempt
        self._begun.add(attempt)
        task = self.ledger.task_of(attempt)
        if task is None:
            self.broken(f"{worker} runs attempt {attempt}, which nobody claimed")
        spec = self.ledger.specs.get(task.stage)
        if spec is not None and spec.has_effects:
            beside = self._busy.setdefault(task, set())
            if beside:
                self.broken(f"two attempts at task {task} run at once, and it has effects", *sorted(beside), attempt)
            beside.add(attempt)

    def _ended(self, worker: WorkerId) -> None:
        attempt = self._running.pop(worker, None)
        task = self.ledger.task_of(attempt) if attempt is not None else None
        if attempt is not None and task is not None and task in self._busy:
            self._busy[task].discard(attempt)

    def _claimed(self, claim: claims.Claimed) -> None:
        spec = self.ledger.specs.get(claim.task.stage)
        if spec is None:
            return
        if claim.copy and (spec.has_effects or spec.barrier):
            why = "it has effects" if spec.has_effects else "it is one of a gang"
            self.broken(f"a copy of task {claim.task} is claimed, and {why}", claim.attempt)
        if spec.barrier:
            self.broken(f"task {claim.task} of a barrier stage is claimed by itself", claim.attempt)

    def _gang_claimed(self, effect: claims.GangClaimed) -> None:
        tasks = [member.task for member in effect.members]
        spec = self.ledger.specs.get(tasks[0].stage)
        if spec is not None and sorted(tasks) != [TaskId(spec.id, p) for p in range(spec.partitions)]:
            self.broken(f"a gang of stage {spec.id} is not all of its tasks", *(m.attempt for m in effect.members))
        if len({member.worker for member in effect.members}) < len(tasks):
            self.broken("two tasks of a gang have one worker", *(member.attempt for member in effect.members))

    def _committed(self, _: words.OutputCommitted, effects: list[Any]) -> None:
        """What begins to count in one step: of a gang all, or nothing."""
        fresh: dict[StageId, set[AttemptId]] = {}
        for effect in effects:
            if isinstance(effect, words.Settle) and effect.kept and effect.attempt not in self.ledger.counted:
                attempt = self.ledger.attempts.get(effect.attempt)
                if attempt is not None and attempt.gang:
                    fresh.setdefault(attempt.task.stage, set()).add(attempt.id)
        for stage, counting in fresh.items():
            gang = self.ledger.attempts[min(counting)].gang
            if counting != set(gang):
                self.broken(f"of a gang of stage {stage}, some count without the others", *gang)
