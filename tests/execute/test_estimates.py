"""Estimates from the partitions that have reported: right on the average, and as far off as they say."""

from __future__ import annotations

import math
import pickle
import random
from collections.abc import Callable, Sequence
from statistics import NormalDist, mean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.execute.estimates import (
    EXACT_FREEDOM,
    BoundedFloat,
    BoundedInt,
    estimated_count,
    estimated_mean,
    estimated_sum,
    student,
)

TABLE = {  # of Student's distribution: degrees of freedom, and what 97.5 and 99.5 in a hundred stay below
    1: (12.7062, 63.6567), 2: (4.3027, 9.9248), 3: (3.1824, 5.8409), 4: (2.7764, 4.6041), 7: (2.3646, 3.4995),
    10: (2.2281, 3.1693), 30: (2.0423, 2.7500), 60: (2.0003, 2.6603), 120: (1.9799, 2.6174), 1000: (1.9623, 2.5808),
}  # fmt: skip


def test_students_distribution_is_that_of_the_tables() -> None:
    for freedom, (some, most) in TABLE.items():
        assert student(0.975, freedom) == pytest.approx(some, abs=1e-4)
        assert student(0.995, freedom) == pytest.approx(most, abs=1e-4)


def test_sum_and_expansion_meet() -> None:
    for share in (0.55, 0.9, 0.975, 0.9995):
        summed, expanded = student(share, EXACT_FREEDOM), student(share, EXACT_FREEDOM + 1)
        assert summed == pytest.approx(expanded, rel=2e-3)
        assert summed > expanded > NormalDist().inv_cdf(share)


Population = list[tuple[int, float]]  # of partitions: how many records, and their sum


def populations(chance: random.Random) -> Population:
    """Partitions of different lengths; the records of one are more alike than those of two."""
    made = []
    for _ in range(60):
        number, level = chance.randrange(50, 150), chance.gauss(10, 2)
        made.append((number, sum(chance.gauss(level, 1) for _ in range(number))))
    return made


def counted(parts: Population, total: int, confidence: float) -> BoundedInt:
    return estimated_count([number for number, _ in parts], total, confidence)


def summed(parts: Population, total: int, confidence: float) -> BoundedFloat:
    return estimated_sum([sum_ for _, sum_ in parts], total, confidence)


TRUTHS: list[tuple[Callable[..., Any], Callable[[Population], float]]] = [
    (counted, lambda parts: sum(number for number, _ in parts)),
    (summed, lambda parts: math.fsum(sum_ for _, sum_ in parts)),
    (estimated_mean, lambda parts: math.fsum(s for _, s in parts) / sum(n for n, _ in parts)),
]


@pytest.mark.parametrize(("estimate", "truth"), TRUTHS)
@pytest.mark.parametrize("reported", [5, 20, 55])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_an_interval_has_the_truth_in_it_as_often_as_it_says(
    estimate: Callable[..., Any], truth: Callable[[Population], float], reported: int, confidence: float
) -> None:
    chance = random.Random(17)
    hits, offs, rounds = 0, [], 800
    population = populations(chance)
    expected = truth(population)
    for _ in range(rounds):
        found = estimate(chance.sample(population, reported), len(population), confidence)
        hits += found.low <= expected <= found.high
        offs.append(found - expected)
    noise = 4 * math.sqrt(confidence * (1 - confidence) / rounds)
    assert abs(hits / rounds - confidence) < noise + 0.02
    spread = math.sqrt(mean(off * off for off in offs))
    assert abs(mean(offs)) < 4 * spread / math.sqrt(rounds) + 0.01 * spread, "right on the average"


def test_the_more_has_reported_the_narrower() -> None:
    population = populations(random.Random(3))
    widths = []
    for reported in (8, 20, 40, 55, 60):
        found = estimated_sum([sum_ for _, sum_ in population[:reported]], 60, 0.95)
        widths.append(found.high - found.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == 0


@given(
    parts=st.lists(st.tuples(st.integers(0, 100), st.floats(-1e6, 1e6)), max_size=12),
    more=st.integers(0, 5),
    confidence=st.sampled_from([0.0, 0.5, 0.95, 1.0]),
)
def test_whatever_reported_the_interval_has_the_estimate_in_it(parts: Population, more: int, confidence: float) -> None:
    total = len(parts) + more
    for estimate in (counted, summed, estimated_mean):
        found = estimate(parts, total, confidence)
        assert found.low <= found <= found.high
        assert found.confidence == (1.0 if not more else found.confidence)
        if not more:
            assert found.low == found == found.high
    assert counted(parts, total, confidence).low >= sum(number for number, _ in parts), "what was counted is there"


def test_of_nothing_nothing_is_known_and_of_one_partition_not_how_far_off_it_is() -> None:
    nothing: Sequence[Any] = []
    for found in (
        estimated_sum(nothing, 3, 0.95),
        estimated_mean(nothing, 3, 0.95),
        estimated_mean([(0, 0.0)], 3, 0.95),
    ):
        assert (found, found.low, found.high, found.confidence) == (0.0, -math.inf, math.inf, 0.0)
    empty = estimated_count(nothing, 3, 0.95)
    assert (empty, empty.low, empty.high, empty.confidence) == (0, 0, math.inf, 0.0)
    one = estimated_count([7], 3, 0.95)
    assert (one, one.low, one.high, one.confidence) == (21, 7, math.inf, 0.95)


def test_bounds_travel() -> None:
    for found in (BoundedFloat(1.5, 0.9, 1.0, 2.0), BoundedInt(15, 0.9, 10, 20)):
        copy = pickle.loads(pickle.dumps(found))
        assert (copy, copy.low, copy.high, copy.confidence) == (found, found.low, found.high, 0.9)
        assert type(copy) is type(found)


NUMBERS = st.one_of(st.floats(), st.sampled_from([math.inf, -math.inf, math.nan, 1e200, -1e200, 1e308, -0.0]))


@given(st.lists(NUMBERS, max_size=6), st.integers(0, 3), st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_numbers_however_large_or_not_finite_have_an_interval_around_them(
    sums: list[float], missing: int, confidence: float
) -> None:
    total = len(sums) + missing
    for found in (
        estimated_sum(sums, total, confidence),
        estimated_mean([(1, one) for one in sums], total, confidence),
    ):
        if missing and not math.isfinite(found):
            assert (found.low, found.high) == (-math.inf, math.inf)
        elif not math.isnan(found):
            assert found.low <= found <= found.high
