"""What runs, and what does not: nothing before an action, nothing twice that is there already."""

from __future__ import annotations

import gc
import operator
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.dataset import Dataset
from tests.dataset.data import flat, in_parts, lay_out
from tests.dataset.pipelines import PIPELINES, STEPS, Pipeline
from tests.dataset.watch import TasksRun

TASKS = TasksRun()


@pytest.fixture(scope="module")
def ctx() -> Iterator[Context]:
    with headrace.connect("inline://", progress=False, watchers=[TASKS]) as context:
        yield context


def shuffles(dataset: Dataset[Any]) -> int:
    return dataset.explain().count("  shuffles: ")


def stages(dataset: Dataset[Any]) -> int:
    return dataset.explain().count("\nstage ") + 1


@given(pipeline=PIPELINES)
@example(pipeline=Pipeline([[(1, 2)], [(2, 3)]], tuple((step, 3) for step in STEPS)))
def test_nothing_runs_before_an_action_and_no_finished_shuffle_after_it(ctx: Context, pipeline: Pipeline) -> None:
    TASKS.stages()
    dataset = pipeline.dataset(ctx)
    dataset.explain()
    assert TASKS.stages() == []
    dataset.collect()
    assert len(TASKS.stages()) >= stages(dataset)  # sorting draws a sample first
    assert dataset.explain().count("finished: reused") == shuffles(dataset)
    dataset.count()
    dataset.count()
    assert len(TASKS.stages()) == 2, "one result stage for each action, and nothing else"


def test_a_dataset_made_from_a_finished_shuffle_reuses_it_too(ctx: Context) -> None:
    counts = ctx.range(100, num_slices=4).key_by(lambda x: x % 7).reduce_by_key(operator.add, 3)
    counts.top(1)
    TASKS.stages()
    assert counts.filter(bool).map_values(str).join(counts).count() == 7
    assert len(TASKS.stages()) == 1
    other = counts.map(lambda pair: (pair[0] % 2, 1)).reduce_by_key(operator.add, 2)
    assert sorted(other.collect()) == [(0, 4), (1, 3)]
    assert len(TASKS.stages()) == 2


def test_the_files_of_a_shuffle_go_with_the_last_dataset_that_needs_it(tmp_path: Path) -> None:
    def outputs() -> list[str]:
        return [file for _, _, files in os.walk(tmp_path) for file in files if file.endswith(".data")]

    with headrace.connect(f"inline://?dir={tmp_path}", progress=False) as ctx:
        counts = ctx.range(10, num_slices=3).key_by(lambda x: x % 2).reduce_by_key(operator.add)
        kept = counts.keys()
        counts.collect()
        assert len(outputs()) == 3
        del counts
        gc.collect()
        ctx.range(1).count()
        assert len(outputs()) == 3
        assert sorted(kept.collect()) == [0, 1]
        del kept
        gc.collect()
        ctx.range(1).count()
        assert outputs() == []


KEEPING: dict[str, Callable[[Dataset[Any]], Dataset[Any]]] = {
    "filter": lambda d: d.filter(lambda pair: pair[1] != 3),
    "map_values": lambda d: d.map_values(lambda v: v),
    "flat_map_values": lambda d: d.flat_map_values(lambda v: [v]),
    "map": lambda d: d.map(lambda pair: pair, preserves_partitioning=True),
    "flat_map": lambda d: d.flat_map(lambda pair: [pair], preserves_partitioning=True),
    "map_partitions": lambda d: d.map_partitions(list, preserves_partitioning=True),
    "reduce_by_key": lambda d: d.reduce_by_key(max),
    "combine_by_key": lambda d: d.combine_by_key(int, max, max),
    "group_by_key": lambda d: d.group_by_key().map_values(max),
    "partition_by": lambda d: d.partition_by(),
    "join": lambda d: d.join(d).map_values(max),
    "union": lambda d: d.union(d),
    "cache": lambda d: d.cache(),
}
LOSING: dict[str, Callable[[Dataset[Any]], Dataset[Any]]] = {
    "map": lambda d: d.map(lambda pair: pair),
    "flat_map": lambda d: d.flat_map(lambda pair: [pair]),
    "map_partitions": lambda d: d.map_partitions(list),
    "key_by": lambda d: d.key_by(lambda pair: pair[0]).values(),
    "distinct": lambda d: d.distinct(),
    "sort_by": lambda d: d.sort_by(lambda pair: pair[1]),
    "union": lambda d: d.union(d.map(lambda pair: pair)),
}


@given(
    steps=st.lists(st.sampled_from(sorted(KEEPING)), max_size=6),
    number=st.integers(1, 4),
    function=st.none() | st.just(abs),
    parts=in_parts(st.tuples(st.integers(-4, 4), st.integers(0, 4))),
)
@settings(max_examples=60)
def test_what_is_dealt_by_key_once_is_not_dealt_again(
    ctx: Context, steps: list[str], number: int, function: Callable[[int], int] | None, parts: list[list[Any]]
) -> None:
    dealt = lay_out(ctx, parts).partition_by(number, function)
    expected: set[int] = {key for key, _ in flat(parts)}
    for step in steps:
        dealt = KEEPING[step](dealt)
    assert shuffles(dealt) == 1
    assert dealt.get_num_partitions() == number
    assert dealt.partitioner is not None
    for place, keys in enumerate(dealt.keys().map_partitions(lambda part: [set(part)]).collect()):
        assert keys <= expected
        assert {dealt.partitioner.partition(key) for key in keys} <= {place}


