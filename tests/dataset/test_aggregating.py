"""Folds, of keys and of everything, against plain Python: the order kept, every zero fresh, whatever is lost."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.errors import NoRecords, TaskFailed, UsageError
from tests.dataset import plain
from tests.dataset.data import PAIRS, VALUES, Parts, bag, flat, in_parts, lay_out


@pytest.fixture(scope="module")
def ctx() -> Iterator[Context]:
    with headrace.connect("inline://", progress=False) as context:
        yield context


words = st.lists(st.lists(st.text("ab", max_size=2), max_size=3), min_size=1, max_size=12)
small = st.none() | st.integers(1, 5)


def appended(seen: list[Any], value: Any) -> list[Any]:
    seen.append(value)  # changes its first argument, as is allowed
    return seen


def extended(one: list[Any], other: list[Any]) -> list[Any]:
    one.extend(other)
    return one


def check_keys(ctx: Context, parts: Parts, number: int | None) -> None:
    dataset, records = lay_out(ctx, parts), flat(parts)
    zero: list[Any] = []
    gathered = dataset.aggregate_by_key(zero, appended, extended, number).collect()
    assert bag(gathered) == bag(plain.gathered(records))
    folded = dataset.map_values(str).fold_by_key("", operator.add, number).collect()
    assert bag(folded) == bag([(key, "".join(map(str, values))) for key, values in plain.gathered(records)])
    local = dataset.reduce_by_key_locally(max)
    assert bag(local.items()) == bag(plain.reduced(records, max))


def check_all(ctx: Context, parts: list[list[str]], depth: int) -> None:
    dataset, records = lay_out(ctx, parts), flat(parts)
    assert dataset.fold("", operator.add) == "".join(records)
    assert dataset.aggregate([], appended, extended) == records
    assert dataset.tree_aggregate([], appended, extended, depth) == records
    if records:
        assert dataset.tree_reduce(operator.add, depth) == "".join(records)
    else:
        with pytest.raises(NoRecords):
            dataset.tree_reduce(operator.add, depth)


@given(parts=in_parts(PAIRS), number=small)
@settings(max_examples=50)
def test_keys_inline(ctx: Context, parts: Parts, number: int | None) -> None:
    check_keys(ctx, parts, number)


@given(parts=words, depth=st.integers(1, 4))
@settings(max_examples=60)
def test_all_inline(ctx: Context, parts: list[list[str]], depth: int) -> None:
    check_all(ctx, parts, depth)


@given(parts=in_parts(PAIRS), number=small, seed=st.integers(0, 10_000), several=words, depth=st.integers(1, 3))
@settings(max_examples=10)
def test_in_simulated_worlds_that_lose_everything(
    parts: Parts, number: int | None, seed: int, several: list[list[str]], depth: int
) -> None:
    with headrace.connect(f"sim://?workers=4&hosts=2&seed={seed}&faults=all", progress=False) as ctx:
        check_keys(ctx, parts, number)
        check_all(ctx, several, depth)


@given(parts=in_parts(VALUES), zero=VALUES)
@settings(max_examples=40)
def test_a_zero_that_changes_something_counts_as_often_as_in_spark(ctx: Context, parts: Parts, zero: int) -> None:
    dataset, total = lay_out(ctx, parts), sum(flat(parts))
    assert dataset.fold(zero, operator.add) == total + zero * (len(parts) + 1), "for each partition, and once more"
    assert dataset.aggregate(zero, operator.add, operator.add) == total + zero * (len(parts) + 1)
    assert dataset.tree_aggregate(zero, operator.add, operator.add) == total + zero * len(parts), "for each partition"
    keyed = dataset.key_by(lambda _: "all")
    lots = sum(1 for part in parts if part)
    assert keyed.fold_by_key(zero, operator.add).collect_as_map() == ({"all": total + zero * lots} if lots else {})


def test_no_fold_sees_what_another_did_to_its_zero(ctx: Context) -> None:
    zero: list[int] = []
    dataset = ctx.range(8, num_slices=4)
    for _ in range(2):
        assert dataset.aggregate(zero, appended, extended) == list(range(8))
        assert dataset.tree_aggregate(zero, appended, extended) == list(range(8))
        pairs = dataset.map(lambda x: (x % 2, x))
        assert pairs.aggregate_by_key(zero, appended, extended, 2).collect_as_map() == {
            0: [0, 2, 4, 6],
            1: [1, 3, 5, 7],
        }
    assert zero == []


def test_a_tree_merges_on_the_workers_and_leaves_little_to_the_program(local: Context) -> None:
    here: list[int] = []

    def merge(one: int, other: int) -> int:
        here.append(one)  # of workers, into copies of their own
        return one + other

    dataset = local.range(60, num_slices=60)
    assert dataset.tree_reduce(merge) == sum(range(60))
    assert len(here) == 7, "60 values, merged by eights"
    here.clear()
    assert dataset.reduce(merge) == sum(range(60))
    assert len(here) == 59


@pytest.mark.parametrize("partitions", [1, 2, 3, 7, 16, 65])
def test_rounds_keep_the_order_of_the_partitions(ctx: Context, partitions: int) -> None:
    text = [str(number) for number in range(partitions)]
    for depth in (1, 2, 3, 9):
        assert ctx.parallelize(text, partitions).tree_reduce(operator.add, depth) == "".join(text)


def test_depth_is_at_least_one(ctx: Context) -> None:
    with pytest.raises(UsageError, match="depth"):
        ctx.range(3).tree_reduce(operator.add, 0)
    with pytest.raises(UsageError, match="depth"):
        ctx.range(3).tree_aggregate(0, operator.add, operator.add, depth=-1)


def test_a_function_that_fails_is_named_wherever_it_fails(ctx: Context) -> None:
    def never(one: Any, other: Any) -> Any:
        raise LookupError("not here")

    dataset = ctx.range(4, num_slices=2)
    for run in (
        lambda: dataset.fold(0, never),
        lambda: dataset.aggregate(0, operator.add, never),
        lambda: dataset.tree_aggregate(0, never, operator.add),
        lambda: dataset.tree_aggregate(0, operator.add, never),
        lambda: dataset.tree_reduce(never),
        lambda: dataset.key_by(bool).fold_by_key(0, never).collect(),
    ):
        with pytest.raises(TaskFailed, match="LookupError: not here"):
            run()


def test_partitions_without_records_give_their_zero_and_nothing_else(ctx: Context) -> None:
    empty = lay_out(ctx, [[], [], []])
    assert empty.fold(0, operator.add) == empty.aggregate(0, operator.add, operator.add) == 0
    assert empty.tree_aggregate(1, operator.add, operator.add) == 3
    assert empty.aggregate_by_key(0, operator.add, operator.add).collect() == []
    assert empty.reduce_by_key_locally(operator.add) == {}


def test_the_number_of_partitions_and_their_function_are_taken(ctx: Context) -> None:
    pairs = ctx.parallelize([(key, 1) for key in range(12)], 3)
    add = functools.partial(pairs.aggregate_by_key, 0, operator.add, operator.add)
    assert add(5).get_num_partitions() == 5
    placed = add(4, lambda key: key).map_partitions(lambda part: [sorted(key for key, _ in part)]).collect()
    assert placed == [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7, 11]]
    assert list(itertools.chain(*placed)) == pairs.fold_by_key(0, operator.add, 4, lambda key: key).keys().collect()
