"""Keys that Python calls equal are one key to every operator, whatever their types and wherever they lie; so is NaN."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from tests.dataset.data import Point, glom, lay_out

FAMILIES: list[list[Any]] = [
    [1, True, 1.0, Decimal(1), Decimal("1.00"), Fraction(1), 1 + 0j],
    [0, False, 0.0, -0.0, Decimal(0), Decimal("-0")],
    [2.5, Decimal("2.50"), Fraction(5, 2)],
    [10**20, 1e20, Decimal(10**20)],
    [(1, None), (1.0, None), (Decimal(1), None), Point(True, None)],
    [math.nan, float("nan"), -math.nan, float("inf") - float("inf")],
    [(math.nan, "a"), (float("nan"), "a"), Point(-math.nan, "a")],
    [frozenset([1, 2]), frozenset([2.0, True])],
    [None],
    ["1"],
    [b"1"],
    [math.inf, float("inf"), Decimal("Infinity")],
]


@pytest.fixture(scope="module", params=["inline://", "local://?workers=2", "sim://?workers=3&seed=3"])
def ctx(request: pytest.FixtureRequest) -> Iterator[Context]:
    with headrace.connect(request.param, progress=False) as context:
        yield context


def family_of(key: Any) -> int:
    """Find the family of a key, by the rules of Python and ours for NaN, which `repr` shows."""
    for number, family in enumerate(FAMILIES):
        if any(key == member or repr(key) == repr(member) for member in family):
            return number
    raise AssertionError(key)


def show(found: list[tuple[Any, Any]]) -> list[tuple[int, Any]]:
    return sorted((family_of(key), value) for key, value in found)


ORDERS = st.permutations([key for family in FAMILIES for key in family])


@given(keys=ORDERS, number=st.integers(1, 9), width=st.integers(1, 40))
@settings(max_examples=8)
def test_equal_keys_are_one(ctx: Context, keys: list[Any], number: int, width: int) -> None:
    pairs = [(key, i) for i, key in enumerate(keys)]
    parts = [pairs[i : i + width] for i in range(0, len(pairs), width)]
    dataset = lay_out(ctx, parts)
    values: dict[int, list[int]] = {}
    for key, value in pairs:
        values.setdefault(family_of(key), []).append(value)
    grouped = sorted(values.items())
    assert show(dataset.reduce_by_key(operator.add, number).collect()) == [(f, sum(vs)) for f, vs in grouped]
    assert show(dataset.group_by_key(number).map_values(list).collect()) == grouped
    appended = dataset.combine_by_key(lambda v: [v], lambda vs, v: [*vs, v], operator.add, number)
    assert show(appended.collect()) == grouped
    assert show(list(dataset.count_by_key().items())) == [(f, len(vs)) for f, vs in grouped]
    assert sorted(family_of(key) for key in dataset.keys().distinct(number).collect()) == list(range(len(FAMILIES)))
    firsts = dataset.reduce_by_key(min, number)
    assert show(dataset.join(firsts, number).collect()) == [
        (f, pair) for f, vs in grouped for pair in sorted((v, min(vs)) for v in vs)
    ]
    homes = glom(dataset.partition_by(number).keys().map(family_of))
    assert all(set(one).isdisjoint(other) for one, other in itertools.combinations(homes, 2))


@given(keys=ORDERS)
@settings(max_examples=5)
def test_an_equal_key_is_found_in_what_is_partitioned_already(ctx: Context, keys: list[Any]) -> None:
    """No shuffle is there to make NaN one object, or to put equal keys together."""
    dealt = ctx.parallelize([(key, i) for i, key in enumerate(keys)], 4).partition_by(3)
    assert sorted(family_of(key) for key, _ in dealt.reduce_by_key(min).collect()) == list(range(len(FAMILIES)))
    assert sorted(family_of(key) for key, _ in dealt.group_by_key().collect()) == list(range(len(FAMILIES)))
    assert dealt.join(dealt.reduce_by_key(min)).count() == len(keys)
    assert dealt.join(dealt).explain().count("  shuffles: ") == 1
