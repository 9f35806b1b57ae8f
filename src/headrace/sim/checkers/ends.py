"""Promise: a job that has ended delivers nothing any more, and no attempt takes longer than it may."""

from __future__ import annotations

from headrace.config import SECOND, ScheduleConfig
from headrace.ids import AttemptId, JobId, WorkerId
from headrace.protocols import schedule_words as words
from headrace.sim.checkers import seen
from headrace.sim.checkers.checker import Checker
from headrace.sim.checkers.ledger import Ledger

SLACK_NS = 5 * SECOND  # for the word that its time is up to come about, beside the grace that it has then
FAST = 1.15  # that the clocks of a simulated machine may run too fast


class Ends(Checker):
    """Knows which jobs have ended, and since when bodies run.

    Attributes:
        kind_ns: since when nothing goes wrong in the world; None before: until then nobody can be held to a time.

    """

    promise = "a job that has ended delivers nothing, and no attempt takes longer than its job allows"

    def __init__(self, ledger: Ledger, config: ScheduleConfig) -> None:
        super().__init__(ledger)
        self.kind_ns: int | None = None
        self._grace_ns = config.cancel_grace_ns + SLACK_NS
        self._running: dict[WorkerId, tuple[AttemptId, int]] = {}
        self._waiting: set[AttemptId] = set()  # at a barrier, for others: not they take so long
        self.events = {words.Ticked: lambda event, _: self._ticked(event.now_ns)}
        self.effects = {
            words.Deliver: lambda e: self._after(e.job, e.attempt, "a result is delivered to"),
            words.CountUpdates: lambda e: self._after(e.job, e.attempt, "contributions are counted for"),
            words.FinishJob: lambda e: self._ends(e.job),
            words.FailJob: lambda e: self._ends(e.job),
            words.CallOverdue: self._overdue,
        }
        self.seen = {
            seen.BodyBegan: lambda s: self._running.__setitem__(s.worker, (s.attempt, s.now_ns)),
            seen.BodyEnded: lambda s: self._running.pop(s.worker, None),
            seen.WorkerEnded: lambda s: self._running.pop(s.worker, None),
        }
        self.events[words.GangStands] = lambda event, _: self._stands(event)

    def _after(self, job: int, attempt: AttemptId, what: str) -> None:
        found = self.ledger.jobs.get(JobId(job))
        if found is None:
            self.broken(f"{what} job {job}, which was never submitted", attempt)
        if found.ended:
            self.broken(f"{what} job {job} ({found.name}), which has ended ({found.ended})", attempt)

    def _ends(self, job: int) -> None:
        found = self.ledger.jobs.get(JobId(job))
        if found is None or found.ended:
            self.broken(f"job {job} ends, and {'has ended before' if found else 'was never submitted'}")

    # Time.

    def _limit_ns(self, attempt: AttemptId) -> int:
        """How long an attempt may take: what the most patient of the open jobs that it may be for allows; 0: for ever."""
        task = self.ledger.task_of(attempt)
        limits = [job.task_timeout_ns for job in self.ledger.open_jobs() if task and task.stage in job.stages]
        return max(limits, default=0) if all(limits) else 0

    def _overdue(self, effect: words.CallOverdue) -> None:
        found = self.ledger.attempts.get(effect.attempt)
        limit = self._limit_ns(effect.attempt)
        if found is None:
            self.broken(f"{effect} is about an attempt that nobody claimed", effect.attempt)
        old_ns = self.ledger.now_ns() - found.claimed_ns
        if old_ns * FAST < limit:
            late = f"attempt {found.id} is {old_ns / 1e9:.1f} s old and said to be late, and may take {limit / 1e9:g} s"
            self.broken(late, effect.attempt)

    def _stands(self, event: words.GangStands) -> None:
        gang = self.ledger.attempts[event.waiting[0]].gang if event.waiting else ()
        self._waiting = (self._waiting - set(gang)) | set(event.waiting)

    def _ticked(self, now_ns: int) -> None:
        if self.kind_ns is None:
            return
        for worker, (attempt, began_ns) in self._running.items():
            ran_ns = now_ns - max(began_ns, self.kind_ns)
            if ran_ns < self._grace_ns or attempt in self._waiting:
                continue
            limit = self._limit_ns(attempt)
            if limit > 0 and ran_ns > limit + self._grace_ns:
                self.broken(
                    f"{worker} has run attempt {attempt} for {ran_ns / 1e9:.1f} s, and it may take {limit / 1e9:g} s",
                    attempt,
                )
