"""Samples: parts of what there is, the same whenever they are computed, and as large as the odds say."""

from __future__ import annotations

import math
import os
import signal
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.dataset import Dataset
from headrace.errors import UsageError
from tests.dataset.data import PAIRS, VALUES, Parts, bag, flat, glom, in_parts, lay_out, shown


@pytest.fixture(scope="module")
def ctx() -> Iterator[Context]:
    with headrace.connect("inline://", progress=False) as context:
        yield context


SEEDS = st.integers(-5, 1 << 40)
FRACTIONS = st.sampled_from([0, 5e-324, 1e-20, 0.05, 0.19, 0.2, 0.5, 0.97, 1])


def is_part_of(some: list[Any], whole: list[Any]) -> bool:
    """Whether records occur in the order of others, each at most as often."""
    rest = iter(whole)
    return all(any(record is other or record == other for other in rest) for record in some)


def drawn(dataset: Dataset[Any], seed: int) -> list[Dataset[Any]]:
    """Sample in every way."""
    keys: dict[Any, float] = {None: 0.5, 1: 0.7, "a": 0.3, math.nan: 0.9, 0: 1.0}
    pairs = dataset.map(lambda record: (record if isinstance(record, int) else 0, record))
    return [
        dataset.sample(False, 0.1, seed),
        dataset.sample(False, 0.6, seed),
        dataset.sample(True, 1.5, seed),
        *dataset.random_split([1, 2, 3], seed),
        pairs.sample_by_key(False, keys, seed),
        pairs.sample_by_key(True, keys, seed),
    ]


@given(parts=in_parts(VALUES), fraction=FRACTIONS, seed=SEEDS)
@settings(max_examples=60)
def test_a_sample_is_a_part_in_order_and_the_same_again(ctx: Context, parts: Parts, fraction: float, seed: int) -> None:
    dataset = lay_out(ctx, parts)
    found = dataset.sample(False, fraction, seed)
    assert all(is_part_of(some, part) for some, part in zip(glom(found), parts, strict=True))
    assert glom(found) == glom(found) == glom(dataset.sample(False, fraction, seed))
    if fraction in (0, 1):
        assert glom(found) == (parts if fraction else [[] for _ in parts])
    often = glom(dataset.sample(True, fraction, seed))
    assert all(set(some) <= set(part) for some, part in zip(often, parts, strict=True))
    assert [sorted(part, key=part.index) for part in often] == often or len(set(flat(parts))) < len(flat(parts))


@given(parts=in_parts(PAIRS), weights=st.lists(st.sampled_from([0, 0.1, 1, 7]), min_size=1, max_size=4), seed=SEEDS)
@settings(max_examples=40)
def test_a_split_deals_each_record_to_exactly_one(ctx: Context, parts: Parts, weights: list[float], seed: int) -> None:
    if not any(weights):
        weights[0] = 2
    made = [glom(part) for part in lay_out(ctx, parts).random_split(weights, seed)]
    assert len(made) == len(weights)
    for place, part in enumerate(parts):
        assert bag(record for split in made for record in split[place]) == bag(part)
    assert all(not flat(split) for split, weight in zip(made, weights, strict=True) if weight == 0)


@given(parts=in_parts(PAIRS), seed=SEEDS)
@settings(max_examples=40)
def test_of_each_key_as_much_as_is_said_and_of_others_none(ctx: Context, parts: Parts, seed: int) -> None:
    dataset = lay_out(ctx, parts)
    all_of = {None: 1.0, float("nan"): 1, 1: 1, (1, None): 1.0}
    found = dataset.sample_by_key(False, all_of, seed)
    assert shown(found.collect()) == shown([p for p in flat(parts) if p[0] in (None, 1, (1, None)) or p[0] != p[0]])
    assert dataset.sample_by_key(True, {1: 0.0}, seed).collect() == []


@given(parts=in_parts(VALUES), number=st.integers(0, 40), seed=SEEDS)
@settings(max_examples=40)
def test_so_many_are_taken_and_no_more_than_there_are(ctx: Context, parts: Parts, number: int, seed: int) -> None:
    dataset, records = lay_out(ctx, parts), flat(parts)
    once = dataset.take_sample(False, number, seed)
    assert len(once) == min(number, len(records))
    assert not Counter(once) - Counter(records)
    often = dataset.take_sample(True, number, seed)
    assert len(often) == (number if records else 0)
    assert set(often) <= set(records)
    assert once == dataset.take_sample(False, number, seed)
    assert often == dataset.take_sample(True, number, seed)


# How large samples come out.  The seeds are fixed, so nothing here can come out otherwise tomorrow; the bounds are five
# standard deviations, so another generator would pass too, and a wrong one would not.

N = 20_000


def about(found: float, expected: float, deviation: float) -> bool:
    return abs(found - expected) < 5 * deviation


