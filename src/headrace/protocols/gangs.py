"""Barrier stages: their tasks run all at once, count all together, and are called off together.

An attempt at such a stage belongs to a gang, one attempt for each partition, which workers claim as a whole.  When one of
them ends in another way than well, all are called off, and when the last of them has ended, the stage is offered again: so
no two gangs of a stage are ever at work at once.  The outputs of those that have ended well wait for the others, and then
count together: all that is read of a barrier stage was made by tasks that had met.

Part of the schedule machine (`schedule`), and as pure; how the tasks meet is the business of `gather`.
"""

from __future__ import annotations

from headrace.ids import AttemptId, StageId, TaskId
from headrace.protocols.offers import Offers
from headrace.protocols.schedule_state import Attempt, Gang
from headrace.protocols.schedule_words import (
    AssembleGang,
    DisbandGang,
    Effect,
    GangClaimed,
    GangStands,
    Launch,
    OutputCommitted,
    Settle,
)


class Gangs(Offers):
    """The part of the schedule machine that deals with barrier stages."""

    def _gang_claimed(self, event: GangClaimed) -> list[Effect]:
        stage = event.members[0].task.stage
        if any(one.attempt in self.attempts for one in event.members):
            return []  # doubled
        beside = any(one.task in self.by_task for one in event.members)  # claimed twice: offers crossed with a claim
        wanted = all(self.lineage.is_wanted(one.task) for one in event.members)
        alive = [one for one in event.members if one.worker in self.workers]
        for one in event.members:
            self.offered.pop(one.task, None)
        for one in alive:
            self.attempts[one.attempt] = Attempt(one.task, one.worker, one.host, False, claimed_ns=event.now_ns)
            self.by_task.setdefault(one.task, []).append(one.attempt)
        self.moved_ns = event.now_ns
        if beside or not wanted or len(alive) < len(event.members) or any(o.host in self.lost_hosts for o in alive):
            for one in alive:
                self.attempts[one.attempt].doomed = True
            stopped = [e for one in alive for e in self._stop(one.attempt, "its gang is not whole", event.now_ns)]
            return stopped + (self._offer_gang(stage) if wanted else [])
        gang = self.gangs[stage] = Gang(tuple(one.attempt for one in event.members))
        return [self._assemble(stage, gang), *(Launch(o.task, o.attempt, o.worker, copy=False) for o in alive)]

    def _assemble(self, stage: StageId, gang: Gang) -> AssembleGang:
        members = [self.attempts[attempt] for attempt in gang.members]
        workers, hosts = tuple(member.worker for member in members), tuple(member.host for member in members)
        return AssembleGang(stage, gang.members, workers, hosts)

    def _gang_stands(self, event: GangStands) -> list[Effect]:
        gang = self.gangs.get(event.stage)
        if gang is not None:
            gang.met, gang.waiting = event.met, event.waiting
            self.moved_ns = event.now_ns
        return []

    def _done_in_gang(self, event: OutputCommitted) -> list[OutputCommitted]:
        """A task of a barrier stage has ended well; say what counts now: nothing, or what all of them made."""
        stage = event.task.stage
        gang = self.gangs[stage]
        gang.done[event.attempt] = event
        if len(gang.done) < len(gang.members):
            return []
        del self.gangs[stage]
        if event.output.where is None:
            self.together[stage] = gang.members
        return [gang.done[attempt] for attempt in gang.members]

    def _break(self, stage: StageId, because: str, now_ns: int) -> list[Effect]:
        """Call a gang off: what some of its tasks have done is of no use without the others."""
        gang = self.gangs.pop(stage)
        effects: list[Effect] = [DisbandGang(stage)]
        for attempt in gang.members:
            state, done = self.attempts.get(attempt), gang.done.get(attempt)
            if done is not None:
                self.discarded.add(attempt)
                effects += [self._reopen(done.task, attempt), Settle(attempt, done.worker, kept=False)]
                if state is not None:
                    self._forget(attempt)
            elif state is not None:
                state.doomed = True
                effects += self._stop(attempt, because, now_ns)
        return effects + (self._offer_gang(stage) if self.lineage.stage(stage) is not None else [])

    def _together_again(self, stage: StageId) -> list[Effect]:
        """One result of a barrier stage is lost on its way to the program: all are made again, and delivered again."""
        if stage not in self.together:
            return []  # its job was given up
        job = self.lineage.jobs_of(stage)[0]
        reopened: list[Effect] = []
        for partition, attempt in enumerate(self.together.pop(stage)):
            self.delivering.pop(TaskId(stage, partition), None)
            reopened.append(self._reopen(TaskId(stage, partition), attempt))
        self.jobs[job].result_bytes = 0
        return reopened + self._follow(self.lineage.redo(job))

    # Calling off.

    def _cancel_all(self, task: TaskId, because: str, now_ns: int) -> list[Effect]:
        return [e for attempt in list(self.by_task.get(task, ())) for e in self._cancel(attempt, because, now_ns)]

    def _cancel(self, attempt: AttemptId, because: str, now_ns: int) -> list[Effect]:
        state = self.attempts.get(attempt)
        if state is None:
            return []  # it was let go of with the rest of its gang
        if self._in_gang(state.task.stage, attempt):
            return self._break(state.task.stage, because, now_ns)
        return self._stop(attempt, because, now_ns)
