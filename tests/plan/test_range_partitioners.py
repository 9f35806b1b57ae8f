"""Partitions by order: whatever the sample was, the partitions' order is the order of the keys."""

from __future__ import annotations

import math
import pickle
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import InternalError, ProgramError
from headrace.plan.functions import Site, UserFunction
from headrace.plan.partitioners import LAST, RangePartitioner, sortable

NUMBERS = st.one_of(
    st.integers(-20, 20), st.floats(allow_nan=False), st.fractions(), st.booleans(), st.just(Decimal("1.5"))
)
ORDERED: st.SearchStrategy[st.SearchStrategy[Any]] = st.sampled_from(
    [NUMBERS, st.text(max_size=3), st.tuples(st.integers(0, 3), st.text(max_size=2)), st.binary(max_size=2)]
)
WEIGHTS = st.floats(0.01, 100)


def partitioner(partitions: int, *, ascending: bool = True) -> RangePartitioner:
    return RangePartitioner(partitions, UserFunction(len, "sort_by", Site("test", 1, "test")), ascending=ascending)


@given(st.data(), st.integers(1, 12), st.booleans())
def test_the_order_of_partitions_is_the_order_of_keys(data: st.DataObject, partitions: int, ascending: bool) -> None:
    keys = data.draw(ORDERED)
    ranges = partitioner(partitions, ascending=ascending)
    ranges.settle(data.draw(st.lists(st.tuples(keys, WEIGHTS), max_size=30)))
    some = sorted(data.draw(st.lists(keys, max_size=30)), reverse=not ascending)
    places = [ranges.partition(key) for key in some]
    assert places == sorted(places)
    assert all(0 <= place < partitions for place in places)
    for one, other in pairwise(some):
        assert one != other or ranges.partition(one) == ranges.partition(other)


@given(st.integers(1, 20), st.booleans(), st.randoms(use_true_random=False))
def test_distinct_keys_are_cut_into_equal_parts(partitions: int, ascending: bool, chance: Any) -> None:
    keys = list(range(partitions * 10))
    chance.shuffle(keys)
    ranges = partitioner(partitions, ascending=ascending)
    ranges.settle([(key, 1.0) for key in keys])
    sizes = [0] * partitions
    for key in keys:
        sizes[ranges.partition(key)] += 1
    assert max(sizes) - min(sizes) <= 1


def test_weights_count() -> None:
    """One key of a partition with a thousand records stands for as many as fifty of one with twenty."""
    ranges = partitioner(2)
    ranges.settle([(1, 50.0), *((key, 1.0) for key in range(2, 52))])
    assert ranges.bounds == [1]


def test_a_key_that_is_nearly_everything_makes_no_empty_partitions_beside_it() -> None:
    ranges = partitioner(8)
    ranges.settle([(7, 1.0)] * 90 + [(8, 1.0)] * 10)
    assert ranges.bounds == [7]
    assert [ranges.partition(key) for key in (6, 7, 8, 9)] == [0, 0, 1, 1]


def test_nothing_sampled_is_one_range() -> None:
    ranges = partitioner(8)
    ranges.settle([])
    assert {ranges.partition(key) for key in (1, "a", None)} == {0}


def test_use_before_bounds_is_our_own_mistake() -> None:
    with pytest.raises(InternalError):
        partitioner(2).partition(1)


def test_two_samples_are_two_partitioners() -> None:
    one, other = partitioner(2), partitioner(2)
    assert one != other
    assert one == one


def test_keys_of_different_kinds_are_an_error_with_advice() -> None:
    ranges = partitioner(2)
    ranges.settle([(key, 1.0) for key in range(10)])
    with pytest.raises(ProgramError, match="cannot be put in order") as caught:
        ranges.partition("ten")
    assert "Give a key" in str(caught.value)


@given(st.lists(st.one_of(st.integers(-5, 5), st.floats(-5, 5), st.builds(lambda: math.nan)), min_size=1))
def test_nan_comes_after_everything_else(keys: list[Any]) -> None:
    ordered = sorted(map(sortable, keys))
    numbers = sorted(key for key in keys if key == key)
    assert ordered == [*numbers, *[LAST] * (len(keys) - len(numbers))]
    ranges = partitioner(3)
    ranges.settle([(key, 1.0) for key in keys])
    assert all(ranges.partition(key) <= ranges.partition(math.nan) for key in keys)


def test_nan_inside_a_tuple_is_in_order_too() -> None:
    rows = [(1, math.nan), (1, 2), (0, math.nan), (1, math.inf), (math.nan, 0)]
    assert [row[0] for row in sorted(map(sortable, rows))[:4]] == [0, 1, 1, 1]
    assert sorted(map(sortable, rows))[3] == (1, LAST)


def test_what_stands_for_nan_is_one_object_after_any_journey() -> None:
    assert pickle.loads(pickle.dumps((1, LAST)))[1] is LAST


@pytest.mark.parametrize(
    "other", [0, -1.5, math.inf, "a", b"a", (), Fraction(1), Decimal("Infinity"), datetime(1, 1, 1, tzinfo=UTC)]
)
def test_nan_is_comparable_with_keys_of_any_kind(other: Any) -> None:
    assert other < LAST
    assert (other > LAST) is False
    assert not LAST < LAST
