"""Numbers summed up: count, mean, spread, least and most, merged from parts without loss."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
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
        self._add(len(some), mean, deviations, min(some), max(some))

    def _add(self, number: int, mean: Any, deviations: Any, least: Any, most: Any) -> None:
        if not number:
            return
        total = self._number + number
        gap = mean - self._mean
        self._deviations = self._deviations + deviations + gap * gap * (self._number * number / total)
        self._mean = (self._mean * self._number + mean * number) / total if self._number else mean
        self._number = total
        self._least, self._most = min(self._least, least), max(self._most, most)

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
        return self.variance() ** 0.5

    def sample_stdev(self) -> Any:
        """Return the root of the sample variance."""
        return self.sample_variance() ** 0.5

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


def extremes(records: Iterable[Any]) -> tuple[Any, Any] | None:
    """Return the least and the largest of what counts in a histogram; None if nothing does."""
    counted = [record for record in records if counts(record)]
    return (min(counted), max(counted)) if counted else None


def counts(value: Any) -> bool:
    """Whether a value counts in a histogram: None and NaN do not."""
    return value is not None and not (isinstance(value, float) and math.isnan(value))


class Bins:
    """Counts values between bounds; the last bin has its upper bound in it, the others do not."""

    def __init__(self, bounds: Sequence[Any], step: Any) -> None:
        self.bounds, self.step = bounds, step  # step: of evenly spaced bounds, or None

    def __call__(self, records: Iterator[Any]) -> list[int]:
        """Count."""
        bounds, step = self.bounds, self.step
        least, most, last = bounds[0], bounds[-1], len(bounds) - 2
        found = [0] * (last + 1)
        for value in records:
            if not counts(value) or not least <= value <= most:
                continue
            place = int((value - least) / step) if step else bisect_right(bounds, value) - 1
            found[min(place, last)] += 1
        return found


def even_bounds(least: Any, most: Any, number: int) -> tuple[list[Any], Any]:
    """Return the bounds of a number of equal bins, and their width: whole where that comes out even.

    >>> even_bounds(0, 50, 2)
    ([0, 25, 50], 25)
    """
    if least == most or number == 1:
        return [least, most], None
    step = (most - least) // number if isinstance(least, int) and isinstance(most, int) else (most - least) / number
    if step * number != most - least:
        step = (most - least) * 1.0 / number
    return [*(least + i * step for i in range(number)), most], step
