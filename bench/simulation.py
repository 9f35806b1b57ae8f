"""How fast simulated worlds are: events a second, and seeds a second of a small job with disasters."""

from __future__ import annotations

import contextlib
import operator
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import headrace
from bench.data import Library
from bench.timing import Report, middle
from headrace.context import Context
from headrace.errors import JobFailed

WORKERS, TASKS = 200, 5_000
SEEDS = 100  # of the small job, for each round
SMALL_BYTES = 60_000
CORES = 2


class Steps:
    """Counts the steps of all machines of a world: its control events."""

    def __init__(self, ctx: Context) -> None:
        session: Any = ctx._session
        self.number = 0
        self._world = session.world
        loops = [session.controller.loop, *(process.loop.loop for process in session.place.processes.values())]
        for loop in loops:
            loop.watchers.append(self)

    def __call__(self, machine: str, event: object, effects: list[object]) -> None:
        self.number += 1


def burst(url: str, tasks: int) -> tuple[float, int, int]:
    """Run tasks that compute nothing; return processor seconds, control events and events of the heap."""
    with headrace.connect(url, progress=False) as ctx:
        session: Any = ctx._session
        ctx.range(8).count()
        session.wait_until(session.controller.ports.gate.flag(), session.now_ns() + 10**9)  # all workers are there
        steps, events = Steps(ctx), session.world.events
        began = time.process_time()
        pairs = ctx.range(tasks, num_slices=tasks).map(lambda x: (x % 7, 1))
        assert len(pairs.reduce_by_key(operator.add, num_partitions=4).collect()) == 7
        return time.process_time() - began, steps.number, session.world.events - events


def seeds(path: str, first: int, stop: int) -> int:
    """Count the words of a small text under some seeds of disaster; return how many."""
    expected: dict[str, int] = {}
    for word in Path(path).read_text(encoding="utf-8").split():
        expected[word] = expected.get(word, 0) + 1
    for seed in range(first, stop):
        with headrace.connect(f"sim://?workers=4&hosts=2&seed={seed}&faults=all&split=16k", progress=False) as ctx:
            words = ctx.text_file(path).flat_map(str.split).map(lambda word: (word, 1))
            with contextlib.suppress(JobFailed):  # a disaster may be too much for two hosts
                assert words.reduce_by_key(operator.add, num_partitions=4).collect_as_map() == expected, seed
    return stop - first


def measure(library: Library, report: Report, rounds: int) -> None:
    """Measure one process first, then the seeds of a small word count on two."""
    os.environ.setdefault("HEADRACE_STORIES", tempfile.mkdtemp(prefix="headrace-bench-"))
    for what, url in (
        ("greenlets", f"sim://?workers={WORKERS}&seed=1&check=off"),
        ("with checkers", f"sim://?workers={WORKERS}&seed=1"),
        ("threads", f"sim://?workers={WORKERS}&seed=1&check=off&bodies=threads"),
    ):
        bursts = [burst(url, TASKS) for _ in range(max(2, rounds // 2))]
        seconds, (_, steps, events) = middle([one[0] for one in bursts]), bursts[0]
        reach = 100_000 if what == "greenlets" else None
        report.row(f"{TASKS:,} tasks, {WORKERS} workers, {what}: control events", steps / seconds, "/s", reach=reach)
        report.row("  events of the heap", events / seconds, "/s")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/text.txt"
        Path(path).write_bytes(Path(library.files[0]).read_bytes()[:SMALL_BYTES].rsplit(b"\n", 1)[0] + b"\n")
        with ProcessPoolExecutor(CORES, mp_context=get_context("spawn")) as pool:
            list(pool.map(seeds, [path] * CORES, [0] * CORES, [1] * CORES))  # both have started
            began = time.perf_counter()
            share = SEEDS // CORES
            done = sum(
                pool.map(
                    seeds, [path] * CORES, [i * share for i in range(CORES)], [(i + 1) * share for i in range(CORES)]
                )
            )
            rate = done / (time.perf_counter() - began)
    report.row(f"a word count with faults=all on {CORES} cores: seeds", rate, "/s")
    report.row("  1,000 of them", 1000 / rate, "s", reach=120, at_most=True)
