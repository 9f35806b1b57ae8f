"""Functions that hang: the attempt ends, or its process; it counts as a failure, and is told with what it was doing."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import headrace
from headrace.context import Context
from headrace.errors import TaskFailed, TaskTimedOut, UsageError
from tests.real.help import lines_of, until

URL = "local://?workers=2&max_failures=2&heartbeat=20ms&suspect=150ms&speculate=off&cancel_grace="


def sleeps(x: int) -> int:
    time.sleep(600)
    return x


def goes_round(x: int) -> int:
    while x == 7:
        x = 14 - x
    return x


def calls_into_c(x: int) -> int:
    return sum(range(x, 10**11))  # nobody else runs in this process meanwhile


@pytest.mark.parametrize("hang", [sleeps, goes_round, calls_into_c])
def test_it_is_ended_and_told(hang: Callable[[int], int]) -> None:
    with headrace.connect(URL + "500ms", task_timeout=0.5, progress=False) as ctx:
        numbers = ctx.range(10, num_slices=2).map(lambda x: hang(x) if x == 7 else x)
        ctx.set_task_timeout(math.inf)  # loading this module may take that long, where much else runs
        assert numbers.map_partitions(lambda numbers: [hang]).count() == 2
        ctx.set_task_timeout(None)
        with pytest.raises(TaskTimedOut) as caught:
            numbers.collect()
        assert isinstance(caught.value, TaskFailed)
        assert isinstance(caught.value, TimeoutError)
        said = str(caught.value)
        assert "task 2.1 failed 2 times" in said
        assert len(caught.value.history) == 2
        for line in caught.value.history:
            assert ", and 0.5 s is its time: " in line
            if hang is calls_into_c:
                assert "it let nobody look, as one long call into C does; killed" in line
            else:
                assert f"{os.path.basename(__file__)}:" in line
                assert f"({hang.__name__}: " in line
                assert "in map (" in line
                assert line.endswith("given 7")
        assert "task_timeout=" in said
        assert ctx.range(10).sum() == 45, "and the next one has workers"
    assert len([line for line in lines_of(ctx.run, "overdue") if line["task"] == "2.1"]) == 2
    (failed,) = lines_of(ctx.run, "job failed")
    assert failed["kind"] == "timed out"


def test_who_heeds_is_not_killed_and_the_next_attempt_counts(lair: Path) -> None:
    folder = str(lair)

    def dawdle(records: Iterator[int]) -> Iterator[int]:
        for x in records:
            if x == 0:
                try:
                    os.mkdir(f"{folder}/dawdled")
                except FileExistsError:
                    pass
                else:
                    while True:
                        time.sleep(0.01)
                        yield -1
            yield x

    with headrace.connect(URL + "60s", task_timeout=0.5, progress=False) as ctx:
        until(lambda: len([one for one in ctx.workers() if one.state == "idle"]) == 2, "both are ready")
        before = {worker.pid for worker in ctx.workers()}
        assert ctx.range(10, num_slices=4).map_partitions(dawdle).collect() == list(range(10))
        assert {worker.pid for worker in ctx.workers()} == before
    assert any(line["task"].endswith(".0") for line in lines_of(ctx.run, "overdue"))


def test_a_task_of_a_gang_that_hangs_ends_all_of_it(lair: Path) -> None:
    folder = str(lair)

    def hang_once(partition: int, records: Iterator[int]) -> Iterator[int]:
        task = headrace.BarrierTaskContext.get()
        if partition == 1:
            try:
                os.mkdir(f"{folder}/hung")
            except FileExistsError:
                pass
            else:
                time.sleep(600)
        task.barrier()
        yield sum(records)

    with headrace.connect(URL + "100ms", task_timeout=0.5, progress=False) as ctx:
        assert ctx.range(10, num_slices=2).barrier().map_partitions_with_index(hang_once).collect() == [10, 35]
    assert any("hang_once" in line["why"] for line in lines_of(ctx.run, "rerun"))


def test_jobs_of_a_thread_have_their_own_time() -> None:
    def nap(x: int) -> int:
        time.sleep(0.6)
        return x

    with headrace.connect(URL + "100ms&task_timeout=200ms", progress=False) as ctx:
        ctx.set_task_timeout(60)
        assert ctx.range(2, num_slices=2).map(nap).sum() == 1
        ctx.set_task_timeout(float("inf"))
        assert ctx.range(2, num_slices=2).map(nap).sum() == 1
        ctx.set_task_timeout(None)
        with pytest.raises(TaskTimedOut, match=r"0\.2 s is its time"):
            ctx.range(2, num_slices=2).map(nap).sum()


@pytest.mark.parametrize("wrong", [0, -1, "soon", True, float("nan")])
def test_times_that_are_none(wrong: object, inline: Context) -> None:
    with pytest.raises(UsageError, match="Give it a number"):
        inline.set_task_timeout(wrong)  # type: ignore[arg-type]
    if wrong is not True:
        with pytest.raises(UsageError, match="task_timeout="):
            headrace.connect("inline://", task_timeout=wrong)  # type: ignore[arg-type]


def test_in_a_simulated_world() -> None:
    """Time is virtual there: a record takes ten microseconds, and slow machines longer."""
    ended = []
    for seed in range(8):
        url = f"sim://?seed={seed}&faults=all&heartbeat=5ms"
        with headrace.connect(url, task_timeout=0.04, progress=False) as ctx:
            try:
                assert ctx.range(10_000, num_slices=4).map(lambda x: x % 10).sum() == 45_000
                ended.append("")
            except TaskTimedOut as error:
                ended.append(str(error))
    assert "" in ended
    assert all("0.04 s is its time" in one for one in ended if one)
    with headrace.connect("sim://?seed=1&heartbeat=5ms", task_timeout=0.01, progress=False) as ctx:
        made = ctx.range(40_000, num_slices=4).map(lambda x: x % 10)
        with pytest.raises(TaskTimedOut, match=r"0\.01 s is its time: in map \("):
            made.sum()
