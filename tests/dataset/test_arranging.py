"""Operators on whole partitions: alone, nested in each other, over caches and shuffles, and whatever is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace import testing
from headrace.context import Context
from headrace.errors import TaskFailed, UsageError
from headrace.protocols.schedule_words import JobCancelled
from tests.dataset.arrangements import STEPS, Step, build
from tests.dataset.data import VALUES, Parts, bag, flat, glom, in_parts, lay_out
from tests.dataset.watch import TasksRun
from tests.real.help import until


@pytest.fixture(scope="module")
def ctx() -> Iterator[Context]:
    with headrace.connect("inline://", progress=False) as context:
        yield context


numbers = in_parts(VALUES)


@given(parts=numbers, steps=STEPS)
@settings(max_examples=150)
def test_any_graph_of_arrangements_gives_what_lists_give(ctx: Context, parts: Parts, steps: list[Step]) -> None:
    for made in build(ctx, parts, steps)[-2:]:
        assert glom(made.dataset) == made.parts
        assert made.dataset.get_num_partitions() == len(made.parts)


@given(parts=numbers, steps=STEPS, seed=st.integers(0, 10_000))
@settings(max_examples=25)
def test_the_same_in_simulated_worlds_that_lose_everything(parts: Parts, steps: list[Step], seed: int) -> None:
    url = f"sim://?workers=4&hosts=2&seed={seed}&faults=all"
    with headrace.connect(url, progress=False) as ctx:
        *_, made = build(ctx, parts, steps)
        for _ in range(2):  # the second time from what is left of the caches
            assert glom(made.dataset) == made.parts, url


def test_caches_that_die_with_their_worker_are_made_again_through_whatever_reads_them() -> None:
    steps = [
        Step("shuffle", 0, 0, 3),
        Step("cache", 1, 0, 1),
        Step("union", 1, 0, 1),
        Step("cache", 3, 0, 1),
        Step("coalesce", 4, 0, 2),
        Step("cartesian", 5, 1, 1),
        Step("coalesce", 6, 0, 3),
    ]
    with headrace.connect("local://?workers=2&hosts=2", progress=False) as ctx:
        *_, made = build(ctx, [[1, 2], [], [3], [4, 5]], steps)
        assert glom(made.dataset) == made.parts
        for _ in range(2):
            running = [worker.id for worker in ctx.workers() if worker.state != "lost"]
            testing.kill_worker(ctx, running[0])
            assert glom(made.dataset) == made.parts


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(5, 3, [[0, 1], [2, 3, 4, 5], [6, 7, 8, 9]]), (5, 1, [list(range(10))]), (5, 8, None), (5, 5, None)],
)
def test_coalesce_cuts_where_spark_does(
    ctx: Context, before: int, after: int, expected: list[list[int]] | None
) -> None:
    dataset = ctx.range(10, num_slices=before)
    assert glom(dataset.coalesce(after)) == (expected or glom(dataset))


@given(parts=numbers, number=st.integers(1, 6), through=st.booleans())
@settings(max_examples=60)
def test_repartition_deals_evenly(ctx: Context, parts: Parts, number: int, through: bool) -> None:
    dataset = lay_out(ctx, parts)
    dealt = glom(dataset.coalesce(number, shuffle=True) if through else dataset.repartition(number))
    assert len(dealt) == number
    assert bag(flat(dealt)) == bag(flat(parts))
    sizes = [len(part) for part in dealt]
    assert max(sizes) - min(sizes) <= len(parts), "each input partition adds at most one to the difference"


def test_one_partition_is_dealt_without_a_remainder_to_anybody(ctx: Context) -> None:
    assert [len(part) for part in glom(ctx.range(100, num_slices=1).repartition(7))].count(14) == 5


def test_zip_needs_partitions_and_records_that_match(ctx: Context) -> None:
    with pytest.raises(UsageError, match="as many partitions"):
        ctx.range(4, num_slices=2).zip(ctx.range(4, num_slices=4))
    ragged = ctx.range(4, num_slices=2).zip(lay_out(ctx, [[1, 2], [3]]))
    with pytest.raises(TaskFailed, match="partition 1 has fewer on one"):
        ragged.collect()


def test_a_cartesian_with_more_than_the_budget_has_every_pair() -> None:
    with headrace.connect("inline://?memory=16MB", progress=False) as ctx:
        wide = ctx.range(60_000, num_slices=1).map(lambda x: (x, b"x" * 300))
        pairs = ctx.range(3, num_slices=1).cartesian(wide).map(lambda pair: pair[0] * 1_000_000 + pair[1][0])
        found = pairs.collect()
    assert sorted(found) == [one * 1_000_000 + x for one in range(3) for x in range(60_000)]


@pytest.mark.parametrize("number", [0, -1, 1.5, None, "2"])
def test_numbers_of_partitions_are_checked_where_they_are_given(ctx: Context, number: int) -> None:
    dataset = ctx.range(4, num_slices=2)
    for arrange in (dataset.coalesce, dataset.repartition, lambda n: dataset.coalesce(n, shuffle=True)):
        with pytest.raises(UsageError):
            arrange(number)


def test_numbering_several_partitions_counts_them_first_and_one_does_not(ctx: Context) -> None:
    met = ctx.accumulator(0)

    def meet(x: int) -> int:
        met.add(1)
        return x

    ctx.range(6, num_slices=1).map(meet).zip_with_index()
    assert met.value == 0
    ctx.range(6, num_slices=3).map(meet).zip_with_index()
    assert met.value == 6
    ctx.range(6, num_slices=3).map(meet).zip_with_unique_id()
    assert met.value == 6


def test_what_was_dealt_by_key_stays_so_only_where_keys_stay(ctx: Context) -> None:
    dealt = ctx.parallelize([(1, 2), (2, 3)], 2).partition_by(3)
    assert dealt.sample(False, 0.5).partitioner == dealt.partitioner
    assert all(part.partitioner == dealt.partitioner for part in dealt.random_split([1, 2]))
    for arranged in (dealt.coalesce(2), dealt.glom(), dealt.zip(dealt), dealt.cartesian(dealt), dealt.zip_with_index()):
        assert arranged.partitioner is None


class Cancelled:
    """A watcher that hears of jobs that are cancelled."""

    def __init__(self) -> None:
        self.jobs: list[int] = []

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        if isinstance(event, JobCancelled):
            self.jobs.append(event.job)


def stuck(x: int) -> int:
    if x >= 2:
        time.sleep(600)
    return x


def test_a_local_iterator_computes_what_is_come_to_and_one_partition_ahead_if_asked() -> None:
    run, cancelled = TasksRun(), Cancelled()
    with headrace.connect("local://?workers=2", progress=False, watchers=[run, cancelled]) as ctx:
        dataset = ctx.range(12, num_slices=4)
        for prefetch in (False, True):
            assert list(dataset.to_local_iterator(prefetch_partitions=prefetch)) == list(range(12))
            assert run.partitions() == [0, 1, 2, 3]
            iterator = dataset.to_local_iterator(prefetch)
            assert next(iterator) == 0
            until(partial(run.has_begun, 1 + prefetch), "the next partition is begun, if it may be")
            assert [next(iterator) for _ in range(3)] == [1, 2, 3]
            until(partial(run.has_begun, 2 + prefetch), "and the one behind it")
            assert run.partitions() == [0, 1, 2][: 2 + prefetch]
        assert cancelled.jobs == []
        iterator = ctx.range(4, num_slices=2).map(stuck).to_local_iterator(True)
        assert next(iterator) == 0
        iterator.close()  # type: ignore[attr-defined]  # a generator
        until(lambda: cancelled.jobs, "what was begun ahead is not wanted any more")
