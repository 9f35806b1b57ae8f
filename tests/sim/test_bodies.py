"""Bodies on greenlets and on threads: the same runs, whatever user code does on its stack."""

from __future__ import annotations

import asyncio
import operator
import os
import queue
import threading
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace.config import MS
from headrace.context import Context
from headrace.errors import TaskFailed, UsageError
from headrace.plan.stages import RecordsSink
from headrace.sim import bodies
from headrace.sim.faults import Fault, FaultPlan, write_plan

KINDS = ("greenlets", "threads")
kinds = pytest.mark.parametrize("kind", KINDS)
RECORDS = 3000  # in a partition: several chunks
opened: list[int] = []
ended: list[int] = []
mine: ContextVar[int] = ContextVar("mine")


def connect(kind: str, more: str = "") -> Context:
    return headrace.connect(f"sim://?workers=4&hosts=2&seed=5&bodies={kind}{more}", progress=False)


def job(ctx: Context) -> dict[int, int]:
    pairs = ctx.range(4000, num_slices=12).map(lambda x: (x % 31, x))
    return pairs.reduce_by_key(operator.add, num_partitions=5).collect_as_map()


def trace(ctx: Context) -> object:
    return ctx._session.summary()["trace"]


def test_the_same_seeds_have_the_same_traces_on_both() -> None:
    for seed in range(8):
        traces = []
        for kind in KINDS:
            with headrace.connect(
                f"sim://?workers=6&hosts=3&faults=processes,network,host,corrupt&seed={seed}&bodies={kind}",
                progress=False,
            ) as ctx:
                assert job(ctx)[7] == sum(range(7, 4000, 31))
            traces.append(trace(ctx))
        assert traces[0] == traces[1], f"seed {seed}"


def test_worlds_side_by_side_do_not_touch_each_other() -> None:
    with connect("greenlets") as alone:
        job(alone), job(alone)
    with connect("greenlets") as one, connect("threads") as other, connect("greenlets") as third:
        for ctx in (one, other, third, other, third, one):
            job(ctx)
    assert trace(one) == trace(other) == trace(third) == trace(alone)


def crashing(folder: Path) -> str:
    path = folder / "plan.json"
    path.write_bytes(write_plan(FaultPlan(tuple(Fault("crash", (80 + 25 * i) * MS, i) for i in range(6)))))
    return f"&plan={path}"


def noted(index: int, records: Iterable[int]) -> Iterator[int]:
    opened.append(index)
    try:
        yield from records
    finally:
        ended.append(index)


@kinds
def test_a_crash_and_the_end_unwind_what_is_running(kind: str, tmp_path: Path) -> None:
    opened.clear()
    ended.clear()
    with connect(kind, crashing(tmp_path)) as ctx:
        total = ctx.range(16 * RECORDS, num_slices=16).map_partitions_with_index(noted)
        assert total.count() == 16 * RECORDS
        assert "crash during compute" in ctx._session.summary()["faults hit"]
        assert sorted(opened) == sorted(ended)
        assert len(opened) > 16, "what was running then ran again"
        handle = ctx._engine.start(total._operator, RecordsSink(), "collect")
        before = len(opened)
        while len(opened) == before:
            ctx._session.wait_until(handle.ended, ctx._session.now_ns() + 1_000_000)
        assert len(opened) > len(ended)
    assert sorted(opened) == sorted(ended)


def stubborn(records: Iterable[int]) -> Iterator[int]:
    while True:
        try:
            yield from records
        except Exception:
            raise
        except BaseException:
            continue
        return


@kinds
def test_code_that_swallows_everything_is_unwound_all_the_same(kind: str, tmp_path: Path) -> None:
    with connect(kind, crashing(tmp_path)) as ctx:
        assert ctx.range(16 * RECORDS, num_slices=16).map_partitions(stubborn).count() == 16 * RECORDS
        assert "crash during compute" in ctx._session.summary()["faults hit"]


def deep(records: Iterator[int], depth: int) -> Iterator[int]:
    if depth:
        yield from deep(records, depth - 1)
    else:
        yield from records


@kinds
def test_deep_stacks_rest_and_go_on(kind: str) -> None:
    with connect(kind) as ctx:
        nested = ctx.range(8 * RECORDS, num_slices=8).map_partitions(lambda records: deep(iter(records), 150))
        assert nested.sum() == sum(range(8 * RECORDS))


def numbered(index: int, records: Iterable[int]) -> Iterator[tuple[int, int]]:
    assert mine.get(None) is None, "each begins with nothing"
    mine.set(index)
    for _ in records:
        yield index, mine.get()


@kinds
def test_context_variables_are_each_bodys_own(kind: str) -> None:
    with connect(kind) as ctx:
        pairs = ctx.range(8 * RECORDS, num_slices=8).map_partitions_with_index(numbered).distinct().collect()
    assert sorted(pairs) == [(index, index) for index in range(8)]


async def added(records: Iterable[int]) -> int:
    total = 0
    for record in records:
        total += record
    await asyncio.sleep(0)
    return total


@kinds
def test_loops_of_asyncio_may_run_while_their_bodies_rest(kind: str) -> None:
    with connect(kind) as ctx:
        sums = ctx.range(8 * RECORDS, num_slices=8).map_partitions(lambda records: [asyncio.run(added(records))])
        assert sums.sum() == sum(range(8 * RECORDS))


def ahead(records: Iterable[Any]) -> Iterator[Any]:
    """Have a thread take the records, as people do who read ahead."""
    taken: queue.Queue[object] = queue.Queue()

    def take() -> None:
        try:
            for record in records:
                taken.put(record)
        except BaseException as error:
            taken.put(error)
        taken.put(None)

    threading.Thread(target=take, daemon=True).start()
    while (record := taken.get()) is not None:
        if isinstance(record, BaseException):
            raise record
        yield record


@kinds
def test_a_thread_of_the_users_may_take_records_that_are_there(kind: str) -> None:
    with connect(kind) as ctx:
        assert ctx.range(2 * RECORDS, num_slices=2).map_partitions(ahead).sum() == sum(range(2 * RECORDS))


@kinds
def test_a_thread_of_the_users_that_would_have_to_wait_is_told(kind: str) -> None:
    with connect(kind) as ctx:
        values = ctx.range(20 * RECORDS, num_slices=20).map(lambda x: (x, x)).partition_by(4).map_partitions(ahead)
        with pytest.raises(TaskFailed, match="own thread"):
            values.count()


def forked(records: Iterable[int]) -> Iterator[int]:
    child = os.fork()
    yield from records
    os.waitpid(child, 0)


@kinds
def test_a_child_that_returns_into_the_engine_is_ended(kind: str) -> None:
    with connect(kind) as ctx:
        assert ctx.range(100, num_slices=2).map_partitions(forked).sum() == sum(range(100))


def test_without_greenlets_there_are_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "greenlet", None)
    assert bodies.body_kind("auto") is bodies.ThreadBody
    with pytest.raises(UsageError, match=r"headrace\[sim\]"):
        bodies.body_kind("greenlets")
