"""Accumulators count each partition once for each job and stage, whatever was run again; broadcast values travel once."""

from __future__ import annotations

import functools
import operator
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.errors import ClosureError, ProgramError, TaskFailed, UsageError
from headrace.execute.shared import Accumulator
from headrace.protocols import claims
from headrace.testing import kill_worker
from tests.dataset.data import VALUES, Parts, flat, in_parts, lay_out
from tests.dataset.probes import Loaded, loads, once


@pytest.fixture(scope="module")
def ctx() -> Iterator[Context]:
    with headrace.connect("inline://", progress=False) as context:
        yield context


class Copies:
    """Counts attempts beyond one for each task, and outputs that were refused."""

    def __init__(self) -> None:
        self.tasks: Counter[Any] = Counter()

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        for effect in effects:
            if isinstance(effect, claims.Claimed):
                self.tasks[effect.task] += 1

    @property
    def extra(self) -> int:
        return sum(self.tasks.values()) - len(self.tasks)


def visited(ctx: Context, parts: Parts) -> tuple[list[Counter[int]], list[Counter[int]]]:
    """Run two actions over one shuffle; return what the map side had added after each, and the result side."""
    mapped, reduced = ctx.accumulator(Counter[int]()), ctx.accumulator(Counter[int]())

    def key(value: int) -> tuple[int, int]:
        mapped.add(Counter([value]))
        return value % 5, value

    sums = lay_out(ctx, parts).map(key).reduce_by_key(operator.add, 3)

    def look(pair: tuple[int, int]) -> tuple[int, int]:
        reduced.add(Counter([pair[0]]))
        return pair

    found = sums.map(look).collect()
    expected: Counter[int] = Counter()
    for value in flat(parts):
        expected[value % 5] += value
    assert dict(found) == {k: expected[k] for k in {v % 5 for v in flat(parts)}}
    mapped_then, reduced_then = mapped.value, reduced.value
    sums.map(look).count()
    return [mapped_then, mapped.value], [reduced_then, reduced.value]


def check(ctx: Context, parts: Parts, *, kind: bool) -> None:
    """In a kind world nothing is lost between two actions; in another, the second makes lost map outputs again."""
    (mapped, mapped_after), (reduced, reduced_after) = visited(ctx, parts)
    keys = Counter({value % 5 for value in flat(parts)})
    assert mapped == Counter(flat(parts))
    assert reduced == keys
    assert reduced_after == keys + keys, "a second action adds"
    if kind:
        assert mapped_after == mapped, "the second action reuses the shuffle"
    else:
        assert mapped <= mapped_after <= mapped + mapped, "as in Spark, a job that makes a lost output again adds"


@given(parts=in_parts(VALUES))
@settings(max_examples=40)
def test_inline(ctx: Context, parts: Parts) -> None:
    check(ctx, parts, kind=True)


def test_in_simulated_worlds_each_partition_counts_once_whatever_was_run_again() -> None:
    copies = Copies()

    @given(parts=in_parts(VALUES), seed=st.integers(0, 10_000))
    @settings(max_examples=60)
    def worlds(parts: Parts, seed: int) -> None:
        url = f"sim://?workers=4&hosts=4&seed={seed}&faults=all&backup_after=1ms"
        with headrace.connect(url, progress=False, watchers=[copies]) as ctx:
            check(ctx, parts, kind=False)

    worlds()
    assert copies.extra > 50, "tasks were run again or beside each other, or this says nothing"


def test_an_attempt_that_was_killed_after_it_had_added_counts_for_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "begun"
    copies = Copies()
    with headrace.connect("local://?workers=2", progress=False, watchers=[copies]) as ctx:
        seen = ctx.accumulator(0)

        def look(x: int) -> int:
            seen.add(1)
            return x

        def kill() -> None:
            while not mark.exists():
                stop.wait(0.01)
            for worker in ctx.workers():
                if worker.state == "running":
                    kill_worker(ctx, worker.id)

        stop = threading.Event()
        killer = threading.Thread(target=kill)
        killer.start()
        try:
            held = functools.partial(once, mark)
            assert ctx.range(10, num_slices=1).map(look).map_partitions(held).count() == 10
        finally:
            stop.set()
            mark.touch()
            killer.join()
        assert copies.extra == 1
        assert seen.value == 10


def test_a_job_that_fails_adds_what_its_finished_tasks_added(ctx: Context) -> None:
    seen = ctx.accumulator(0)

    def look(x: int) -> int:
        seen.add(1)
        return 1 // (x - 3)

    with pytest.raises(TaskFailed):
        ctx.range(4, num_slices=4).map(look).collect()
    assert 0 <= seen.value <= 3, "the partition that failed never counts, however often it was tried"


