"""What the loss of a worker costs."""

from __future__ import annotations

import operator
import os
import signal
import time
from typing import Any

import headrace
from bench.data import Library
from bench.timing import Report, middle
from headrace.protocols import schedule_words as words

ALLOWED_S = 0.5  # beside what was running


class HalfWay:
    """A watcher that kills a worker when half of the map tasks are done, and notes how long its attempt had run."""

    def __init__(self) -> None:
        self.context: headrace.Context | None = None
        self.tasks = 0
        self.done = 0
        self.began: dict[Any, float] = {}
        self.lost = 0.0
        self.victim: int | None = None

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        """See one step."""
        if isinstance(event, words.JobSubmitted):
            self.tasks = event.stages[0].partitions
        elif isinstance(event, words.AttemptClaimed):
            self.began[event.attempt] = time.perf_counter()
        elif isinstance(event, words.OutputCommitted):
            self.done += 1
            if self.victim is None and self.done >= self.tasks / 2 and self.context is not None:
                self._strike()
        for effect in effects:
            if isinstance(effect, words.Note) and effect.what == "attempt lost":
                self.lost = time.perf_counter() - self.began[effect.attempt]

    def _strike(self) -> None:
        assert self.context is not None
        for worker in self.context.workers():
            if worker.state == "running":
                self.victim = worker.pid
                os.kill(worker.pid, signal.SIGKILL)
                return


def measure(library: Library, report: Report, rounds: int) -> None:
    """Compare the job with and without a kill at half time."""
    right = library.expected()
    costs = []
    for _ in range(rounds):
        whole = timed(library, right, [])
        half_way = HalfWay()
        harmed = timed(library, right, [half_way])
        assert half_way.victim is not None, "nobody was killed"
        costs.append(harmed - whole - half_way.lost)
    report.row(
        "cost of one kill at half time, beside the running attempt", middle(costs), "s", reach=ALLOWED_S, at_most=True
    )


def timed(library: Library, right: dict[str, int], watchers: list[Any]) -> float:
    """Time the job on warm workers; its result is checked."""
    with headrace.connect("local://?workers=2", progress=False, watchers=watchers) as ctx:
        ctx.parallelize([1, 2], 2).count()
        for watcher in watchers:
            watcher.context, watcher.done = ctx, 0
        counts = ctx.text_file(library.all).flat_map(str.split).map(lambda word: (word, 1)).reduce_by_key(operator.add)
        began = time.perf_counter()
        found = counts.collect_as_map()
        took = time.perf_counter() - began
    assert found == right
    return took
