"""What all partitions would give, estimated from those that have reported, and how far off that may be.

The partitions that have reported are taken for a sample of all, drawn without replacement, each partition with all of its
records: a cluster sample.  So nothing is assumed of records within one partition, which may be as alike as they please; but
partitions that take longer must not be others in kind.

Source: Cochran, "Sampling Techniques" (3rd edition, 1977): sections 2.5 and 2.9 for totals (with 9A.2: whole clusters), 6.4
for ratios; Student's t for few partitions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Self

EXACT_FREEDOM = 60  # degrees of freedom up to which Student's distribution is summed up; an expansion does beyond


class BoundedFloat(float):
    """A number that was estimated, and an interval that has the true one with some confidence.

    Attributes:
        low, high: the interval; both are the number itself where that is exact.
        confidence: how often such an interval has the true number in it; 1.0 where it is exact, 0.0 where nothing is known.

    >>> found = BoundedFloat(10.0, 0.95, 8.0, 12.0)
    >>> found, found.low, found.high, found + 1
    (10.0, 8.0, 12.0, 11.0)

    """

    __slots__ = ("confidence", "high", "low")

    confidence: float
    low: float
    high: float

    def __new__(cls, mean: float, confidence: float, low: float, high: float) -> Self:
        """Make one."""
        made = super().__new__(cls, mean)
        made.confidence, made.low, made.high = confidence, low, high
        return made

    def __reduce__(self) -> tuple[type[Self], tuple[float, float, float, float]]:
        return type(self), (float(self), self.confidence, self.low, self.high)


class BoundedInt(int):
    """A whole number that was estimated, and an interval that has the true one with some confidence; see `BoundedFloat`.

    >>> found = BoundedInt(10, 0.95, 8, 12)
    >>> found, found.low, found.high
    (10, 8, 12)
    """

    confidence: float
    low: float
    high: float

    def __new__(cls, number: int, confidence: float, low: float, high: float) -> Self:
        """Make one."""
        made = super().__new__(cls, number)
        made.confidence, made.low, made.high = confidence, low, high
        return made

    def __reduce__(self) -> tuple[type[Self], tuple[int, float, float, float]]:
        return type(self), (int(self), self.confidence, self.low, self.high)


def estimated_count(counts: Sequence[int], partitions: int, confidence: float) -> BoundedInt:
    """Estimate how many records there are, from the numbers of those partitions that have reported.

    >>> found = estimated_count([10, 12, 11, 11], 8, 0.95)
    >>> found, found.low, found.high
    (88, 80, 96)
    """
    seen = sum(counts)
    if len(counts) == partitions:
        return BoundedInt(seen, 1.0, seen, seen)
    if not counts:
        return BoundedInt(0, 0.0, 0, math.inf)
    number, margin = _total(counts, partitions, confidence)
    high = number + margin
    low = max(seen, number - margin)  # what was counted is there
    return BoundedInt(round(number), confidence, math.floor(low), high if math.isinf(high) else math.ceil(high))


def estimated_sum(sums: Sequence[float], partitions: int, confidence: float) -> BoundedFloat:
    """Estimate the sum of all records, from the sums of those partitions that have reported.

    >>> estimated_sum([1.0, 3.0], 2, 0.95).low
    4.0
    """
    if len(sums) == partitions:
        total = float(sum(sums))
        return BoundedFloat(total, 1.0, total, total)
    if not sums:
        return BoundedFloat(0.0, 0.0, -math.inf, math.inf)
    return _about(*_total(list(map(float, sums)), partitions, confidence), confidence)


def estimated_mean(parts: Sequence[tuple[int, float]], partitions: int, confidence: float) -> BoundedFloat:
    """Estimate the mean of all records, from the numbers and sums of those partitions that have reported: a ratio.

    >>> estimated_mean([(2, 1.0), (2, 3.0)], 4, 0.95)
    1.0
    """
    records, total = sum(number for number, _ in parts), sum(sum_ for _, sum_ in parts)
    mean = float(total / records) if records else 0.0
    if len(parts) == partitions:
        return BoundedFloat(mean, 1.0, mean, mean)
    if not records:
        return BoundedFloat(0.0, 0.0, -math.inf, math.inf)
    residuals = [float(sum_) - mean * number for number, sum_ in parts]
    each = records / len(parts)
    margin = _margin(_spread(residuals, 0.0), len(parts), partitions, confidence) / each
    return _about(mean, margin, confidence)


def _about(number: float, margin: float, confidence: float) -> BoundedFloat:
    """Return a number with what is known of it: of one that is not finite, nothing."""
    if not math.isfinite(number):
        return BoundedFloat(number, confidence, -math.inf, math.inf)
    return BoundedFloat(number, confidence, number - margin, number + margin)


def _total(values: Sequence[float], partitions: int, confidence: float) -> tuple[float, float]:
    """Return the estimated sum over all partitions, and how far off it may be."""
    mean = sum(values) / len(values)
    margin = _margin(_spread(values, mean), len(values), partitions, confidence)
    return mean * partitions, margin * partitions


def _spread(values: Sequence[float], mean: float) -> float:
    """Return the sample's standard deviation; NaN of one alone, which tells nothing about others."""
    if len(values) < 2:
        return math.nan
    return math.hypot(*(value - mean for value in values)) / math.sqrt(len(values) - 1)  # squares might overflow


def _margin(spread: float, reported: int, partitions: int, confidence: float) -> float:
    """Return how far the mean of those that reported may be from the mean of all."""
    if confidence == 0:
        return 0.0
    if math.isnan(spread) or confidence == 1:
        return math.inf
    return student((1 + confidence) / 2, reported - 1) * spread * math.sqrt((1 - reported / partitions) / reported)


def student(share: float, freedom: int) -> float:
    """Return what a variable of Student's distribution stays below with a given chance, of 0.5 at least.

    Source: Abramowitz and Stegun, "Handbook of Mathematical Functions" (1964), 26.7.3 and 26.7.4, the distribution as a
    finite sum, here inverted by bisection; 26.7.5, its expansion for many degrees of freedom.

    >>> round(student(0.975, 1), 3), round(student(0.975, 10), 3), round(student(0.975, 1000), 3)
    (12.706, 2.228, 1.962)
    """
    if freedom > EXACT_FREEDOM:
        x = NormalDist().inv_cdf(share)
        first, second = (x**3 + x) / 4, (5 * x**5 + 16 * x**3 + 3 * x) / 96
        return x + first / freedom + second / freedom**2
    angle = _bisect(lambda theta: _within(theta, freedom), 2 * share - 1)
    return math.sqrt(freedom) * math.tan(angle)


def _within(theta: float, freedom: int) -> float:
    """Return the chance to lie within plus and minus tan(theta) times the root of the degrees of freedom."""
    sine, cosine = math.sin(theta), math.cos(theta)
    term = cosine if freedom % 2 else 1.0
    total = 0.0
    for step in range(3 if freedom % 2 else 2, freedom + 1, 2):
        total += term
        term *= cosine * cosine * (step - 1) / step
    return 2 / math.pi * (theta + sine * total) if freedom % 2 else sine * total


def _bisect(rising: Callable[[float], float], wanted: float) -> float:
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2
