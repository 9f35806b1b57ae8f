"""Groups and joins of several datasets against plain Python: any keys, any partitions, whatever is lost."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.dataset import Dataset
from headrace.errors import TaskFailed, UsageError
from tests.dataset import plain
from tests.dataset.data import KEYS, PAIRS, VALUES, Parts, bag, canonical, flat, glom, in_parts, lay_out


@pytest.fixture(scope="module")
def ctx() -> Iterator[Context]:
    with headrace.connect("inline://", progress=False) as context:
        yield context


pairs = in_parts(PAIRS)
small = st.none() | st.integers(1, 4) | st.integers(1, 4) | st.integers(1, 4)  # None takes 8, and time
Records = list[Any]


def faces(records: Records) -> list[str]:
    """Show pairs regardless of their order, and of which of several equal keys stands for them."""
    return sorted(repr((canonical(key), value)) for key, value in records)


def grouped(*sides: Records) -> dict[Any, tuple[list[Any], ...]]:
    """Gather the values of each key, each side by itself."""
    found: dict[Any, tuple[list[Any], ...]] = {}
    for place, side in enumerate(sides):
        for key, value in side:
            found.setdefault(canonical(key), tuple([] for _ in sides))[place].append(value)
    return found


def outer(left: Records, right: Records, *, keeps_left: bool, keeps_right: bool) -> Records:
    made: Records = []
    for key, (ones, others) in grouped(left, right).items():
        if ones and others:
            made += [(key, (one, other)) for one in ones for other in others]
        elif keeps_left and ones:
            made += [(key, (one, None)) for one in ones]
        elif keeps_right and others:
            made += [(key, (None, other)) for other in others]
    return made


def check_joins(ctx: Context, left: Parts, right: Parts, number: int | None) -> None:
    one, other = lay_out(ctx, left), lay_out(ctx, right)
    ours, theirs = flat(left), flat(right)
    inner = one.join(other, number).collect()
    assert faces(inner) == faces(outer(ours, theirs, keeps_left=False, keeps_right=False))
    on_left = one.left_outer_join(other, number).collect()
    assert faces(on_left) == faces(outer(ours, theirs, keeps_left=True, keeps_right=False))
    on_right = one.right_outer_join(other, number).collect()
    assert faces(on_right) == faces(outer(ours, theirs, keeps_left=False, keeps_right=True))
    full = one.full_outer_join(other, number).collect()
    assert faces(full) == faces(outer(ours, theirs, keeps_left=True, keeps_right=True))


def check_groups(ctx: Context, left: Parts, right: Parts, number: int | None) -> None:
    one, other = lay_out(ctx, left), lay_out(ctx, right)
    ours, theirs = flat(left), flat(right)
    both = one.cogroup(other, number).map_values(lambda groups: tuple(map(list, groups))).collect()
    assert faces(both) == faces(list(grouped(ours, theirs).items()))
    three = one.group_with(other, one).map_values(lambda groups: tuple(map(list, groups))).collect()
    assert faces(three) == faces(list(grouped(ours, theirs, ours).items()))
    by_value = one.group_by(lambda pair: pair[1] % 3, number).map_values(list).collect()
    assert bag(by_value) == bag(plain.gathered([(value % 3, (key, value)) for key, value in ours]))


def check_sets(ctx: Context, left: Parts, right: Parts, number: int | None) -> None:
    one, other = lay_out(ctx, left), lay_out(ctx, right)
    ours, theirs = flat(left), flat(right)
    keys = {canonical(key) for key, _ in theirs}
    kept = one.subtract_by_key(other, number).collect()
    assert faces(kept) == faces([pair for pair in ours if canonical(pair[0]) not in keys])
    records = {canonical(record) for record in theirs}
    left_over = one.subtract(other, number).collect()
    assert faces(left_over) == faces([record for record in ours if canonical(record) not in records])
    common = one.intersection(other).collect()
    assert bag(map(canonical, common)) == bag({canonical(record) for record in ours} & records)


CHECKS = [check_joins, check_groups, check_sets]


@pytest.mark.parametrize("check", CHECKS)
@given(left=pairs, right=pairs, number=small)
@settings(max_examples=25)
def test_inline(ctx: Context, check: Callable[..., None], left: Parts, right: Parts, number: int | None) -> None:
    check(ctx, left, right, number)


@pytest.mark.parametrize("check", CHECKS)
@given(left=pairs, right=pairs, number=small, seed=st.integers(0, 10_000))
@settings(max_examples=8)
def test_in_simulated_worlds_that_lose_everything(
    check: Callable[..., None], left: Parts, right: Parts, number: int | None, seed: int
) -> None:
    with headrace.connect(f"sim://?workers=4&hosts=2&seed={seed}&faults=all", progress=False) as ctx:
        check(ctx, left, right, number)


@given(left=in_parts(KEYS), right=in_parts(KEYS))
@settings(max_examples=25)
def test_records_need_not_be_pairs_to_be_subtracted_or_in_common(ctx: Context, left: Parts, right: Parts) -> None:
    one, other = lay_out(ctx, left), lay_out(ctx, right)
    theirs = {canonical(record) for record in flat(right)}
    expected = [canonical(record) for record in flat(left) if canonical(record) not in theirs]
    assert bag(map(canonical, one.subtract(other).collect())) == bag(expected)
    both = {canonical(record) for record in flat(left)} & theirs
    assert bag(map(canonical, one.intersection(other).collect())) == bag(both)


OPERATORS: list[Callable[[Dataset[Any]], Dataset[Any]]] = [
    lambda d: d.partition_by(3),
    lambda d: d.partition_by(3, lambda key: len(str(key))),
    lambda d: d.reduce_by_key(max),
    lambda d: d.group_by_key(3).map_values(len),
    lambda d: d.aggregate_by_key(0, max, max),
    lambda d: d.join(d, 3),
    lambda d: d.full_outer_join(d),
    lambda d: d.cogroup(d),
    lambda d: d.subtract_by_key(d.filter(lambda pair: pair[1] > 0)),
    lambda d: d.subtract(d.filter(lambda pair: pair[1] > 0)),
    lambda d: d.intersection(d),
    lambda d: d.distinct(),
    lambda d: d.sample(True, 2.0, 1),
    lambda d: d.sample_by_key(False, {1: 1.0}),
    lambda d: d.coalesce(2),
    lambda d: d.repartition(3),
    lambda d: d.glom().flat_map(list),
    lambda d: d.group_by(lambda pair: pair[1]),
    lambda d: d.sort_by_key(),
    lambda d: d.repartition_and_sort_within_partitions(3),
    lambda d: d.union(d),
    lambda d: d.zip(d),
]


@given(
    parts=in_parts(st.tuples(st.integers(0, 9), VALUES)),
    steps=st.lists(st.sampled_from(range(len(OPERATORS))), min_size=1, max_size=2),
)
@settings(max_examples=100)
def test_who_says_how_keys_are_dealt_has_them_so(ctx: Context, parts: Parts, steps: list[int]) -> None:
    dataset = lay_out(ctx, parts)
    for step in steps[:-1]:
        dataset = OPERATORS[step](dataset).map_values(hash)
    made = OPERATORS[steps[-1]](dataset)
    if made.partitioner is not None:
        assert made.get_num_partitions() == made.partitioner.partitions
        for place, part in enumerate(glom(made)):
            assert all(made.partitioner.partition(key) == place for key, _ in part)


def test_what_both_have_is_dealt_as_records_and_reduced_by_key_all_the_same(ctx: Context) -> None:
    dataset = ctx.parallelize([(number % 3, number) for number in range(12)], 3)
    summed = dataset.intersection(dataset).reduce_by_key(operator.add).collect()
    assert sorted(summed) == [(0, 18), (1, 22), (2, 26)]


def test_both_sides_may_be_the_same_dataset_and_neither_moves_twice(ctx: Context) -> None:
    dealt = ctx.parallelize([(1, "a"), (1, "b"), (2, "c")]).partition_by(4)
    assert "shuffle" in dealt.explain()
    stages = dealt.left_outer_join(dealt).explain().count("stage ")
    assert stages == 2, "the one that deals, and the one that joins"
    assert sorted(dealt.join(dealt).collect()) == [
        (1, ("a", "a")), (1, ("a", "b")), (1, ("b", "a")), (1, ("b", "b")), (2, ("c", "c")),
    ]  # fmt: skip


def test_lookup_finds_a_nan_as_the_one_key_that_it_is(ctx: Context) -> None:
    nan = float("nan")
    pairs = ctx.parallelize([(nan, 1), (2, 2), (float("nan"), 3), ((1, nan), 4)], 2)
    assert pairs.lookup(float("nan")) == [1, 3]
    assert pairs.partition_by(3).lookup((1, float("nan"))) == [4]
    assert pairs.lookup(5) == []


@pytest.mark.parametrize(
    "name", ["join", "cogroup", "left_outer_join", "subtract", "intersection", "group_with", "zip"]
)
def test_what_is_not_a_dataset_of_this_context_is_refused(ctx: Context, name: str) -> None:
    dataset = ctx.parallelize([(1, 2)])
    with pytest.raises(UsageError, match="needs another Dataset"):
        getattr(dataset, name)([(1, 2)])
    with headrace.connect("inline://", progress=False) as other, pytest.raises(UsageError, match="same context"):
        getattr(dataset, name)(other.parallelize([(1, 2)]))


def test_a_list_for_a_key_is_said_to_be_none(ctx: Context) -> None:
    with pytest.raises(TaskFailed, match="cannot be a key"):
        ctx.parallelize([([1], 2)]).full_outer_join(ctx.parallelize([([2], 2)])).collect()
    with pytest.raises(TaskFailed, match="cannot be a key"):
        ctx.parallelize([[1], [2]]).subtract(ctx.parallelize([[1]])).collect()
