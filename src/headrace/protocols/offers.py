"""What is offered: the tasks that can run, unless somebody is at them; those of a barrier stage all at once.

Part of the schedule machine (`schedule`), and as pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from headrace.ids import AttemptId, HostId, JobId, StageId, TaskId
from headrace.protocols.claims import Offer
from headrace.protocols.lineage import Change
from headrace.protocols.schedule_state import State
from headrace.protocols.schedule_words import Effect, MakeOffers, Note, OfferGang, Reopen, WithdrawOffers
from headrace.protocols.trouble import WHOLE


class Offers(State):
    """The part of the schedule machine that follows the lineage."""

    def _follow(self, change: Change) -> list[Effect]:
        """Do what the lineage says."""
        effects: list[Effect] = [self._reopen(task, attempt) for task, attempt in change.lost]
        if change.lost:
            stages = ", ".join(str(task) for task, _ in change.lost[:8]) + (", ..." if len(change.lost) > 8 else "")
            effects.append(Note("lost outputs", None, None, f"{len(change.lost)} map outputs are gone: {stages}"))
        effects += self._withdraw(task for task in (*change.hold, *change.drop) if task in self.offered)
        return effects + self._offer(change.need)

    def _reopen(self, task: TaskId, attempt: AttemptId) -> Reopen:
        self.reopened[task] = attempt
        return Reopen(task, attempt)

    def _withdraw(self, tasks: Iterable[TaskId]) -> list[Effect]:
        back = tuple(tasks)
        gangs = {task.stage for task in back if self._is_barrier(task.stage)}
        if gangs:  # all or none of it is on offer
            back = (*back, *(task for task in self.offered if task.stage in gangs and task not in back))
        for task in back:
            self.offered.pop(task, None)
        return [WithdrawOffers(back)] if back else []

    def _offer(self, tasks: Iterable[TaskId]) -> list[Effect]:
        """Offer tasks that are ready, unless somebody is at them."""
        offers: list[Offer] = []
        copies: list[TaskId] = []  # on offer as copies of attempts that have ended meanwhile
        jobs: dict[StageId, JobId] = {}
        gangs: list[StageId] = []
        for task in tasks:
            if self._is_barrier(task.stage):
                gangs.append(task.stage)
                continue
            as_copy = self.offered.get(task)
            if as_copy is False or not self.lineage.is_ready(task) or self._is_attempted(task):
                continue
            if task in self.delivering or self._rests(task):
                continue
            if as_copy:
                copies.append(task)
            if task.stage not in jobs:
                jobs[task.stage] = min(self.lineage.jobs_of(task.stage), default=JobId(0))
            offers.append(Offer(task, jobs[task.stage], self.lineage.holders(task), avoid_hosts=self._avoided(task)))
        effects = self._withdraw(copies)
        self.offered.update((offer.task, False) for offer in offers)
        if offers:
            effects.append(MakeOffers(tuple(offers)))
        return effects + [effect for stage in dict.fromkeys(gangs) for effect in self._offer_gang(stage)]

    def _avoided(self, task: TaskId) -> tuple[HostId, ...]:
        """Return the hosts where a task has failed, if there are others that could be given it."""
        bad = self.troubles.hosts(self._blamed(task))
        if not bad:
            return ()
        others = sum(host not in bad and worker not in self.suspects for worker, host in self.workers.items())
        spec = self.lineage.stage(task.stage)
        if others < (spec.partitions if spec is not None and spec.barrier else 1):
            return ()
        return tuple(sorted(bad))

    def _rests(self, task: TaskId) -> bool:
        """Whether a task is to wait, because nobody could be given it but hosts where it has failed."""
        blamed = self._blamed(task)
        if blamed in self.resting and self._avoided(task):
            del self.resting[blamed]
        return blamed in self.resting

    def _wake(self, tasks: list[TaskId]) -> list[Effect]:
        """Offer tasks that have rested, if somebody else may have them by now."""
        awake = [task if task.partition != WHOLE else TaskId(task.stage, 0) for task in sorted(tasks)]
        return self._offer(task for task in awake if self.lineage.stage(task.stage) is not None)

    def _offer_anew(self) -> list[Effect]:
        """Offer once more what avoids some workers: those that it does not avoid have become fewer."""
        tasks = [task for task in self.troubles.of_hosts() if self.offered.get(task) is False]
        return [*self._withdraw(tasks), *self._offer(tasks)]

    def _offer_gang(self, stage: StageId) -> list[Effect]:
        """Offer all tasks of a barrier stage, if all can run and nobody is at any of them, not even to stop."""
        spec = self.lineage.stage(stage)
        assert spec is not None
        tasks = [TaskId(stage, partition) for partition in range(spec.partitions)]
        if len(self.lineage.ready(stage)) < len(tasks) or tasks[0] in self.offered:
            return []
        if any(task in self.by_task or task in self.delivering for task in tasks) or self._rests(tasks[0]):
            return []
        job = min(self.lineage.jobs_of(stage), default=JobId(0))
        self.offered.update(dict.fromkeys(tasks, False))
        avoid = self._avoided(tasks[0])
        return [OfferGang(tuple(Offer(task, job, self.lineage.holders(task), avoid_hosts=avoid) for task in tasks))]
