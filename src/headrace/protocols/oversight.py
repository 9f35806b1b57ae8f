"""What follows from time passing: who does not stop when asked, who deserves a copy, and what everybody waits for.

Part of the schedule machine (`schedule`), and as pure.
"""

from __future__ import annotations

from headrace.ids import JobId
from headrace.protocols.claims import Offer
from headrace.protocols.gangs import Gangs
from headrace.protocols.schedule_state import Attempt
from headrace.protocols.schedule_words import Effect, KillWorker, MakeOffers, Note, Stalled
from headrace.protocols.speculate import Running, pick_backups


class Oversight(Gangs):
    """The part of the schedule machine that looks at the clock."""

    def _ticked(self, now_ns: int) -> list[Effect]:
        effects: list[Effect] = []
        for attempt, state in sorted(self.attempts.items()):
            since = state.cancelled_ns
            if since is not None and now_ns - since >= self.config.cancel_grace_ns and state.worker in self.workers:
                effects.append(
                    KillWorker(state.worker, f"attempt {attempt} of task {state.task} did not stop when asked")
                )
        effects += self._copies(now_ns)
        waiting = max(self.moved_ns, self.stall_told_ns)
        if self.jobs and now_ns - waiting >= self.config.stall_ns:
            self.stall_told_ns = now_ns
            effects.append(Stalled(now_ns - self.moved_ns, tuple(self._waits(now_ns))))
        return effects

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
            offers.append(Offer(task, job, copy=True, avoid=(worker,)))
            silent = worker in self.suspects
            why = f"{worker} has fallen silent" if silent else f"attempt {first} on {worker} is slow for its stage"
            notes.append(Note("copy", task, first, why))
        return [*notes, MakeOffers(tuple(offers))]

    def _may_copy(self, state: Attempt) -> bool:
        spec = self.lineage.stage(state.task.stage)
        begun = state.heard_ns > 0 or state.worker in self.suspects
        alone = spec is None or spec.has_effects or spec.barrier
        return not alone and begun and self.lineage.is_ready(state.task)

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
