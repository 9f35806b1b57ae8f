"""What numbers sum up to, how they are spread and how many differ: against plain Python, in any partitions."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.errors import NoRecords, TaskFailed, UsageError
from headrace.execute.sketch import POWER_MAX, Sketch, estimate, registers_for
from headrace.execute.statistics import StatCounter
from tests.dataset.data import Parts, flat, in_parts, lay_out


@pytest.fixture(scope="module")
def ctx() -> Iterator[Context]:
    with headrace.connect("inline://", progress=False) as context:
        yield context


FLOATS = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
NUMBERS = st.one_of(st.integers(-(10**6), 10**6), FLOATS, st.booleans(), st.fractions(-5, 5, max_denominator=9))
DECIMALS = st.decimals(-1000, 1000, places=2)
numbers = st.sampled_from([NUMBERS, DECIMALS | st.integers(-9, 9)]).flatmap(in_parts)


def close(found: Any, expected: Any) -> bool:
    return math.isclose(float(found), float(expected), rel_tol=1e-9, abs_tol=1e-6)


def check_stats(ctx: Context, parts: Parts) -> None:
    dataset, exact = lay_out(ctx, parts), [Fraction(x) for x in flat(parts)]
    found = dataset.stats()
    assert found.count() == len(exact)
    if not exact:
        assert (found.mean(), found.sum(), found.min(), found.max()) == (0.0, 0.0, math.inf, -math.inf)
        assert all(math.isnan(x) for x in (found.variance(), found.stdev(), found.sample_variance()))
        return
    assert (found.min(), found.max()) == (min(exact), max(exact))
    assert close(found.mean(), statistics.mean(exact))
    assert close(found.sum(), sum(exact))
    assert close(found.variance(), statistics.pvariance(exact))
    assert close(found.stdev(), math.sqrt(statistics.pvariance(exact)))
    if len(exact) > 1:
        assert close(found.sample_variance(), statistics.variance(exact))
        assert close(found.sample_stdev(), math.sqrt(statistics.variance(exact)))
    else:
        assert math.isnan(found.sample_variance())
    assert dataset.mean() == found.mean()
    assert dataset.variance() == found.variance()
    assert dataset.stdev() == found.stdev()
    assert close(dataset.sum(), sum(exact))
    assert (dataset.min(), dataset.max()) == (min(exact), max(exact))
    if len(exact) > 1:
        assert dataset.sample_variance() == found.sample_variance()
        assert dataset.sample_stdev() == found.sample_stdev()


def counted(records: list[Any], bounds: list[Any]) -> list[int]:
    """Count between bounds, the slow and sure way."""
    those = [x for x in records if x is not None and x == x]
    *inner, last = itertools.pairwise(bounds)
    found = [sum(low <= x < high for x in those) for low, high in inner]
    return [*found, sum(last[0] <= x <= last[1] for x in those)]


def check_histogram(ctx: Context, parts: Parts, bounds: list[Any], number: int) -> None:
    dataset, records = lay_out(ctx, parts), flat(parts)
    assert dataset.histogram(bounds) == (bounds, counted(records, bounds))
    those = [x for x in records if x is not None and x == x]
    if not those:
        with pytest.raises(NoRecords):
            dataset.histogram(number)
        return
    made, counts = dataset.histogram(number)
    assert (made[0], made[-1]) == (min(those), max(those))
    assert sum(counts) == len(those)
    if min(those) == max(those):
        assert counts == [len(those)]
        return
    assert len(counts) == number
    assert counts == counted(records, made)
    width = (Fraction(made[-1]) - Fraction(made[0])) / number
    assert all(close(made[i], Fraction(made[0]) + i * width) for i in range(number + 1))


LIMITED = in_parts(
    st.one_of(st.integers(-9, 9), st.floats(-9, 9).map(lambda x: round(x, 1)), st.none(), st.just(math.nan))
)
BOUNDS = st.lists(st.integers(-10, 10) | st.sampled_from([0.5, -2.5]), min_size=2, max_size=6, unique=True).map(sorted)


@given(parts=numbers)
@settings(max_examples=60)
def test_stats_inline(ctx: Context, parts: Parts) -> None:
    check_stats(ctx, parts)


@given(parts=LIMITED, bounds=BOUNDS, number=st.integers(1, 7))
@settings(max_examples=80)
def test_histograms_inline(ctx: Context, parts: Parts, bounds: list[Any], number: int) -> None:
    check_histogram(ctx, parts, bounds, number)


@given(parts=numbers, limited=LIMITED, bounds=BOUNDS, number=st.integers(1, 7), seed=st.integers(0, 10_000))
@settings(max_examples=10)
def test_in_simulated_worlds_that_lose_everything(
    parts: Parts, limited: Parts, bounds: list[Any], number: int, seed: int
) -> None:
    with headrace.connect(f"sim://?workers=4&hosts=2&seed={seed}&faults=all", progress=False) as ctx:
        check_stats(ctx, parts)
        check_histogram(ctx, limited, bounds, number)
        words = lay_out(ctx, limited).map(repr)
        assert words.count_approx_distinct(0.01) == len(set(map(repr, flat(limited))))


@given(parts=in_parts(st.floats(-9, 9) | st.just(math.nan)), data=st.data())
@settings(max_examples=40)
def test_nan_makes_everything_nan_wherever_it_stands(ctx: Context, parts: Parts, data: st.DataObject) -> None:
    parts[data.draw(st.integers(0, len(parts) - 1))].append(math.nan)
    found = lay_out(ctx, parts).stats()
    assert all(math.isnan(x) for x in (found.mean(), found.min(), found.max(), found.variance()))


@given(st.lists(st.lists(FLOATS, max_size=9), max_size=5))
def test_counters_merge_into_what_one_would_have_counted(parts: list[list[float]]) -> None:
    merged = StatCounter()
    for part in parts:
        merged.merge_stats(StatCounter(part))
    one_by_one = StatCounter()
    for value in flat(parts):
        one_by_one.merge(value)
    for found in (merged, one_by_one, merged.copy()):
        assert found.count() == len(flat(parts))
        assert close(found.mean(), statistics.mean(flat(parts)) if flat(parts) else 0)
        assert found.count() == 0 or close(found.variance(), statistics.pvariance(flat(parts)))
    twice = merged.copy().merge_stats(merged)
    assert twice.count() == 2 * merged.count()
    assert set(merged.as_dict()) == {"count", "mean", "sum", "min", "max", "stdev", "variance"}
    assert StatCounter([1, 3]).as_dict(sample=True)["variance"] == 2


def test_small_spread_around_a_large_mean_is_not_lost(ctx: Context) -> None:
    assert close(ctx.parallelize([1e9 + x for x in range(1000)], 7).variance(), (1000**2 - 1) / 12)


def test_histograms_take_whatever_has_an_order(ctx: Context) -> None:
    words = ctx.parallelize(["ab", "ac", "b", "bd", "ef", None], 2)
    assert words.histogram(("a", "b", "c")) == (["a", "b", "c"], [2, 2])
    assert words.histogram(1) == (["ab", "ef"], [5])
    halves = [Decimal(0), Decimal("0.5"), Decimal(1)]
    assert ctx.parallelize([Decimal(0), Decimal(1)]).histogram(2) == (halves, [1, 1])
    assert lay_out(ctx, [[], [None]]).histogram([0, 1]) == ([0, 1], [0])
    assert ctx.parallelize([0.0, 5e-324]).histogram(3)[1] == [0, 0, 2], "too close for bounds between"


@pytest.mark.parametrize(
    ("records", "buckets", "problem"),
    [
        ([1, 2], 0, "buckets cannot be 0"),
        ([1, 2], 2.5, "needs a number of buckets or a list of bounds"),
        ([1, 2], [1], "at least two bounds"),
        ([1, 2], [1, math.nan], "none of them None or NaN"),
        ([1, 2], [2, 1], "ascending order"),
        ([1, 2], [1, 1], "ascending order"),
        ([1, 2], [1, "a"], "bounds of one kind"),
        (["a", "b"], 2, "for numbers only"),
        ([1, "b"], 1, "not supported between"),
        ([1, math.inf], 2, "cannot make equal buckets"),
        ([-1e308, 1e308], 2, "cannot make equal buckets"),
        ([0, 10**400], 3, "for numbers only"),
    ],
)
def test_buckets_that_mean_nothing_are_refused(ctx: Context, records: list[Any], buckets: Any, problem: str) -> None:
    with pytest.raises((UsageError, TaskFailed), match=problem):
        lay_out(ctx, [records]).histogram(buckets)


def test_a_histogram_holds_no_partition(ctx: Context) -> None:
    """Its search for the least and the largest goes batch by batch: a partition may be larger than memory."""
    alive = most = 0

    class Number(int):
        def __new__(cls, value: int) -> Number:
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            return super().__new__(cls, value)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    from headrace.execute.statistics import BATCH, extremes

    assert extremes(Number(x) for x in range(10 * BATCH)) == (0, 10 * BATCH - 1)
    assert most <= 2 * BATCH + 10


# How many differ.


@pytest.mark.parametrize("number", [0, 1, 7, 300, 1500, 2500, 20_000])
def test_the_estimate_is_as_good_as_it_says_for_every_number(number: int) -> None:
    """Seeds are fixed: the mean of 20 estimates lies within 5 of its standard deviations."""
    power = registers_for(0.05)
    found = [estimate([Sketch(power)(iter(range(seed * 10**6, seed * 10**6 + number)))]) for seed in range(20)]
    assert abs(sum(found) / 20 - number) <= 5 * 0.05 * number / math.sqrt(20)
    assert all(abs(x - number) <= 5 * 0.05 * number for x in found)


@given(parts=st.lists(st.lists(st.integers(0, 500) | st.text("ab", max_size=3)), min_size=1, max_size=4))
@settings(max_examples=30)
def test_records_that_are_equal_count_once_wherever_they_lie(ctx: Context, parts: Parts) -> None:
    dataset = lay_out(ctx, parts)
    number = len(set(flat(parts)))
    assert abs(dataset.count_approx_distinct(0.0025) - number) <= 1
    assert dataset.union(dataset).count_approx_distinct() == dataset.count_approx_distinct()


def test_an_accuracy_that_cannot_be_had_is_refused(ctx: Context) -> None:
    alike = ctx.parallelize([1, 1.0, True, math.nan, float("nan"), Decimal(1), None], 3)
    assert alike.count_approx_distinct() == 3
    assert registers_for(0.0021) == POWER_MAX
    for wrong in (0, -1, 0.002, math.nan, math.inf, "much", None):
        with pytest.raises(UsageError, match=r"distinct\(\)\.count\(\)"):
            alike.count_approx_distinct(wrong)  # type: ignore[arg-type]
    with pytest.raises(TaskFailed, match="cannot be a key"):
        ctx.parallelize([[1]]).count_approx_distinct()
