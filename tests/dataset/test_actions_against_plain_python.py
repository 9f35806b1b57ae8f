"""Every action against plain Python."""

from __future__ import annotations

import functools
import operator
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from tests.dataset import plain
from tests.dataset.data import KEYS, PAIRS, VALUES, Parts, bag, flat, in_parts, lay_out, shown
from tests.dataset.watch import TasksRun


@pytest.fixture(scope="module")
def ctx() -> Iterator[Context]:
    with headrace.connect("inline://", progress=False) as context:
        yield context


numbers, pairs = in_parts(VALUES), in_parts(PAIRS)


@given(parts=in_parts(KEYS))
def test_records_come_back_in_the_order_of_the_partitions(ctx: Context, parts: Parts) -> None:
    dataset = lay_out(ctx, parts)
    assert shown(dataset.collect()) == shown(flat(parts))
    assert shown(list(dataset.to_local_iterator())) == shown(flat(parts))
    assert dataset.count() == len(flat(parts))


@given(parts=numbers)
def test_sum_reduce_and_first(ctx: Context, parts: Parts) -> None:
    dataset, records = lay_out(ctx, parts), flat(parts)
    assert dataset.sum() == sum(records)
    if records:
        assert dataset.reduce(operator.sub) is not None
        assert dataset.reduce(max) == max(records)
        joined = dataset.map(str).reduce(lambda a, b: f"{a},{b}")
        assert joined == functools.reduce(lambda a, b: f"{a},{b}", map(str, records))
        assert dataset.first() == records[0]
    else:
        with pytest.raises(ValueError, match="without records"):
            dataset.reduce(operator.add)
        with pytest.raises(ValueError, match="without records"):
            dataset.first()


@given(parts=numbers, number=st.integers(0, 30))
def test_take_and_top(ctx: Context, parts: Parts, number: int) -> None:
    dataset, records = lay_out(ctx, parts), flat(parts)
    assert dataset.take(number) == plain.taken(parts, number)
    assert dataset.top(number) == sorted(records, reverse=True)[:number]
    # Of equal ones the first come first, as sorted(reverse=True) has it: stable.
    assert dataset.top(number, key=lambda x: x % 3) == sorted(records, key=lambda x: x % 3, reverse=True)[:number]


@given(parts=pairs)
def test_counts_are_dictionaries_that_count_what_is_not_there_as_none(ctx: Context, parts: Parts) -> None:
    dataset, records = lay_out(ctx, parts), flat(parts)
    by_key = dataset.count_by_key()
    assert type(by_key) is defaultdict
    assert by_key["nobody has this key"] == 0
    del by_key["nobody has this key"]
    assert bag(by_key.items()) == bag((k, len(v)) for k, v in plain.gathered(records))
    by_value = dataset.count_by_value()
    assert type(by_value) is defaultdict
    assert bag(by_value.items()) == bag((k, len(v)) for k, v in plain.gathered([(r, None) for r in records]))


@given(parts=in_parts(st.tuples(st.integers(0, 5) | st.text("ab", max_size=1), VALUES)))
def test_collect_as_map_has_the_last_value_of_a_key(ctx: Context, parts: Parts) -> None:
    assert lay_out(ctx, parts).collect_as_map() == dict(flat(parts))


@given(parts=numbers)
def test_foreach_meets_every_record_once(ctx: Context, parts: Parts) -> None:
    seen = ctx.accumulator(Counter[int]())
    assert lay_out(ctx, parts).foreach(lambda x: seen.add(Counter([x]))) is None
    assert seen.value == Counter(flat(parts))


def test_take_and_first_compute_no_more_partitions_than_they_need() -> None:
    tasks = TasksRun()
    with headrace.connect("inline://", progress=False, watchers=[tasks]) as ctx:
        dataset = ctx.range(100, num_slices=50)
        assert dataset.first() == 0
        assert tasks.partitions() == [0]
        assert dataset.take(2) == [0, 1]
        assert tasks.partitions() == [0]
        assert dataset.take(5) == [0, 1, 2, 3, 4]
        assert tasks.partitions() == [0, 1, 2]  # one with two records, so two more
        assert dataset.take(0) == []
        assert tasks.partitions() == []
        assert dataset.take(1000) == list(range(100))
        assert sorted(set(tasks.partitions())) == list(range(50))


def test_take_stops_within_a_partition_where_it_can() -> None:
    with headrace.connect("inline://", progress=False) as ctx:
        seen = ctx.accumulator(0)

        def look(x: int) -> int:
            seen.add(1)
            return x

        assert ctx.range(1_000_000, num_slices=1).map(look).take(3) == [0, 1, 2]
        assert seen.value < 10_000


def test_to_local_iterator_asks_for_one_partition_at_a_time() -> None:
    tasks = TasksRun()
    with headrace.connect("inline://", progress=False, watchers=[tasks]) as ctx:
        records = ctx.range(6, num_slices=3).to_local_iterator()
        assert tasks.partitions() == []
        assert [next(records), next(records)] == [0, 1]
        assert tasks.partitions() == [0]
        assert next(records) == 2
        assert tasks.partitions() == [1]
        records.close()  # type: ignore[attr-defined]
        assert tasks.partitions() == []
