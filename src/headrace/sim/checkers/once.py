"""Promise: each partition, each contribution to an accumulator and each part of an output counts exactly once."""

from __future__ import annotations

from typing import Any

from headrace.ids import AttemptId, JobId, TaskId
from headrace.protocols import schedule_words as words
from headrace.sim.checkers import seen
from headrace.sim.checkers.checker import Checker
from headrace.sim.checkers.ledger import Ledger

PART = "/part-"


class Once(Checker):
    """Counts what counts.

    A map output may be made again when the one that counted is lost; a result again only when it was lost on its way.
    """

    promise = "each partition, accumulator update and output counts exactly once"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._counting: dict[TaskId, AttemptId] = {}  # whose output it is
        self._delivered: dict[tuple[JobId, TaskId], AttemptId] = {}
        self._added: dict[tuple[JobId, TaskId], AttemptId] = {}
        self._adds: set[AttemptId] = set()  # attempts that brought contributions to accumulators
        self._placed: dict[str, str] = {}  # parts of outputs, and where they came from
        self._marked: dict[str, JobId] = {}  # folders said to be whole, and whose parts they had then
        self.events = {words.OutputCommitted: self._committed}
        self.effects = {
            words.Settle: self._settled,
            words.Deliver: self._deliver,
            words.CountUpdates: self._add,
            words.FinishJob: self._finished,
        }
        self.seen = {seen.Renamed: self._renamed, seen.Created: self._created}

    def _committed(self, event: words.OutputCommitted, effects: list[Any]) -> None:
        """What is used of an attempt must be settled as counting, in the same step at the latest."""
        if event.output.updates:
            self._adds.add(event.attempt)
        for effect in effects:
            if not isinstance(effect, words.Deliver | words.CountUpdates):
                continue
            kept = any(isinstance(e, words.Settle) and e.kept and e.attempt == effect.attempt for e in effects)
            if not kept and self.ledger.attempts[effect.attempt].verdict != "counts":
                self.broken(f"{effect} uses the output of an attempt that does not count", effect.attempt)

    def _settled(self, effect: words.Settle) -> None:
        attempt = self.ledger.attempts.get(effect.attempt)
        if attempt is None:
            self.broken(f"{effect} is about an attempt that nobody claimed", effect.attempt)
        if not effect.kept:
            if attempt.verdict == "counts" and attempt.id not in self.ledger.lost and not self._is_over(attempt.task):
                self.broken(f"the output of attempt {attempt.id} is to be discarded, and it counts", attempt.id)
            return
        if attempt.verdict == "counts":
            return  # said again
        if attempt.verdict == "discarded":
            self.broken(f"the output of attempt {attempt.id} counts, and it was discarded", attempt.id)
        if attempt.end not in ("done", ""):
            self.broken(f"the output of attempt {attempt.id} counts, which did not end well", attempt.id)
        before = self._counting.get(attempt.task)
        if before is not None and before not in self.ledger.lost:
            self.broken(f"task {attempt.task} counts twice, and nothing of it was lost", before, attempt.id)
        self._counting[attempt.task] = attempt.id
        if attempt.id in self._adds:
            self._must_be_added(attempt.id, attempt.task)

    def _is_over(self, task: TaskId) -> bool:
        return task.stage in self.ledger.freed or not any(task.stage in j.stages for j in self.ledger.open_jobs())

    def _must_be_added(self, attempt: AttemptId, task: TaskId) -> None:
        waiting = [job for job in self.ledger.open_jobs() if task.stage in job.stages]
        if waiting and not any((job.id, task) in self._added for job in waiting):
            self.broken(f"what attempt {attempt} added to accumulators was not counted", attempt)

    def _deliver(self, effect: words.Deliver) -> None:
        key = (effect.job, effect.task)
        job = self.ledger.jobs[effect.job]
        if effect.task.stage != job.result or effect.task.partition not in job.wanted:
            self.broken(f"job {job.id} is given task {effect.task}, for which it did not ask", effect.attempt)
        before = self._delivered.get(key)
        if before is not None and before not in self.ledger.lost:
            self.broken(f"partition {effect.task.partition} of job {job.id} is delivered twice", before, effect.attempt)
        self._delivered[key] = effect.attempt

    def _add(self, effect: words.CountUpdates) -> None:
        task = self.ledger.task_of(effect.attempt)
        if task is None or effect.attempt not in self._adds:
            self.broken(f"attempt {effect.attempt} brought nothing for accumulators", effect.attempt)
        before = self._added.get((effect.job, task))
        if before is not None:
            self.broken(f"job {effect.job} adds up what task {task} brought twice", before, effect.attempt)
        self._added[effect.job, task] = effect.attempt

    def _finished(self, effect: words.FinishJob) -> None:
        job = self.ledger.jobs[effect.job]
        lacking = [p for p in sorted(job.wanted) if (job.id, TaskId(job.result, p)) not in self._delivered]
        if lacking:
            self.broken(f"job {job.id} is done, and has not got partitions {lacking[:8]}")

    # Parts of an output: renamed by the program from where an attempt wrote them, `<job>/<attempt>/part-...`.

    def _renamed(self, renamed: seen.Renamed) -> None:
        if PART not in renamed.new or PART not in renamed.old:
            return
        _, job, number, part = renamed.old.rsplit("/", 3)
        if not job.isdigit() or not number.isdigit():
            return
        attempt = AttemptId(int(number))
        found = self.ledger.attempts.get(attempt)
        if found is None or attempt not in self.ledger.counted:
            self.broken(f"{renamed.new} is what an attempt wrote that does not count", attempt)
        if f"part-{found.task.partition:05d}" != part.partition(".")[0]:
            self.broken(f"{renamed.new} is another partition's: {found.task}", attempt)
        key = f"{job} {renamed.new}"
        if key in self._placed:
            self.broken(f"{renamed.new} is put into place twice: from {self._placed[key]}, then {renamed.old}", attempt)
        if self._delivered.get((JobId(int(job)), found.task)) != attempt:
            self.broken(f"{renamed.new} is not from the attempt whose result counts", attempt)
        self._placed[key] = renamed.old

    def _created(self, created: seen.Created) -> None:
        """The mark that an output is whole."""
        folder, _, name = created.path.rpartition("/")
        if name != "_SUCCESS":
            return
        placed = [key.partition(" ") for key in self._placed if key.partition(" ")[2].rpartition("/")[0] == folder]
        newest = JobId(max((int(job) for job, _, _ in placed), default=0))
        if self._marked.get(folder, JobId(0)) == newest:
            self.broken(f"{folder} is said to be whole, and nothing was put into place before")
        self._marked[folder] = newest
        job = self.ledger.jobs.get(newest)
        found = sum(int(number) == (job.id if job else 0) for number, _, _ in placed)
        if job is not None and found < len(job.wanted):
            self.broken(f"{folder} is said to be whole, and has {found} of {len(job.wanted)} parts")
