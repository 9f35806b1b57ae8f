"""The inner loops against the plainest Python there is."""

from __future__ import annotations

import operator
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import InternalError
from headrace.execute import kernels
from headrace.plan.hashing import stable_hash
from headrace.plan.partitioners import HashPartitioner, RangePartitioner
from tests.execute.data import KEYS_OF
from tests.plan.lineage import user

PAIRS = st.lists(st.tuples(st.text(max_size=2), st.integers()))
KEYS = st.sampled_from(sorted(KEYS_OF)).flatmap(lambda kind: st.lists(KEYS_OF[kind], max_size=30))


@given(PAIRS, st.sampled_from([operator.add, max, operator.sub, lambda a, b: (a, b)]))
def test_reducing_pairs(pairs: list[tuple[str, Any]], merge: Any) -> None:
    table: dict[Any, Any] = {}
    expected: dict[Any, Any] = {}
    half = len(pairs) // 2
    kernels.reduce_pairs(table, pairs[:half], merge)
    kernels.reduce_pairs(table, iter(pairs[half:]), merge)
    for key, value in pairs:
        expected[key] = merge(expected[key], value) if key in expected else value
    assert list(table.items()) == list(expected.items())


@given(PAIRS)
def test_combining_pairs(pairs: list[tuple[str, int]]) -> None:
    table: dict[Any, Any] = {}
    kernels.combine_pairs(table, iter(pairs), lambda value: (value,), lambda all_, value: (*all_, value))
    expected: dict[Any, Any] = {}
    for key, value in pairs:
        expected[key] = (*expected.get(key, ()), value)
    assert list(table.items()) == list(expected.items())


@given(PAIRS, PAIRS)
def test_appending_pairs(one: list[tuple[str, int]], other: list[tuple[str, int]]) -> None:
    table: dict[Any, Any] = {}
    wide: dict[Any, Any] = {}
    kernels.append_pairs(table, one)
    kernels.append_pairs_at(wide, one, 0, 2)
    kernels.append_pairs_at(wide, other, 1, 2)
    assert table == {key: [v for k, v in one if k == key] for key, _ in one}
    assert wide == {key: [[v for k, v in one if k == key], [v for k, v in other if k == key]] for key, _ in one + other}


@given(st.lists(st.text(max_size=2)))
def test_counting_and_keeping(records: list[str]) -> None:
    counted: dict[Any, Any] = {}
    kernels.count_records(counted, iter(records))
    assert list(counted.items()) == list(Counter(records).items())
    kept: dict[Any, Any] = {}
    kernels.keep_records(kept, iter(records))
    assert list(kept) == list(dict.fromkeys(records))


@given(KEYS, st.integers(1, 300))
def test_dealing_by_hash_is_dealing_one_by_one(keys: list[Any], number: int) -> None:
    values = list(range(len(keys)))
    dealer = HashPartitioner(number)
    parts = kernels.scatter(keys, values, dealer)
    assert len(parts) == number
    for place, (some_keys, some_values) in enumerate(parts):
        expected = [value for key, value in zip(keys, values, strict=True) if dealer.partition(key) == place]
        assert some_values == expected
        assert [id(key) for key in some_keys] == [id(keys[value]) for value in expected]


@given(KEYS)
def test_a_batch_hashes_as_its_keys_do(keys: list[Any]) -> None:
    assert list(kernels.hashes(keys)) == [stable_hash(key) for key in keys]


@given(st.lists(st.integers()), st.integers(1, 9))
def test_dealing_by_range(keys: list[int], number: int) -> None:
    ranges = RangePartitioner(number, user(abs), ascending=True)
    with pytest.raises(InternalError):
        kernels.scatter([*keys, 1], [*keys, 1], ranges)
    ranges.settle([(key, 1.0) for key in keys])
    parts = kernels.scatter(keys, keys, ranges)
    assert [key for some, _ in parts for key in sorted(some)] == sorted(keys)


def test_columns_of_different_lengths_are_never_dealt() -> None:
    with pytest.raises(ValueError, match="shorter"):
        kernels.deal(["a", "b"], [1, 2], [0], 1)
    with pytest.raises(ValueError, match=r"longer|shorter"):
        kernels.deal(["a"], [1, 2], [0, 0], 1)


@given(st.integers(0, (1 << 32) - 1), st.integers(0, 5))
def test_a_bucket_is_one_of_the_buckets(hashed: int, depth: int) -> None:
    assert 0 <= kernels.bucket_of(hashed, depth) < kernels.BUCKETS
