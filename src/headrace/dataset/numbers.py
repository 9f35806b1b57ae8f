"""Actions on numbers: what they sum up to, how they are spread, how many differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence, Set
from functools import reduce
from itertools import pairwise
from typing import Any

from headrace.config import MS
from headrace.dataset.actions import per_partition
from headrace.dataset.arguments import whole
from headrace.dataset.engine import Engine
from headrace.errors import NoRecords, UsageError
from headrace.execute.estimates import BoundedFloat, BoundedInt, estimated_count, estimated_mean, estimated_sum
from headrace.execute.helpers import count
from headrace.execute.sketch import ACCURACY_BEST, POWER_MAX, Sketch, estimate, registers_for
from headrace.execute.statistics import Bins, StatCounter, counts, even_bounds, extremes, number_and_sum, sum_as_float
from headrace.plan.functions import UserFunction, call_site
from headrace.plan.hashing import short
from headrace.plan.operators import Operator
from headrace.plan.stages import ValueSink

FOREVER_NS = 1 << 62


def stats(engine: Engine, source: Operator, name: str = "stats") -> StatCounter:
    """Sum numbers up."""
    return reduce(StatCounter.merge_stats, per_partition(engine, source, StatCounter, name), StatCounter())


def histogram(engine: Engine, source: Operator, buckets: int | Sequence[Any]) -> tuple[list[Any], list[int]]:
    """Count numbers between bounds.

    Raises:
        UsageError: the bounds make no sense.
        NoRecords: there are no numbers to find bounds for.

    """
    bounds = _even(engine, source, whole(buckets, "buckets", 1)) if hasattr(buckets, "__index__") else _bounds(buckets)
    parts = per_partition(engine, source, Bins(bounds), "histogram")
    return bounds, [sum(column) for column in zip(*parts, strict=True)] or [0] * (len(bounds) - 1)


def _even(engine: Engine, source: Operator, number: int) -> list[Any]:
    found = [part for part in per_partition(engine, source, extremes, "histogram") if part is not None]
    if not found:
        raise NoRecords("histogram() of a dataset without numbers. Give the bounds of the buckets.")
    try:
        least, most = min(part[0] for part in found), max(part[1] for part in found)
        bounds = even_bounds(least, most, number)
    except (TypeError, ArithmeticError) as error:
        raise UsageError(
            f"histogram can find bounds for numbers only: {error}. Give the bounds of the buckets."
        ) from None
    if number > 1 and any(not counts(bound) or bound in (math.inf, -math.inf) for bound in bounds):
        raise UsageError(
            f"histogram cannot make equal buckets between {short(least)} and {short(most)}. Give the bounds of the buckets."
        )
    return bounds


def _bounds(buckets: Any) -> list[Any]:
    if isinstance(buckets, str | Set) or not isinstance(buckets, Iterable):
        raise UsageError(f"histogram needs a number of buckets or a list of bounds, not {short(buckets)}.")
    bounds = list(buckets)
    if len(bounds) < 2 or not all(map(counts, bounds)):
        raise UsageError("histogram needs at least two bounds, none of them None or NaN.")
    try:
        ascending = all(one < other for one, other in pairwise(bounds))
    except TypeError as error:
        raise UsageError(f"histogram needs bounds of one kind: {error}.") from None
    if not ascending:
        raise UsageError("histogram needs its bounds in ascending order, each once. Use sorted(set(bounds)).")
    return bounds


def count_approx_distinct(engine: Engine, source: Operator, relative_sd: float) -> int:
    """Estimate how many different records there are."""
    try:
        power = registers_for(relative_sd) if 0 < relative_sd < math.inf else POWER_MAX + 1
    except TypeError:
        power = POWER_MAX + 1
    if power > POWER_MAX:
        raise UsageError(
            f"relative_sd must be a number of at least {ACCURACY_BEST}, not {short(relative_sd)}. To be exact, use "
            "distinct().count()."
        )
    return estimate(per_partition(engine, source, Sketch(power), "count_approx_distinct"))


# What is known when a time is up.


def count_approx(engine: Engine, source: Operator, timeout: float, confidence: float) -> BoundedInt:
    """Estimate how many records there are, from the partitions that are counted in time."""
    share = _share(confidence)
    return estimated_count(_in_time(engine, source, count, "count_approx", timeout), source.partitions, share)


def sum_approx(engine: Engine, source: Operator, timeout: float, confidence: float) -> BoundedFloat:
    """Estimate the sum of the records, from the partitions that are added up in time."""
    share = _share(confidence)
    return estimated_sum(_in_time(engine, source, sum_as_float, "sum_approx", timeout), source.partitions, share)


def mean_approx(engine: Engine, source: Operator, timeout: float, confidence: float) -> BoundedFloat:
    """Estimate the mean of the records, from the partitions that are added up in time."""
    share = _share(confidence)
    return estimated_mean(_in_time(engine, source, number_and_sum, "mean_approx", timeout), source.partitions, share)


def _in_time(engine: Engine, source: Operator, helper: Callable[..., Any], name: str, timeout: float) -> list[Any]:
    """Run a helper on each partition; return what those gave that ended within so many milliseconds."""
    time = _number(timeout)
    if not time >= 0:
        raise UsageError(f"timeout must be a number of milliseconds, of at least 0, not {short(timeout)}.")
    time_ns = int(min(time * MS, FOREVER_NS))
    return engine.values_in_time(source, ValueSink(UserFunction(helper, name, call_site())), name, time_ns)


def _share(confidence: float) -> float:
    share = _number(confidence)
    if not 0 <= share <= 1:
        raise UsageError(f"confidence must be a number from 0 to 1, such as 0.95, not {short(confidence)}.")
    return share


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
