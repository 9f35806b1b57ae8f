"""What numbers sum up to, and how they are spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from headrace.dataset import actions, numbers
from headrace.dataset.frames import action
from headrace.dataset.methods.handle import Handle
from headrace.execute.estimates import BoundedFloat, BoundedInt
from headrace.execute.statistics import StatCounter

T = TypeVar("T")


class Numbers(Handle[T]):
    """Actions on numbers, and on whatever can be ordered."""

    __slots__ = ()

    @action
    def sum(self) -> T:
        """Add the records, beginning with 0.

        >>> ctx.parallelize([1, 2, 3.5]).sum()
        6.5
        """
        total: T = actions.add_up(self._engine, self._operator)
        return total

    @action
    def max(self, key: Callable[[T], Any] | None = None) -> T:
        """Return the largest record.

        Raises:
            NoRecords: there are none; it is a ValueError.

        >>> ctx.parallelize(["to", "mill"]).max(key=len)
        'mill'

        """
        found: T = actions.extreme(self._engine, self._operator, max, key, "max")
        return found

    @action
    def min(self, key: Callable[[T], Any] | None = None) -> T:
        """Return the smallest record.

        Raises:
            NoRecords: there are none; it is a ValueError.

        >>> ctx.parallelize([3, 1, 2]).min()
        1

        """
        found: T = actions.extreme(self._engine, self._operator, min, key, "min")
        return found

    @action
    def stats(self) -> StatCounter:
        """Return count, mean, spread, least and largest in one.

        >>> ctx.parallelize([1, 2, 3]).stats()
        (count: 3, mean: 2.0, stdev: 0.816496580927726, max: 3, min: 1)
        """
        return numbers.stats(self._engine, self._operator)

    @action
    def mean(self) -> float:
        """Return the mean.

        >>> ctx.parallelize([1, 2, 3]).mean()
        2.0
        """
        found: float = numbers.stats(self._engine, self._operator, "mean").mean()
        return found

    @action
    def variance(self) -> float:
        """Return the mean squared deviation from the mean.

        >>> ctx.parallelize([1, 3]).variance()
        1.0
        """
        found: float = numbers.stats(self._engine, self._operator, "variance").variance()
        return found

    @action
    def stdev(self) -> float:
        """Return the standard deviation.

        >>> ctx.parallelize([1, 3]).stdev()
        1.0
        """
        found: float = numbers.stats(self._engine, self._operator, "stdev").stdev()
        return found

    @action
    def sample_variance(self) -> float:
        """Return the variance of what the records are a sample of: divided by one less than there are.

        >>> ctx.parallelize([1, 3]).sample_variance()
        2.0
        """
        found: float = numbers.stats(self._engine, self._operator, "sample_variance").sample_variance()
        return found

    @action
    def sample_stdev(self) -> float:
        """Return the standard deviation of what the records are a sample of.

        >>> ctx.parallelize([1, 3, 5]).sample_stdev()
        2.0
        """
        found: float = numbers.stats(self._engine, self._operator, "sample_stdev").sample_stdev()
        return found

    @action
    def histogram(self, buckets: int | Sequence[Any]) -> tuple[list[Any], list[int]]:
        """Count numbers, or whatever can be ordered, between bounds; the last bucket includes its upper bound.

        Args:
            buckets: the bounds, ascending; or how many, of equal width, between the least and the largest.

        Raises:
            NoRecords: there is nothing to find bounds for; it is a ValueError.

        >>> ctx.range(51).histogram(2)
        ([0, 25, 50], [25, 26])
        >>> ctx.parallelize(["ab", "ac", "b", "bd", "ef"]).histogram(("a", "b", "c"))
        (['a', 'b', 'c'], [2, 2])

        """
        return numbers.histogram(self._engine, self._operator, buckets)

    @action
    def count_approx_distinct(self, relative_sd: float = 0.05) -> int:
        """Estimate how many different records there are, without moving them.

        Args:
            relative_sd: the relative standard deviation of the estimate; the smaller, the more memory.

        >>> 900 < ctx.range(1000).count_approx_distinct() < 1100
        True

        """
        return numbers.count_approx_distinct(self._engine, self._operator, relative_sd)

    @action
    def count_approx(self, timeout: float, confidence: float = 0.95) -> BoundedInt:
        """Count the records, or estimate how many there are from the partitions that were counted when the time is up.

        What has not been counted by then is called off, and nobody waits for it. The partitions that report first are
        taken for a fair sample of all: where large ones take longer, the estimate is too low.

        Args:
            timeout: in milliseconds; as soon as all is counted, the exact number is returned.
            confidence: how often an interval from `low` to `high` is to have the true number in it, from 0 to 1.

        >>> number = ctx.range(1000).count_approx(60_000)
        >>> number, number.low, number.high, number.confidence
        (1000, 1000, 1000, 1.0)

        """
        return numbers.count_approx(self._engine, self._operator, timeout, confidence)

    @action
    def sum_approx(self, timeout: float, confidence: float = 0.95) -> BoundedFloat:
        """Add the records, or estimate their sum from the partitions that were added when the time is up.

        Args:
            timeout, confidence: as for `count_approx`.

        >>> ctx.range(1000).sum_approx(60_000)
        499500.0

        """
        return numbers.sum_approx(self._engine, self._operator, timeout, confidence)

    @action
    def mean_approx(self, timeout: float, confidence: float = 0.95) -> BoundedFloat:
        """Return the mean, or an estimate of it from the partitions that were added when the time is up.

        Args:
            timeout, confidence: as for `count_approx`.

        >>> ctx.range(1000).mean_approx(60_000)
        499.5

        """
        return numbers.mean_approx(self._engine, self._operator, timeout, confidence)
