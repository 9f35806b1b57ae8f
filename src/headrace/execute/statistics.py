"""Numbers summed up: count, mean, spread, least and most, merged from parts without loss."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any

BATCH = 4096  # records taken at once


class StatCounter:
    """Count, mean and squared deviations of numbers, and the least and the largest of them.

    Source: Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances" (1979).

    >>> one = StatCounter([1, 2]).merge_stats(StatCounter([3]))
    >>> one.count(), one.mean(), one.min(), one.max(), one.variance()
    (3, 2.0, 1, 3, 0.6666666666666666)
    """

    __slots__ = ("_deviations", "_least", "_mean", "_most", "_number")

    def __init__(self, values: Iterable[Any] = ()) -> None:
        self._number = 0
        self._mean: Any = 0.0
        self._deviations: Any = 0.0
        self._least: Any = math.inf
        self._most: Any = -math.inf
        iterator = iter(values)
        while some := list(islice(iterator, BATCH)):
            self._take(some)

    def _take(self, some: Sequence[Any]) -> None:
        mean = sum(some) / len(some)
        deviations = sum((value - mean) * (value - mean) for value in some)
        self._add(len(some), mean, deviations, _extreme(min, some), _extreme(max, some))

    def _add(self, number: int, mean: Any, deviations: Any, least: Any, most: Any) -> None:
        if not number:
            return
        before, self._number = self._number, self._number + number
        if not before:
            self._mean, self._deviations, self._least, self._most = mean, deviations, least, most
            return
        if isinstance(mean, Decimal) != isinstance(self._mean, Decimal):  # which do not mix with floats
            mean, deviations = float(mean), float(deviations)
            self._mean, self._deviations = float(self._mean), float(self._deviations)
        gap = mean - self._mean
        self._deviations = self._deviations + deviations + gap * gap * before * number / self._number
        self._mean = (self._mean * before + mean * number) / self._number
        self._least, self._most = _extreme(min, (self._least, least)), _extreme(max, (self._most, most))

    def merge(self, value: Any) -> StatCounter:
        """Take one more number."""
        self._take([value])
        return self

    def merge_stats(self, other: StatCounter) -> StatCounter:
        """Take all that another has taken."""
        self._add(other._number, other._mean, other._deviations, other._least, other._most)
        return self

    def copy(self) -> StatCounter:
        """Return another of the same."""
        return StatCounter().merge_stats(self)

    def count(self) -> int:
        """Return how many there are."""
        return self._number

    def mean(self) -> Any:
        """Return their mean; 0.0 if there are none."""
        return self._mean

    def sum(self) -> Any:
        """Return their sum."""
        return self._mean * self._number

    def min(self) -> Any:
        """Return the least; infinity if there are none."""
        return self._least

    def max(self) -> Any:
        """Return the largest; minus infinity if there are none."""
        return self._most

    def variance(self) -> Any:
        """Return the mean squared deviation; NaN if there are none."""
        return self._deviations / self._number if self._number else math.nan

    def sample_variance(self) -> Any:
        """Return the variance of what they are a sample of: divided by one less; NaN for fewer than two."""
        return self._deviations / (self._number - 1) if self._number > 1 else math.nan

    def stdev(self) -> Any:
        """Return the root of the variance."""
        return _root(self.variance())

    def sample_stdev(self) -> Any:
        """Return the root of the sample variance."""
        return _root(self.sample_variance())

    def as_dict(self, sample: bool = False) -> dict[str, Any]:
        """Return all of it by name.

        Args:
            sample: with the sample's variance and standard deviation.

        """
        return {
            "count": self.count(),
            "mean": self.mean(),
            "sum": self.sum(),
            "min": self.min(),
            "max": self.max(),
            "stdev": self.sample_stdev() if sample else self.stdev(),
            "variance": self.sample_variance() if sample else self.variance(),
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StatCounter) and repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"(count: {self.count()}, mean: {self.mean()}, stdev: {self.stdev()}, max: {self.max()}, min: {self.min()})"
        )


def _extreme(which: Callable[[Iterable[Any]], Any], values: Sequence[Any]) -> Any:
    """Return the `min` or `max` of numbers; NaN if one of them is, wherever it stands."""
    found = which(values)
    return next((value for value in values if value != value), found)


def _root(number: Any) -> Any:
    return number.sqrt() if isinstance(number, Decimal) else number**0.5


def sum_as_float(records: Iterable[Any]) -> float:
    """Add numbers up."""
    return float(sum(records))


def number_and_sum(records: Iterable[Any]) -> tuple[int, float]:
    """Count numbers and add them up.

    >>> number_and_sum(iter([1, 2]))
    (2, 3.0)
    """
    number, total = 0, 0.0
    iterator = iter(records)
    while some := list(islice(iterator, BATCH)):
        number += len(some)
        total += float(sum(some))
    return number, total


def extremes(records: Iterable[Any]) -> tuple[Any, Any] | None:
    """Return the least and the largest of what counts in a histogram; None if nothing does."""
    counted = filter(counts, records)
    for least in counted:
        most = least
        while some := list(islice(counted, BATCH)):
            least, most = min(least, min(some)), max(most, max(some))
        return least, most
    return None


def counts(value: Any) -> bool:
    """Whether a value counts in a histogram: None and NaN do not."""
    return value is not None and bool(value == value)


class Bins:
    """Counts values between bounds; the last bin has its upper bound in it, the others do not."""

    def __init__(self, bounds: Sequence[Any]) -> None:
        self.bounds = bounds

    def __call__(self, records: Iterator[Any]) -> list[int]:
        """Count."""
        bounds = self.bounds
        least, most, last = bounds[0], bounds[-1], len(bounds) - 2
        found = [0] * (last + 1)
        for value in filter(counts, records):
            if least <= value <= most:
                found[min(bisect_right(bounds, value) - 1, last)] += 1
        return found


def even_bounds(least: Any, most: Any, number: int) -> list[Any]:
    """Return the bounds of a number of equally wide bins; whole ones where that comes out even.

    >>> even_bounds(0, 50, 2), even_bounds(0, 3, 2)
    ([0, 25, 50], [0, 1.5, 3])
    """
    if least == most or number == 1:
        return [least, most]
    width = most - least
    step = width // number if isinstance(width, int) and width % number == 0 else width / number
    return [least, *(least + i * step for i in range(1, number)), most]
