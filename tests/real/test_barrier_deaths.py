"""Workers and hosts that really die while the tasks of a stage wait for each other."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import headrace
from headrace import BarrierTaskContext, testing
from headrace.errors import JobCancelled
from tests.dataset.test_barriers import Generation, Rounds, model
from tests.real.help import lines_of, until
from tests.real.test_silence import Job


def once(path: str) -> bool:
    """Whether this is the first to come here, of all processes."""
    try:
        os.mkdir(path)
    except FileExistsError:
        return False
    return True


@pytest.mark.parametrize("where", ["before the others come", "while the others wait", "when all others have ended"])
def test_one_dies_and_all_begin_anew(where: str, lair: Path) -> None:
    folder = str(lair)

    class DiesOnce(Rounds):
        def __call__(self, partition: int, records: Iterable[int]) -> Iterator[tuple[int, int]]:
            task = BarrierTaskContext.get()
            task.barrier()
            if partition == 1 and once(f"{folder}/died"):
                while where == "while the others wait" and len(os.listdir(folder)) < 3:
                    time.sleep(0.002)
                if where == "when all others have ended":
                    yield from super().__call__(partition, records)
                    until(lambda: len(os.listdir(folder)) == 3, "the others have ended")
                os.kill(os.getpid(), signal.SIGKILL)
            if where == "while the others wait":
                Path(f"{folder}/waits{partition}").touch()
            yield from super().__call__(partition, records)
            if where == "when all others have ended":
                Path(f"{folder}/ended{partition}").touch()

    parts = [list(range(place, 30, 3)) for place in range(3)]
    with headrace.connect("local://?workers=3", progress=False) as ctx:
        made = ctx.parallelize(parts, 3).flat_map(lambda part: part)
        states = made.barrier().map_partitions_with_index(DiesOnce(3))
        counted = states.map(lambda pair: (pair[0] % 2, pair[1])).reduce_by_key(lambda a, b: a + b)
        expected = dict(model(parts, 3))
        assert sorted(counted.collect()) == [(0, expected[0] + expected[2]), (1, expected[1])]
    (lost,) = lines_of(ctx.run, "worker lost")
    assert "was ended by SIGKILL" in lost["how"]
    assert len(lines_of(ctx.run, "attempt lost")) == 1, "the others were called off, and that is not counted"
    assert not lines_of(ctx.run, "rerun")


def test_what_a_lost_host_had_of_it_is_made_again_with_the_rest() -> None:
    with headrace.connect("local://?workers=4&hosts=2&speculate=no", progress=False) as ctx:
        until(lambda: len([one for one in ctx.workers() if one.state == "idle"]) == 4, "all are ready")
        made = ctx.range(12, num_slices=4).barrier().map_partitions(Generation())
        counted = made.map(lambda told: (told, 1)).reduce_by_key(lambda a, b: a + b)
        ((first, count),) = counted.collect()
        assert count == 12
        testing.kill_host(ctx, ctx.workers()[0].host)
        ((second, count),) = counted.map(lambda pair: pair).collect()
        assert count == 12
        assert not set(first) & set(second), "all four were made anew"


def test_two_that_need_all_workers_run_one_after_the_other() -> None:
    def meet_often(records: Iterable[int]) -> list[int]:
        task = BarrierTaskContext.get()
        for _ in range(20):
            task.barrier()
        return [len(task.all_gather())]

    with headrace.connect("local://?workers=2", progress=False) as ctx:
        small = ctx.range(200, num_slices=50).map(lambda x: x + 1)
        gangs = [ctx.range(4, num_slices=2).barrier().map_partitions(meet_often) for _ in range(4)]
        futures = [ctx.submit(one.collect) for gang in gangs for one in (gang, small)]
        results = [future.result() for future in futures]
    assert results == [[2, 2], list(range(1, 201))] * 4


def test_cancelled_tasks_stop_waiting_and_their_workers_live_on(lair: Path) -> None:
    folder = str(lair)

    def wait_apart(partition: int, records: Iterable[int]) -> Iterable[int]:
        Path(f"{folder}/{partition}").touch()
        if partition == 0:
            BarrierTaskContext.get().barrier()
        while not os.path.exists(f"{folder}/go"):
            time.sleep(0.002)
        return records

    with headrace.connect("local://?workers=2&stall=100ms&heartbeat=50ms&cancel_grace=60s", progress=False) as ctx:
        job = Job(lambda: ctx.range(2, num_slices=2).barrier().map_partitions_with_index(wait_apart).count())
        until(lambda: len(os.listdir(folder)) == 2, "both run")
        before = {worker.pid for worker in ctx.workers()}
        told = until(
            lambda: [line for line in lines_of(ctx.run, "stalled") if "wait at barrier" in str(line)], "it is told"
        )
        assert any("1 tasks wait at barrier 1 for" in wait for wait in told[0]["waits"])
        ctx.cancel_all_jobs()
        Path(f"{folder}/go").touch()
        with pytest.raises(JobCancelled):
            job.end()
        assert ctx.range(2, num_slices=2).barrier().map_partitions(lambda xs: xs).collect() == [0, 1]
        assert {worker.pid for worker in ctx.workers()} == before