@pytest.mark.parametrize("fraction", [0.001, 0.15, 0.2, 0.5, 0.999])
def test_fractions_are_what_they_say(ctx: Context, fraction: float) -> None:
    numbers = ctx.range(N, num_slices=5)
    found = numbers.sample(False, fraction, 17).collect()
    assert about(len(found), N * fraction, math.sqrt(N * fraction * (1 - fraction)))
    middle = math.sqrt(N * N / 12 / len(found))
    assert about(sum(found) / len(found), N / 2, middle), "from everywhere alike"
    often = numbers.sample(True, fraction * 3, 18).collect()
    assert about(len(often), N * fraction * 3, math.sqrt(N * fraction * 3))
    times = Counter(Counter(often).values())
    for k in (1, 2):  # Poisson
        expected = N * math.exp(-fraction * 3) * (fraction * 3) ** k / k
        assert about(times[k], expected, math.sqrt(expected) + 1)


def test_splits_are_in_proportion_and_independent_of_the_partition(ctx: Context) -> None:
    small, large = (part.collect() for part in ctx.range(N, num_slices=4).random_split([1, 3], 5))
    assert about(len(small), N / 4, math.sqrt(N * 3 / 16))
    assert len(small) + len(large) == N
    places = [{x % (N // 4) for x in small if x // (N // 4) == part} for part in range(4)]
    expected = N / 4 / 16
    for one in range(3):
        assert about(len(places[one] & places[one + 1]), expected, math.sqrt(expected)), "no two draw alike"


def test_any_record_is_as_likely_in_any_place_of_a_taken_sample(ctx: Context) -> None:
    numbers = ctx.range(40, num_slices=3)
    seen: Counter[int] = Counter()
    first: Counter[int] = Counter()
    for seed in range(200):
        found = numbers.take_sample(False, 8, seed)
        assert len(set(found)) == 8
        seen.update(found)
        first[found[0]] += 1
    assert len(seen) == 40
    assert all(about(times, 40, math.sqrt(40 * 0.8)) for times in seen.values())
    assert all(about(times, 5, math.sqrt(5)) for times in first.values())


def test_seeds_and_partitions_differ(ctx: Context) -> None:
    numbers = ctx.range(1000, num_slices=2)
    samples = {tuple(numbers.sample(False, 0.5, seed).collect()) for seed in range(20)}
    assert len(samples) == 20
    assert len({tuple(numbers.sample(False, 0.5).collect()) for _ in range(3)}) == 3, "one is drawn unless said"
    unseeded = numbers.sample(False, 0.5)
    assert unseeded.collect() == unseeded.collect()


# The same sample, whatever happens.


@given(parts=in_parts(VALUES), seed=SEEDS, world=st.integers(0, 10_000))
@settings(max_examples=12)
def test_in_simulated_worlds_that_lose_everything_samples_are_those_of_a_kind_world(
    ctx: Context, parts: Parts, seed: int, world: int
) -> None:
    expected = [glom(sample) for sample in drawn(lay_out(ctx, parts), seed)]
    with headrace.connect(f"sim://?workers=4&hosts=2&seed={world}&faults=all", progress=False) as other:
        assert [glom(sample) for sample in drawn(lay_out(other, parts), seed)] == expected


def die_once(mark: Path, records: Iterator[Any]) -> Iterator[Any]:
    """Take the worker along, the first time."""
    for number, record in enumerate(records):
        yield record
        if number == 20 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_sample_that_is_computed_again_after_a_loss_is_the_same(ctx: Context, local: Context, tmp_path: Path) -> None:
    for way, expected in enumerate(drawn(ctx.range(300, num_slices=3), 11)):
        mark = tmp_path / f"{way}"
        found = drawn(local.range(300, num_slices=3), 11)[way]
        if way in (1, 2, 5):
            found = found.map_partitions(partial(die_once, mark))
        assert found.collect() == expected.collect()
        assert mark.exists() == (way in (1, 2, 5))


@pytest.mark.parametrize("fraction", [-0.1, 1.1, math.nan, math.inf, "x", None])
def test_fractions_that_mean_nothing_are_refused(ctx: Context, fraction: Any) -> None:
    pairs = ctx.parallelize([(1, 2)])
    with pytest.raises(UsageError, match="fraction must be a number"):
        pairs.sample(False, fraction)
    with pytest.raises(UsageError, match="the fraction of 1 must be a number"):
        pairs.sample_by_key(False, {1: fraction})
    if fraction != 1.1:
        with pytest.raises(UsageError, match="fraction must be a number"):
            pairs.sample(True, fraction)
        with pytest.raises(UsageError, match="each weight must be a number"):
            pairs.random_split([1, fraction])


def test_weights_and_numbers_that_mean_nothing_are_refused(ctx: Context) -> None:
    numbers = ctx.range(3)
    for weights in ([], [0, 0], [1e308, 1e308]):
        with pytest.raises(UsageError, match="random_split needs weights"):
            numbers.random_split(weights)
    for number in (-1, 1.5, None):
        with pytest.raises(UsageError, match="num cannot be"):
            numbers.take_sample(False, number)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="seed cannot be"):
        numbers.sample(False, 0.5, "7")  # type: ignore[arg-type]
