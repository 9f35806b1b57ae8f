"""The latest jobs of a run, for who asks: what they were called, how they went, how long they took."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from headrace.ids import JobId
from headrace.protocols import schedule_words as words

KEPT = 20


class JobLine(Struct):
    """A job.

    Attributes:
        state: "running", "done", or how it failed.
        began_ns, ended_ns: by the run's clock.

    """

    name: str
    partitions: int
    state: str
    began_ns: int
    ended_ns: int | None = None


class Ledger:
    """A watcher that remembers the latest jobs."""

    def __init__(self) -> None:
        self.jobs: OrderedDict[JobId, JobLine] = OrderedDict()
        self.now_ns: Callable[[], int] = lambda: 0

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        """See one step."""
        if machine != "schedule":
            return
        if isinstance(event, words.JobSubmitted):
            self.jobs[event.job] = JobLine(event.stages[-1].name, len(event.wanted), "running", self.now_ns())
            while len(self.jobs) > KEPT:
                self.jobs.popitem(last=False)
        for effect in effects:
            if isinstance(effect, words.FinishJob):
                self._end(effect.job, "done")
            elif isinstance(effect, words.FailJob):
                self._end(effect.job, effect.kind)

    def _end(self, job: JobId, state: str) -> None:
        line = self.jobs.get(job)
        if line is not None:
            line.state, line.ended_ns = state, self.now_ns()

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Return a row for each job: number, action, partitions, state, seconds."""
        now = self.now_ns()
        return [
            (
                str(job),
                line.name,
                str(line.partitions),
                line.state,
                f"{((line.ended_ns if line.ended_ns is not None else now) - line.began_ns) / 1e9:.2f} s",
            )
            for job, line in list(self.jobs.items())
        ]
