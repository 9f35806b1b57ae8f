"""Every operator against a plain-Python oracle: any data, any keys, any shape of partitions."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from tests.dataset import plain
from tests.dataset.data import KEYS, PAIRS, VALUES, Parts, bag, canonical, flat, glom, in_parts, lay_out, shown


@pytest.fixture(scope="module")
def ctx() -> Iterator[Context]:
    with headrace.connect("inline://", progress=False) as context:
        yield context


numbers, pairs = in_parts(VALUES), in_parts(PAIRS)
small = st.none() | st.integers(1, 5)


@given(parts=numbers)
def test_map_flat_map_and_filter_work_on_each_partition_in_order(ctx: Context, parts: Parts) -> None:
    dataset = lay_out(ctx, parts)
    assert glom(dataset.map(lambda x: x * 2)) == [[x * 2 for x in part] for part in parts]
    assert glom(dataset.flat_map(lambda x: [x] * (x % 3))) == [[x for x in p for _ in range(x % 3)] for p in parts]
    assert glom(dataset.filter(lambda x: x % 2)) == [[x for x in part if x % 2] for part in parts]
    assert glom(dataset.key_by(abs)) == [[(abs(x), x) for x in part] for part in parts]


@given(parts=numbers)
def test_map_partitions_is_called_once_for_each_partition_even_an_empty_one(ctx: Context, parts: Parts) -> None:
    assert lay_out(ctx, parts).map_partitions(lambda part: [sum(part)]).collect() == [sum(part) for part in parts]


@given(parts=pairs)
def test_operators_on_values_leave_keys_and_order_alone(ctx: Context, parts: Parts) -> None:
    dataset = lay_out(ctx, parts)
    records = flat(parts)
    assert shown(dataset.map_values(lambda v: v + 1).collect()) == shown([(k, v + 1) for k, v in records])
    doubled = [(k, v) for k, v in records for _ in range(2)]
    assert shown(dataset.flat_map_values(lambda v: (v, v)).collect()) == shown(doubled)
    assert shown(dataset.keys().collect()) == shown([k for k, _ in records])
    assert dataset.values().collect() == [v for _, v in records]


@given(one=numbers, other=numbers)
def test_union_puts_the_partitions_of_one_after_those_of_the_other(ctx: Context, one: Parts, other: Parts) -> None:
    assert glom(lay_out(ctx, one).union(lay_out(ctx, other))) == one + other


@given(parts=in_parts(KEYS), number=small)
def test_distinct_keeps_the_first_of_equal_records(ctx: Context, parts: Parts, number: int | None) -> None:
    assert bag(lay_out(ctx, parts).distinct(number).collect()) == bag(plain.distinct(flat(parts)))


@given(parts=pairs, number=small)
def test_reduce_by_key_merges_from_left_to_right(ctx: Context, parts: Parts, number: int | None) -> None:
    dataset = lay_out(ctx, parts)
    records = flat(parts)
    assert bag(dataset.reduce_by_key(operator.add, number).collect()) == bag(plain.reduced(records, operator.add))
    joined = dataset.map_values(str).reduce_by_key(lambda a, b: a + "," + b, number)  # not commutative: order shows
    texts = [(k, str(v)) for k, v in records]
    assert bag(joined.collect()) == bag(plain.reduced(texts, lambda a, b: a + "," + b))


@given(parts=pairs, number=small)
def test_combine_by_key_keeps_the_order_of_the_partitions(ctx: Context, parts: Parts, number: int | None) -> None:
    combined = lay_out(ctx, parts).combine_by_key(
        lambda v: [v], lambda c, v: [*c, v], lambda c, d: [*c, *d], num_partitions=number
    )
    assert bag(combined.collect()) == bag(plain.gathered(flat(parts)))


@given(parts=pairs, number=small)
def test_group_by_key_has_every_value_in_order(ctx: Context, parts: Parts, number: int | None) -> None:
    grouped = lay_out(ctx, parts).group_by_key(number)
    assert bag(grouped.map_values(list).collect()) == bag(plain.gathered(flat(parts)))
    assert bag(grouped.map_values(len).collect()) == bag([(k, len(v)) for k, v in plain.gathered(flat(parts))])


@given(left=pairs, right=pairs, number=small)
def test_join_pairs_all_values_of_equal_keys(ctx: Context, left: Parts, right: Parts, number: int | None) -> None:
    joined = lay_out(ctx, left).join(lay_out(ctx, right), number).collect()
    assert bag(joined) == bag(plain.joined(flat(left), flat(right)))
    for key in {canonical(key) for key, _ in joined}:  # within a key: left by left, right by right, as PySpark has it
        ours = [pair for k, pair in joined if canonical(k) == key]
        expected = [pair for k, pair in plain.joined(flat(left), flat(right)) if canonical(k) == key]
        assert ours == expected


@given(parts=pairs, number=st.integers(1, 5))
def test_partition_by_deals_every_pair_once_and_equal_keys_together(ctx: Context, parts: Parts, number: int) -> None:
    dealt = glom(lay_out(ctx, parts).partition_by(number))
    assert len(dealt) == number
    assert bag(flat(dealt)) == bag(flat(parts))
    homes = [{canonical(key) for key, _ in part} for part in dealt]
    assert sum(map(len, homes)) == len(set().union(*homes))
    for part in dealt:  # within a partition, in the order in which they came
        kept = {canonical(key) for key, _ in part}
        assert shown(part) == shown([pair for pair in flat(parts) if canonical(pair[0]) in kept])


@given(parts=in_parts(st.tuples(VALUES, VALUES)), number=st.integers(1, 5))
def test_a_partition_function_decides_modulo_the_number(ctx: Context, parts: Parts, number: int) -> None:
    dealt = glom(lay_out(ctx, parts).partition_by(number, lambda key: key // 2))
    assert dealt == [[p for p in flat(parts) if p[0] // 2 % number == place] for place in range(number)]


@given(parts=in_parts(st.tuples(st.integers(0, 4), VALUES)), up=st.booleans(), number=small)
def test_sort_by_sorts_all_and_keeps_the_order_of_equal_ones(
    ctx: Context, parts: Parts, up: bool, number: int | None
) -> None:
    ordered = lay_out(ctx, parts).sort_by(lambda pair: pair[0], ascending=up, num_partitions=number)
    assert ordered.collect() == sorted(flat(parts), key=lambda pair: pair[0], reverse=not up)
    assert ordered.get_num_partitions() == (number or 8)


@given(records=st.lists(VALUES, max_size=12), slices=st.integers(1, 5))
def test_parallelize_cuts_what_it_is_given_as_pyspark_does(ctx: Context, records: list[int], slices: int) -> None:
    cuts = [len(records) * i // slices for i in range(slices + 1)]
    expected = [records[a:b] for a, b in itertools.pairwise(cuts)]
    for given_as in (records, tuple(records), iter(records)):
        assert glom(ctx.parallelize(given_as, slices)) == expected


@given(start=VALUES, end=VALUES, step=st.integers(-7, 7).filter(bool), slices=st.integers(1, 5))
def test_range_counts_as_python_does(ctx: Context, start: int, end: int, step: int, slices: int) -> None:
    values = list(range(start, end, step))
    assert flat(glom(ctx.range(start, end, step, slices))) == values
    assert glom(ctx.range(start, end, step, slices)) == glom(ctx.parallelize(range(start, end, step), slices))
    assert glom(ctx.parallelize(values, slices)) == glom(ctx.range(start, end, step, slices))
    assert ctx.range(end).collect() == list(range(end))