@given(start=VALUES, parts=in_parts(VALUES), more=VALUES)
@settings(max_examples=30)
def test_a_first_value_counts_once_and_the_program_may_add(ctx: Context, start: int, parts: Parts, more: int) -> None:
    total = ctx.accumulator(start)
    lay_out(ctx, parts).foreach(total.add)
    total += more
    assert total.value == start + sum(flat(parts)) + more
    total.value = 0
    assert total.value == 0


def test_anything_with_a_plus_is_accumulated_in_the_order_of_the_tasks(ctx: Context) -> None:
    texts, lists = ctx.accumulator(""), ctx.accumulator(["z"])
    ctx.parallelize("abc", 3).foreach(texts.add)
    ctx.parallelize("abc", 3).foreach(lambda letter: lists.add([letter]))
    assert texts.value == "abc"
    assert lists.value == ["z", "a", "b", "c"]


def test_what_a_task_adds_is_its_own_to_change(ctx: Context) -> None:
    """The first term must not become the sum: the function may go on using it."""
    lists: Accumulator[list[int]] = ctx.accumulator([])

    def add(number: int) -> None:
        term = [number]
        lists.add(term)
        term.append(-1)

    ctx.range(3, num_slices=1).foreach(add)
    assert lists.value == [0, 1, 2]


def test_a_task_cannot_read_an_accumulator_and_a_wrong_term_is_told(ctx: Context) -> None:
    seen = ctx.accumulator(0)
    with pytest.raises(TaskFailed, match=r"cannot read an accumulator.*read it in the program") as caught:
        ctx.range(1).foreach(lambda x: print(seen.value))
    assert isinstance(caught.value.__cause__, ProgramError)
    with pytest.raises(UsageError, match=r"'a' cannot be added to Accumulator\(\d+, 0\)") as told:
        ctx.range(1).foreach(lambda x: seen.add("a"))  # type: ignore[arg-type]
    assert isinstance(told.value.__cause__, TypeError)
    assert seen.value == 0


# Broadcast values.


def test_a_broadcast_value_is_read_once_by_each_worker_that_asks(tmp_path: Path) -> None:
    path = tmp_path / "loads"
    with headrace.connect("local://?workers=2", progress=False) as ctx:
        value = ctx.broadcast(Loaded(path))
        assert loads(path) == [], "nothing is sent before a task asks"
        for _ in range(2):
            names = ctx.range(30, num_slices=30).map(lambda x: type(value.value).__name__).collect()
            assert names == ["Loaded"] * 30
        assert len(loads(path)) == len(set(loads(path))) <= 2
        assert set(loads(path)) <= {worker.pid for worker in ctx.workers()}


@pytest.mark.parametrize(("url", "most"), [("inline://", 1), ("sim://?workers=5&hosts=5", 5)])
def test_and_so_elsewhere(url: str, most: int, tmp_path: Path) -> None:
    path = tmp_path / "loads"
    with headrace.connect(url, progress=False) as ctx:
        value = ctx.broadcast(Loaded(path))
        assert ctx.range(30, num_slices=30).filter(lambda x: value.value is not None).count() == 30
        assert ctx.range(30, num_slices=30).filter(lambda x: value.value is not None).count() == 30
        assert 1 <= len(loads(path)) <= most


@given(value=st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))
@settings(max_examples=20)
def test_what_is_broadcast_is_what_tasks_see_as_it_was_then(ctx: Context, value: Any) -> None:
    held = [value]
    sent = ctx.broadcast(held)
    held.append("later")
    assert ctx.range(2, num_slices=2).map(lambda x: sent.value).collect() == [[value]] * 2


def test_a_value_that_was_destroyed_is_gone_everywhere(ctx: Context) -> None:
    value = ctx.broadcast("x")
    dataset = ctx.range(1).map(lambda x: value.value)
    assert dataset.collect() == ["x"]
    value.destroy()
    with pytest.raises(UsageError, match="was destroyed"):
        value.value  # noqa: B018
    with pytest.raises(TaskFailed, match="was destroyed"):
        dataset.collect()
    with pytest.raises(ClosureError, match="closure 'value'"):
        ctx.range(1).map(lambda x: value.value)


def test_what_cannot_be_sent_is_refused_at_once(ctx: Context) -> None:
    for value in (threading.Lock(), ctx, ctx.range(1), open(__file__)):  # noqa: SIM115
        with pytest.raises(ProgramError, match="cannot be sent"):
            ctx.broadcast(value)
