"""The account that checkers keep by themselves: jobs, attempts and what became of them.

It is written from what the loops are seen to be told and to ask for, and from the ports; the state of the machines under
test is never asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from headrace.ids import AttemptId, HostId, JobId, StageId, TaskId, WorkerId
from headrace.plan.stages import StageSpec
from headrace.protocols import claims
from headrace.protocols import schedule_words as words
from headrace.sim.checkers import seen


class Attempt(Struct, eq=False):
    """A claim, from its beginning to its end.

    Attributes:
        gang: all attempts of its gang, itself included.
        end: how it ended: "done", "refused", "failed", "starved", "stopped" or "lost"; empty while it has not.
        verdict: "counts" or "discarded", once the worker was told so.
        history: what became of it, with times, for people.

    """

    id: AttemptId
    task: TaskId
    worker: WorkerId
    host: HostId
    copy: bool
    claimed_ns: int
    gang: tuple[AttemptId, ...] = ()
    end: str = ""
    verdict: str = ""
    history: list[tuple[int, str]] = field(default_factory=list)

    def describe(self) -> str:
        """Say in a line what is known of it."""
        said = ", ".join(f"{what} at {at_ns / 1e9:.3f} s" for at_ns, what in self.history)
        return f"attempt {self.id} at task {self.task} on {self.worker} ({self.host}): {said}"


class Job(Struct, eq=False):
    """An action.

    Attributes:
        ended: how, once it has.

    """

    id: JobId
    name: str
    stages: frozenset[StageId]
    result: StageId
    wanted: frozenset[int]
    task_timeout_ns: int
    ended: str = ""


class Ledger:
    """What has happened so far."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self.now_ns = now_ns
        self.jobs: dict[JobId, Job] = {}
        self.specs: dict[StageId, StageSpec] = {}
        self.attempts: dict[AttemptId, Attempt] = {}
        self.counted: set[AttemptId] = set()  # attempts whose output counted at some time
        self.lost: set[AttemptId] = set()  # attempts whose output counted and is gone since
        self.workers: dict[WorkerId, HostId] = {}
        self.dead: set[WorkerId] = set()
        self.freed: set[StageId] = set()
        self._unended: dict[WorkerId, set[AttemptId]] = {}
        self.events: dict[type, Callable[[Any, list[Any]], None]] = {
            words.JobSubmitted: self._submitted,
            words.WorkerJoined: lambda e, _: self.workers.__setitem__(e.worker, e.host),
            words.WorkerGone: lambda e, _: self._gone(e.worker),
            words.HostGone: self._host_gone,
            words.AttemptFailed: lambda e, _: self.ended(e.attempt, "failed"),
            words.AttemptStarved: self._starved,
            words.AttemptStopped: lambda e, _: self.ended(e.attempt, "stopped"),
            words.OutputCommitted: lambda e, _: self.ended(e.attempt, "done"),
            words.OutputRefused: lambda e, _: self.refused(e.attempt),
            words.ResultLost: self._result_lost,
        }
        self.effects: dict[type, Callable[[Any], None]] = {
            claims.Claimed: lambda e: self._claimed(e, ()),
            claims.GangClaimed: self._gang_claimed,
            words.FreeShuffle: lambda e: self.freed.add(e.stage),
        }
        self.last: dict[type, Callable[[Any], None]] = {  # these only when the checkers have looked at them
            words.Settle: self._settled,
            words.FinishJob: lambda e: self._job_ended(e.job, "done"),
            words.FailJob: lambda e: self._job_ended(e.job, e.kind),
        }
        self.seen: dict[type, Callable[[Any], Any]] = {
            seen.BodyBegan: lambda s: self._note(s.attempt, "began"),
            seen.BodyEnded: lambda s: self._note(s.attempt, "its body ended"),
            seen.WorkerEnded: lambda s: self.dead.add(s.worker),
        }

    # Looking.

    def task_of(self, attempt: AttemptId) -> TaskId | None:
        """Return what an attempt was at."""
        found = self.attempts.get(attempt)
        return found.task if found is not None else None

    def describe(self, attempt: AttemptId) -> str:
        """Say in a line what is known of an attempt."""
        found = self.attempts.get(attempt)
        return found.describe() if found is not None else f"attempt {attempt}: nobody ever claimed it"

    def unended(self) -> list[Attempt]:
        """List the attempts of which nothing is known but that they were claimed."""
        return [self.attempts[attempt] for some in self._unended.values() for attempt in sorted(some)]

    def open_jobs(self) -> list[Job]:
        """List the jobs that have not ended."""
        return [job for job in self.jobs.values() if not job.ended]

    # Writing.

    def _note(self, attempt: AttemptId, what: str) -> None:
        found = self.attempts.get(attempt)
        if found is not None:
            found.history.append((self.now_ns(), what))

    def _submitted(self, event: words.JobSubmitted, _: list[Any]) -> None:
        self.specs.update((spec.id, spec) for spec in event.stages)
        last = event.stages[-1]
        stages = frozenset(spec.id for spec in event.stages)
        self.jobs[event.job] = Job(
            event.job, last.name, stages, last.id, frozenset(event.wanted), event.task_timeout_ns
        )

    def _job_ended(self, job: JobId, how: str) -> None:
        self.jobs[job].ended = how

    def _gang_claimed(self, effect: claims.GangClaimed) -> None:
        for one in effect.members:
            self._claimed(one, tuple(other.attempt for other in effect.members))

    def _claimed(self, claim: claims.Claimed, gang: tuple[AttemptId, ...]) -> None:
        made = Attempt(claim.attempt, claim.task, claim.worker, claim.host, claim.copy, claim.now_ns, gang)
        made.history.append((claim.now_ns, "claimed"))
        self.attempts[claim.attempt] = made
        self._unended.setdefault(claim.worker, set()).add(claim.attempt)

    def ended(self, attempt: AttemptId, how: str) -> None:
        """An attempt is known to have ended."""
        found = self.attempts.get(attempt)
        if found is not None and not found.end:
            found.end = how
            found.history.append((self.now_ns(), how))
            self._unended[found.worker].discard(attempt)

    def refused(self, attempt: AttemptId) -> None:
        """The claim table would not have an output."""
        self.ended(attempt, "refused")

    def _gone(self, worker: WorkerId) -> None:
        self.workers.pop(worker, None)
        for attempt in sorted(self._unended.pop(worker, ())):
            found = self.attempts[attempt]
            found.end = "lost"
            found.history.append((self.now_ns(), f"lost with {worker}"))

    def _host_gone(self, event: words.HostGone, _: list[Any]) -> None:
        for attempt in [a for a in self.counted if self.attempts[a].host == event.host]:
            self._lose(attempt)

    def _starved(self, event: words.AttemptStarved, __: list[Any]) -> None:
        self.ended(event.attempt, "starved")
        for _partition, attempt in event.lost:
            self._lose(attempt)

    def _result_lost(self, event: words.ResultLost, _: list[Any]) -> None:
        self._lose(event.attempt)

    def _lose(self, attempt: AttemptId) -> None:
        """What an attempt made is lost, and with it what its gang made."""
        found = self.attempts.get(attempt)
        self.lost.add(attempt)
        self.lost.update(found.gang if found is not None else ())

    def _settled(self, effect: words.Settle) -> None:
        found = self.attempts.get(effect.attempt)
        if found is None:
            return
        verdict = "counts" if effect.kept else "discarded"
        if found.verdict != verdict:
            found.history.append((self.now_ns(), verdict))
            found.verdict = verdict
        if effect.kept:
            self.counted.add(effect.attempt)
