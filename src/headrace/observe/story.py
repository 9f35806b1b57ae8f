"""The story of a run: what was lost, run again, copied, and why, as JSON lines for people and tests.

Each line is an object with `t`, seconds since the run began, and `what`; the other fields depend on it and are listed in
docs/story.md.  The story tells what is worth telling and no more; it is not what a run could be rebuilt from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from headrace.errors import PromiseBroken
from headrace.ids import AttemptId, StageId, TaskId
from headrace.protocols import claims, membership
from headrace.protocols import schedule_words as words

Line = dict[str, Any]


class _StageTally(Struct):
    name: str
    partitions: int
    committed: set[int] = field(default_factory=set)
    began: bool = False


class Verified(Struct, frozen=True):
    """What is known of the tasks of a job that were drawn, to be run again.

    Attributes:
        same: do the same again.
        skipped: were not run again, or in vain: how many, by the reason.
        unknown: values that could not be compared, by the name of their type.
        differs: a task that does not do the same, and in which operator; empty if none was found.

    """

    job: int
    same: int
    skipped: dict[str, int]
    unknown: dict[str, int]
    differs: str = ""


class Story:
    """A watcher that tells what happens.

    Args:
        tell: is given each line.

    """

    def __init__(self, tell: Callable[[Line], None]) -> None:
        self._tell = tell
        self._now_ns: Callable[[], int] | None = None
        self._began_ns = 0
        self._stages: dict[StageId, _StageTally] = {}
        self._tasks: dict[AttemptId, TaskId] = {}
        self._jobs: dict[int, str] = {}
        self._held: dict[str, list[AttemptId]] = {}  # by worker, in the order of their claims
        self._closing = False
        self.totals: dict[str, int] = dict.fromkeys(
            ("attempts", "committed", "failed", "lost", "copies", "starved", "workers lost", "hosts lost"), 0
        )

    def set_clock(self, now_ns: Callable[[], int]) -> None:
        """Count time from now on, by the run's own clock."""
        self._now_ns, self._began_ns = now_ns, now_ns()

    def line(self, what: str, **fields: Any) -> None:
        """Tell one thing."""
        now_ns = self._now_ns() - self._began_ns if self._now_ns is not None else 0
        self._tell({"t": round(now_ns / 1e9, 6), "what": what, **fields})

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        """See one step."""
        if machine == "schedule":
            self._schedule(event, effects)
        elif machine == "membership":
            self._closing = self._closing or isinstance(event, membership.Closing)
            for effect in effects:
                self._membership(effect)
        elif machine == "verify":
            self._verified(event)
        elif machine == "claims":
            for effect in effects:
                if isinstance(effect, claims.Claimed):
                    self._claimed(effect)
                elif isinstance(effect, claims.GangClaimed):
                    for claim in effect.members:
                        self._claimed(claim)
        elif machine == "world":
            self._happened(event)

    def _happened(self, news: Any) -> None:
        """Something befell a simulated world."""
        fault = getattr(news, "fault", None)
        if fault is not None:
            held = [attempt for attempt in self._held.get(news.victim, ()) if attempt in self._tasks]
            at = {"attempt": held[0], "task": str(self._tasks[held[0]])} if held and news.during != "idle" else {}
            told = {"form": fault.form, "during": news.during, "for": fault.for_ns / 1e9, "strength": fault.strength}
            some = {name: value for name, value in told.items() if value}
            self.line("disaster", kind=fault.kind, victim=news.victim, **some, **at)
        elif isinstance(news, PromiseBroken):
            self.line("promise broken", promise=news.promise, evidence=list(news.evidence))
        else:
            self.line("world healed")

    def _verified(self, news: Verified) -> None:
        told = {"skipped": news.skipped, "not compared": news.unknown, "differs": news.differs}
        self.line("verified", job=news.job, same=news.same, **{name: what for name, what in told.items() if what})

    def _claimed(self, claim: claims.Claimed) -> None:
        self.totals["attempts"] += 1
        self._tasks[claim.attempt] = claim.task
        held = [attempt for attempt in self._held.get(claim.worker, ()) if attempt in self._tasks]
        self._held[claim.worker] = [*held, claim.attempt]
        tally = self._stages.get(claim.task.stage)
        if tally is not None and not tally.began:
            tally.began = True
            self.line("stage begun", stage=claim.task.stage, name=tally.name, tasks=tally.partitions)
        if claim.copy:
            self.totals["copies"] += 1
            self.line("copy begun", task=str(claim.task), attempt=claim.attempt, worker=claim.worker)

    def _schedule(self, event: Any, effects: list[Any]) -> None:
        if isinstance(event, words.JobSubmitted):
            for spec in event.stages:
                self._stages.setdefault(spec.id, _StageTally(spec.name, spec.partitions))
            name = event.stages[-1].name
            self._jobs[event.job] = name
            self.line("job begun", job=event.job, name=name, partitions=len(event.wanted))
        elif isinstance(event, words.OutputCommitted):
            for attempt in _dealt_with(event, effects):
                self._committed(attempt, self._tasks.get(attempt, event.task))
        elif isinstance(event, words.HostGone):
            self.totals["hosts lost"] += 1
            self.line("host lost", host=event.host)
        for effect in effects:
            self._asked(effect)
        for kind, _ in {(effect.kind, effect.task) for effect in effects if isinstance(effect, words.FailJob)}:
            if kind in ("failed", "lost"):  # the attempt that was one too many
                self.totals[kind] += 1

    def _committed(self, attempt: AttemptId, task: TaskId) -> None:
        self.totals["committed"] += 1
        self._tasks.pop(attempt, None)
        tally = self._stages.get(task.stage)
        if tally is not None:
            again = task.partition in tally.committed
            tally.committed.add(task.partition)
            if again:
                self.line("task done again", task=str(task), attempt=attempt)
            elif len(tally.committed) == tally.partitions:
                self.line("stage done", stage=task.stage, name=tally.name)

    def _asked(self, effect: Any) -> None:
        match effect:
            case words.Note(what=what, task=task, attempt=attempt, why=why):
                for note, total in (("rerun", "failed"), ("attempt lost", "lost"), ("starved", "starved")):
                    self.totals[total] += what == note
                told = {"task": str(task)} if task is not None else {}
                self.line(what, **told, **({"attempt": attempt} if attempt is not None else {}), why=why)
            case words.FinishJob(job=job):
                self.line("job done", job=job, name=self._jobs.pop(job, ""))
            case words.FailJob(job=job, kind=kind, why=why, history=history):
                self.line(
                    "job failed", job=job, name=self._jobs.pop(job, ""), kind=kind, why=why, history=list(history)
                )
            case words.Settle(attempt=attempt):
                self._tasks.pop(attempt, None)
            case words.EndStage(stage=stage):
                self._stages.pop(stage, None)
                for lost in [attempt for attempt, task in self._tasks.items() if task.stage == stage]:
                    del self._tasks[lost]
            case words.Stalled(silent_ns=silent, waits=waits):
                self.line("stalled", silent=silent / 1e9, waits=list(waits))
            case words.KillWorker(worker=worker, because=why):
                self.line("worker to be killed", worker=worker, why=why)
            case _:
                pass  # not worth telling

    def _membership(self, effect: Any) -> None:
        match effect:
            case membership.Welcome(worker=worker, host=host):
                self.line("worker ready", worker=worker, host=host)
            case membership.Suspect(worker=worker, silent_ns=silent):
                self.line("worker suspected", worker=worker, silent=silent / 1e9)
            case membership.Trust(worker=worker):
                self.line("worker trusted again", worker=worker)
            case membership.Bury(worker=worker):
                self._held.pop(worker, None)
                self._buried(effect)
            case membership.GiveUp(why=why):
                self.line("no workers", why=why)
            case _:
                pass  # not worth telling

    def _buried(self, effect: membership.Bury) -> None:
        if self._closing:
            self.line("worker left", worker=effect.worker, host=effect.host, how=effect.how)
            return
        attempt = effect.culprit or effect.victim
        task = self._tasks.get(attempt) if attempt is not None else None
        self.totals["workers lost"] += 1
        self.line(
            "worker lost",
            worker=effect.worker,
            host=effect.host,
            how=effect.how,
            phase=effect.phase if attempt is not None else "between",
            **({"attempt": attempt} if attempt is not None else {}),
            **({"task": str(task)} if task is not None else {}),
        )


def _dealt_with(event: words.OutputCommitted, effects: list[Any]) -> list[AttemptId]:
    """List the attempts whose outputs are dealt with at this commit: its own, or when the last of a gang commits, all."""
    settled = {effect.attempt: effect.kept for effect in effects if isinstance(effect, words.Settle)}
    others = [attempt for attempt, kept in settled.items() if kept and attempt != event.attempt]
    return [event.attempt, *others] if event.attempt in settled else others
