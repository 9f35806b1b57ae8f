"""A watcher that keeps what jobs, stages and tasks took: the profile of the run.

It sees every step of the program's loop, so it does little at each: a task is one append.  What is held of a stage is
bounded; a profile is written some thousand tasks at a time, and when a job ends.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable
from typing import Any

from headrace.ids import AttemptId, JobId, StageId, TaskId, WorkerId
from headrace.plan.profile import (
    FIELDS,
    FORMAT,
    Begun,
    Ended,
    Joined,
    Line,
    Replanned,
    Submitted,
    Tasks,
    Wasted,
    differences,
    narrow,
)
from headrace.protocols import claims, membership
from headrace.protocols import schedule_words as words

HELD = 10_000  # tasks of a stage that are written together
WIDTH = 1 + len(FIELDS)
NO_PHASES = (0, 0, 0, 0)


class _Rows:
    """Tasks of one stage that are not written yet, row by row."""

    __slots__ = ("cached", "numbers", "wasted", "wasted_ns")

    def __init__(self) -> None:
        self.numbers = array("q")
        self.cached: dict[int, tuple[tuple[int, int], ...]] = {}
        self.wasted = self.wasted_ns = 0


class Profiler:
    """Watches one run.

    Args:
        tell: is given lines to write.

    """

    def __init__(self, tell: Callable[..., None]) -> None:
        self._tell = tell
        self._rows: dict[StageId, _Rows] = {}
        self._launched: dict[WorkerId, int] = {}
        self._heard: dict[AttemptId, int] = {}  # how long attempts had run when they last said so
        self._early: list[Line] | None = []  # before the run had a name
        self._now_ns: Callable[[], int] = lambda: 0

    def begin(self, begun: Begun, now_ns: Callable[[], int]) -> None:
        """The run has a name, and its profile a place."""
        self._now_ns = now_ns
        assert begun.format == FORMAT
        early, self._early = self._early or [], None
        self._tell(begun, *early)

    def close(self) -> None:
        """The run has ended."""
        self._flush()

    def _say(self, *lines: Line) -> None:
        if self._early is not None:
            self._early += lines
        else:
            self._tell(*lines)

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        """See one step."""
        if machine == "claims":
            if type(event) is claims.CommitAsked:
                for effect in effects:
                    if type(effect) is claims.Committed:
                        self._committed(effect)
                    elif type(effect) is claims.Refused:
                        self._waste(event.task, effect.attempt, event.ran_ns)
        elif machine == "schedule":
            self._schedule(event, effects)
        elif machine == "membership":
            self._membership(event, effects)

    def _committed(self, e: claims.Committed) -> None:
        task, output = e.task, e.output
        rows = self._rows.get(task.stage)
        if rows is None:
            rows = self._rows[task.stage] = _Rows()
        fetch, _, write, commit = output.spent or NO_PHASES
        rows.numbers.extend(
            (
                task.partition,
                e.ran_ns,
                output.records,
                output.read_bytes,
                output.written_bytes,
                output.result_bytes,
                fetch,
                write,
                commit,
            )
        )
        if output.cached:
            rows.cached[task.partition] = output.cached
        if self._heard:
            self._heard.pop(e.attempt, None)
        if len(rows.numbers) >= HELD * WIDTH:
            self._flush()

    def _loop_ns(self) -> int:
        """Return the processor time of this thread, if that is the loop's alone."""
        return time.thread_time_ns() if threading.current_thread() is not threading.main_thread() else 0

    def _waste(self, task: TaskId, attempt: AttemptId, ran_ns: int | None = None) -> None:
        heard = self._heard.pop(attempt, 0)
        rows = self._rows.setdefault(task.stage, _Rows())
        rows.wasted += 1
        rows.wasted_ns += heard if ran_ns is None else ran_ns

    def _schedule(self, event: Any, effects: list[Any]) -> None:
        kind = type(event)
        if kind is words.AttemptProgressed:
            self._heard[event.attempt] = event.ran_ns
        elif kind is words.JobSubmitted:
            name, partitions = event.stages[-1].name, event.stages[-1].partitions
            wanted = None if event.wanted == tuple(range(partitions)) else event.wanted
            self._say(Submitted(event.job, name, event.now_ns, event.stages, wanted, self._loop_ns()))
        elif kind is words.StagesReplanned and event.stages:
            self._say(Replanned(event.stages, self._now_ns()))
        for effect in effects:
            what = type(effect)
            if what is words.FinishJob:
                self._end(effect.job, "done")
            elif what is words.FailJob:
                self._end(effect.job, effect.kind)
            elif what is words.Cancel and kind is words.OutputCommitted:  # another attempt at the same task
                self._waste(event.task, effect.attempt)
            elif what is words.Note and effect.what in ("rerun", "attempt lost", "starved") and effect.task is not None:
                self._waste(effect.task, effect.attempt)

    def _end(self, job: JobId, state: str) -> None:
        self._flush()
        self._say(Ended(job, state, self._now_ns(), self._loop_ns()))

    def _membership(self, event: Any, effects: list[Any]) -> None:
        for effect in effects:
            if isinstance(effect, membership.Launch):
                self._launched[effect.worker] = event.now_ns
            elif isinstance(effect, membership.Welcome):
                launched = self._launched.pop(effect.worker, event.now_ns)
                self._say(Joined(effect.worker, effect.host, launched, event.now_ns))

    def _flush(self) -> None:
        rows, self._rows = self._rows, {}
        self._say(*(line for stage, held in rows.items() for line in _lines(stage, held)))


def _lines(stage: StageId, rows: _Rows) -> list[Line]:
    lines: list[Line] = []
    partitions, *columns = (rows.numbers[i::WIDTH].tolist() for i in range(WIDTH))
    if partitions:
        values = dict(zip(FIELDS, map(narrow, columns), strict=True))
        lines.append(Tasks(stage, narrow(differences(partitions)), len(partitions), cached=rows.cached, **values))
    if rows.wasted:
        lines.append(Wasted(stage, rows.wasted, rows.wasted_ns))
    return lines
