"""What follows from time passing: who does not stop when asked, who deserves a copy, and what everybody waits for.

Part of the schedule machine (`schedule`), and as pure.
"""

from __future__ import annotations

from headrace.config import SECOND
from headrace.ids import AttemptId, JobId, StageId, TaskId
from headrace.protocols.claims import Offer
from headrace.protocols.gangs import Gangs
from headrace.protocols.schedule_state import Attempt
from headrace.protocols.schedule_words import CallOverdue, Effect, KillWorker, MakeOffers, Note, Stalled
from headrace.protocols.speculate import Running, pick_backups

LATE_NS = SECOND  # between two looks at the clock: whoever looks so rarely was stopped


class Oversight(Gangs):
    """The part of the schedule machine that looks at the clock."""

    def _ticked(self, now_ns: int) -> list[Effect]:
        effects: list[Effect] = []
        self.discarded.clear()  # the claim table has heard of it by now, and refuses them itself
        for task in [task for task, until_ns in self.resting.items() if now_ns >= until_ns]:
            del self.resting[task]
            effects += self._wake([task])
        for attempt, state in sorted(self.attempts.items()):
            since = state.cancelled_ns
            if since is not None and now_ns - since >= self.config.cancel_grace_ns and state.worker in self.workers:
                effects.append(
                    KillWorker(state.worker, f"attempt {attempt} of task {state.task} did not stop when asked")
                )
        if now_ns - self.ticked_ns < LATE_NS:  # else what attempts have said of themselves meanwhile is not heard yet
            effects += self._overdue_by(now_ns)
        self.ticked_ns = now_ns
        effects += self._copies(now_ns)
        waiting = max(self.moved_ns, self.stall_told_ns)
        if self.jobs and now_ns - waiting >= self.config.stall_ns:
            self.stall_told_ns = now_ns
            effects.append(Stalled(now_ns - self.moved_ns, tuple(self._waits(now_ns))))
        return effects

    def _overdue_by(self, now_ns: int) -> list[Effect]:
        """Find attempts that take longer than the most patient of the jobs that wait for them allows."""
        if not any(job.task_timeout_ns for job in self.jobs.values()):
            return []
        limits: dict[StageId, int] = {}
        effects: list[Effect] = []
        for attempt, state in sorted(self.attempts.items()):
            stage = state.task.stage
            ran_ns = self._may_have_run(attempt, state, now_ns)
            if not ran_ns or state.cancelled_ns is not None or self._is_done(attempt):
                continue
            if stage in self.gangs and attempt in self.gangs[stage].waiting:
                continue  # not it takes so long, but those that it waits for
            if stage not in limits:
                allowed = [self.jobs[job].task_timeout_ns for job in self.lineage.jobs_of(stage)]
                limits[stage] = max(allowed, default=0) if all(allowed) else 0
            if 0 < limits[stage] <= ran_ns:
                effects.append(CallOverdue(attempt, state.worker, ran_ns, limits[stage]))
        return effects

    def _may_have_run(self, attempt: AttemptId, state: Attempt, now_ns: int) -> int:
        """How long an attempt has run; if its worker fell silent before it could say, since it was its turn."""
        if state.heard_ns:
            return state.ran_ns + now_ns - state.heard_ns
        if state.worker not in self.suspects or any(
            other.worker == state.worker and number < attempt for number, other in self.attempts.items()
        ):
            return 0  # it waits, or will speak soon
        return now_ns - max(state.claimed_ns, self.freed_ns.get(state.worker, 0))

    def _copies(self, now_ns: int) -> list[Effect]:
        if self.offered or not self.attempts:
            return []
        busy = {state.worker for state in self.attempts.values()}
        idle = sum(worker not in busy and worker not in self.suspects for worker in self.workers)
        if not idle:
            return []
        candidates = [
            Running(
                state.task,
                state.ran_ns + (now_ns - state.heard_ns if state.heard_ns else 0),
                state.progress,
                state.worker in self.suspects,
            )
            for attempts in self.by_task.values()
            if len(attempts) == 1
            for state in (self.attempts[attempts[0]],)
            if state.cancelled_ns is None and self._may_copy(state)
        ]
        chosen = pick_backups(
            candidates,
            self.finished_ns,
            copies=sum(state.copy for state in self.attempts.values()),
            slots=len(self.workers),
            idle=idle,
            config=self.speculate,
        )
        if not chosen:
            return []
        offers, notes = [], []
        for task in chosen:
            self.offered[task] = True
            (first,) = self.by_task[task]
            worker = self.attempts[first].worker
            job = min(self.lineage.jobs_of(task.stage), default=JobId(0))
            bad = tuple(sorted(self.troubles.hosts(task)))
            offers.append(Offer(task, job, copy=True, avoid=(worker,), avoid_hosts=bad))
            silent = worker in self.suspects
            why = f"{worker} has fallen silent" if silent else f"attempt {first} on {worker} is slow for its stage"
            notes.append(Note("copy", task, first, why))
        return [*notes, MakeOffers(tuple(offers))]

    def _may_copy(self, state: Attempt) -> bool:
        spec = self.lineage.stage(state.task.stage)
        begun = state.heard_ns > 0 or state.worker in self.suspects
        alone = spec is None or spec.has_effects or spec.barrier
        return not alone and begun and self.lineage.is_ready(state.task) and self._is_worth_a_try(state.task)

    def _is_worth_a_try(self, task: TaskId) -> bool:
        """Whether somebody has nothing to do on a host where the task has not failed."""
        bad = self.troubles.hosts(task)
        if not bad:
            return True
        busy = {state.worker for state in self.attempts.values()}
        return any(
            worker not in busy and worker not in self.suspects and host not in bad
            for worker, host in self.workers.items()
        )

    def _waits(self, now_ns: int) -> list[str]:
        """Say what is waited for, for people."""
        waits = []
        if not self.workers:
            waits.append("no worker is ready")
        for attempt, state in sorted(self.attempts.items())[:8]:
            silent = ", which has fallen silent" if state.worker in self.suspects else ""
            ran = (
                f"has run for {(state.ran_ns + now_ns - state.heard_ns) / 1e9:.0f} s"
                if state.heard_ns
                else "has not begun"
            )
            waits.append(f"task {state.task}: attempt {attempt} on {state.worker}{silent} {ran}")
        for stage, gang in sorted(self.gangs.items()):
            if gang.waiting:
                late = [p for p, attempt in enumerate(gang.members) if attempt not in gang.waiting]
                some = ", ".join(f"{stage}.{p}" for p in late[:8]) + (", ..." if len(late) > 8 else "")
                waits.append(f"stage {stage}: {len(gang.waiting)} tasks wait at barrier {gang.met + 1} for {some}")
        if self.offered:
            some = ", ".join(str(task) for task in sorted(self.offered)[:8])
            waits.append(f"offered and not claimed: {some}{', ...' if len(self.offered) > 8 else ''}")
        for task, delivery in sorted(self.delivering.items())[:8]:
            waits.append(f"the result of task {task} (attempt {delivery.attempt}) is on its way to the program")
        for job in sorted(self.jobs):
            result = self.lineage.result_stage(job)
            wanted, held = self.lineage.waiting(result)
            waits.append(f"job {job} waits for {wanted} partitions of stage {result}, {held} of them for their input")
        return waits