@pytest.mark.parametrize("step", sorted(LOSING))
def test_what_may_have_changed_the_keys_is_dealt_again(ctx: Context, step: str) -> None:
    dealt = LOSING[step](ctx.parallelize([(1, 2), (3, 4)]).partition_by(3))
    assert dealt.partitioner is None
    assert shuffles(dealt.reduce_by_key(max, 3)) == shuffles(dealt) + 1


def test_of_two_inputs_of_a_join_only_the_one_that_lies_otherwise_moves(ctx: Context) -> None:
    pairs = ctx.parallelize([(i, i) for i in range(10)], 2)
    three, four = pairs.partition_by(3), pairs.partition_by(4)
    assert shuffles(three.join(pairs.partition_by(3))) == 2
    assert shuffles(three.join(pairs)) == 2
    assert shuffles(three.join(four)) == 3
    assert three.join(four).get_num_partitions() == 4, "the larger partitioner stays where it is"
    assert shuffles(three.join(four, 5)) == 4
    assert shuffles(three.join(pairs.partition_by(3, lambda key: key))) == 3, "dealt otherwise, to as many"
    assert sorted(three.join(four).collect()) == [(i, (i, i)) for i in range(10)]


def test_narrow_operators_are_one_task_for_each_partition(ctx: Context) -> None:
    chain = ctx.range(60, num_slices=6)
    for _ in range(50):
        chain = chain.map(lambda x: x + 1).filter(lambda x: True).map_partitions(iter)
    TASKS.partitions()
    assert chain.collect() == list(range(50, 110))
    assert TASKS.partitions() == list(range(6))
    both = chain.union(chain.key_by(str).values())
    assert both.count() == 120
    assert TASKS.partitions() == list(range(12))


@pytest.mark.parametrize("url", ["inline://", "local://?workers=2", "sim://?workers=3"])
def test_a_cached_dataset_is_computed_once_and_again_when_it_was_forgotten(url: str) -> None:
    with headrace.connect(url, progress=False) as ctx:
        calls = ctx.accumulator(0)

        def counted(x: int) -> int:
            calls.add(1)
            return x

        squares = ctx.range(30, num_slices=3).map(counted).cache()
        assert squares.is_cached
        assert calls.value == 0
        for _ in range(3):
            assert squares.sum() == sum(range(30))
            assert squares.map(str).count() == 30
        assert calls.value == 30
        assert squares.unpersist() is squares
        assert not squares.is_cached
        assert squares.count() == 30
        assert calls.value == 60


def test_unpersist_frees_the_memory() -> None:
    with headrace.connect("inline://", progress=False) as ctx:
        kept = ctx.range(1000, num_slices=3).cache()
        kept.count()
        cache = ctx._session._worker.shared.cache  # type: ignore[attr-defined]
        assert cache._bytes > 1000
        kept.unpersist()
        ctx.range(1).count()
        assert cache._bytes == 0


def test_caching_something_makes_no_finished_shuffle_run_again(ctx: Context) -> None:
    base = ctx.range(20, num_slices=4).key_by(lambda x: x % 3)
    summed = base.reduce_by_key(operator.add, 2)
    summed.collect()
    for kept in (ctx.range(3), base, summed):
        kept.cache()
        TASKS.stages()
        assert summed.count() == 3
        assert len(TASKS.stages()) == 1


def test_what_is_cached_needs_no_shuffle_any_more(ctx: Context) -> None:
    summed = ctx.range(20, num_slices=4).key_by(lambda x: x % 3).reduce_by_key(operator.add, 2).cache()
    assert summed.count() == 3
    TASKS.stages()
    assert sorted(summed.keys().collect()) == [0, 1, 2]
    assert len(TASKS.stages()) == 1


@given(size=st.integers(1, 5), partitions=st.integers(1, 60), number=st.integers(0, 100))
@settings(max_examples=60)
def test_take_looks_at_few_more_partitions_than_it_needs(ctx: Context, size: int, partitions: int, number: int) -> None:
    dataset = ctx.range(size * partitions, num_slices=partitions)
    TASKS.partitions()
    assert dataset.take(number) == list(range(min(number, size * partitions)))
    looked_at = TASKS.partitions()
    assert looked_at == list(range(len(looked_at))), "the first ones, each once"
    needed = min(partitions, -(-number // size))
    assert needed <= len(looked_at) <= max(needed, 1.5 * number / size)


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_how_many_partitions_there_are_unless_somebody_says(workers: int, tmp_path: Path) -> None:
    with headrace.connect(f"sim://?workers={workers}", progress=False) as ctx:
        assert ctx.default_parallelism == workers
        numbers = ctx.range(10)
        pairs = ctx.parallelize([(1, 2)])
        assert numbers.get_num_partitions() == pairs.get_num_partitions() == workers
        assert numbers.union(numbers).get_num_partitions() == 2 * workers
        after = max(4 * workers, 8)
        shuffled: list[Dataset[Any]] = [
            numbers.distinct(),
            numbers.sort_by(abs),
            pairs.reduce_by_key(max),
            pairs.combine_by_key(int, max, max),
            pairs.group_by_key(),
            pairs.partition_by(),
            pairs.partition_by(None, abs),
            pairs.join(pairs),
        ]
        assert [dataset.get_num_partitions() for dataset in shuffled] == [after] * len(shuffled)
        three = pairs.partition_by(3)
        own: list[Dataset[Any]] = [three.reduce_by_key(max), three.group_by_key(), three.values()]
        own += [three.join(pairs), pairs.join(three)]
        assert [dataset.get_num_partitions() for dataset in own] == [3] * len(own)
        assert [three.distinct().get_num_partitions(), three.sort_by(max).get_num_partitions()] == [after, after]
