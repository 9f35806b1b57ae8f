"""Sorting as a whole and within partitions against `sorted`: stable, NaN last, in either direction, whatever is lost."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.errors import TaskFailed
from tests.dataset.data import VALUES, Parts, canonical, flat, glom, in_parts, lay_out, shown


@pytest.fixture(scope="module")
def ctx() -> Iterator[Context]:
    with headrace.connect("inline://", progress=False) as context:
        yield context


NUMBERS = st.sampled_from([0, -1, 1, 2.5, 1.0, True, False, -0.0, Decimal(1), Decimal("2.5"), 10**20, 1e20])
KINDS = [
    NUMBERS,
    NUMBERS | st.just(math.nan),
    st.text("ab", max_size=2),
    st.tuples(NUMBERS, NUMBERS | st.just(math.nan)),
]
pairs = st.sampled_from(KINDS).flatmap(lambda keys: in_parts(st.tuples(keys, VALUES)))
small = st.integers(1, 4)


def place_of(key: Any) -> Any:
    """Order keys as we promise: NaN after everything."""
    if isinstance(key, tuple):
        return tuple(map(place_of, key))
    return (1, 0) if key != key else (0, key)


def of_pair(pair: Any) -> Any:
    return place_of(pair[0])


def text_of(key: Any) -> str:
    return str(canonical(key))


def check(ctx: Context, parts: Parts, number: int, up: bool) -> None:
    dataset, records = lay_out(ctx, parts), flat(parts)
    expected = shown(sorted(records, key=of_pair, reverse=not up))
    assert shown(dataset.sort_by_key(up, number).collect()) == expected
    assert shown(dataset.sort_by(lambda pair: pair[0], up, number).collect()) == expected
    by_text = dataset.sort_by_key(up, number, keyfunc=text_of).collect()
    assert shown(by_text) == shown(sorted(records, key=lambda pair: text_of(pair[0]), reverse=not up))
    within = glom(dataset.repartition_and_sort_within_partitions(number, ascending=up))
    dealt = glom(dataset.partition_by(number))
    assert [shown(part) for part in within] == [shown(sorted(part, key=of_pair, reverse=not up)) for part in dealt]


@given(parts=pairs, number=small, up=st.booleans())
@settings(max_examples=60)
def test_inline(ctx: Context, parts: Parts, number: int, up: bool) -> None:
    check(ctx, parts, number, up)


@given(parts=pairs, number=small, up=st.booleans(), seed=st.integers(0, 10_000))
@settings(max_examples=15)
def test_in_simulated_worlds_that_lose_everything(parts: Parts, number: int, up: bool, seed: int) -> None:
    with headrace.connect(f"sim://?workers=4&hosts=2&seed={seed}&faults=all", progress=False) as ctx:
        check(ctx, parts, number, up)


@given(parts=in_parts(st.tuples(VALUES, VALUES)), number=small)
@settings(max_examples=40)
def test_within_partitions_the_function_deals_and_another_orders(ctx: Context, parts: Parts, number: int) -> None:
    made = lay_out(ctx, parts).repartition_and_sort_within_partitions(number, lambda key: key // 2, False, abs)
    expected = [[pair for pair in flat(parts) if pair[0] // 2 % number == place] for place in range(number)]
    assert glom(made) == [sorted(part, key=lambda pair: abs(pair[0]), reverse=True) for part in expected]


def test_what_is_dealt_right_already_is_sorted_where_it_is(ctx: Context) -> None:
    dealt = ctx.parallelize([(key, key) for key in range(9)]).partition_by(3)
    made = dealt.repartition_and_sort_within_partitions(3, ascending=False)
    assert made.explain().count("stage ") == dealt.explain().count("stage ")
    assert made.partitioner == dealt.partitioner
    assert glom(made) == [part[::-1] for part in glom(dealt)]


def die_once(mark: Path, records: Iterator[Any]) -> Iterator[Any]:
    """Take the worker along, the first time."""
    yield from records
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def test_more_than_the_budget_sorted_within_partitions_by_workers_that_die(tmp_path: Path) -> None:
    number = 60_000
    with headrace.connect("local://?workers=2&memory=16MB", progress=False) as ctx:
        wide = ctx.range(number, num_slices=4).map(lambda x: (x * 7919 % number, b"x" * 300))
        made = wide.repartition_and_sort_within_partitions(2, lambda key: key)
        found = made.map_partitions(partial(die_once, tmp_path / "mark")).keys().glom().collect()
    assert found == [list(range(place, number, 2)) for place in (0, 1)]
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("number", [1, 2])
def test_keys_that_cannot_be_compared_are_named_with_the_operator(ctx: Context, number: int) -> None:
    mixed = ctx.parallelize([(1, 1), ("a", 2), (None, 3)], 2)
    for name in ("sort_by_key", "repartition_and_sort_within_partitions"):
        with pytest.raises(TaskFailed, match=rf"(?s)cannot be put in order.*in {name} "):
            getattr(mixed, name)(num_partitions=number).collect()
    no_pairs: Any = ctx.parallelize([1, 2])
    with pytest.raises(TaskFailed, match="not subscriptable"):
        no_pairs.sort_by_key().collect()
