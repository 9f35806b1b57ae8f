"""Actions on numbers: what they sum up to, how they are spread, how many differ."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

from headrace.dataset.actions import per_partition
from headrace.dataset.engine import Engine
from headrace.errors import NoRecords, UsageError
from headrace.execute.sketch import Sketch, estimate, registers_for
from headrace.execute.statistics import Bins, StatCounter, counts, even_bounds, extremes
from headrace.plan.hashing import short
from headrace.plan.operators import Operator

ACCURACY_BEST = 0.000017


def stats(engine: Engine, source: Operator, name: str = "stats") -> StatCounter:
    """Sum numbers up."""
    return reduce(StatCounter.merge_stats, per_partition(engine, source, StatCounter, name), StatCounter())


def histogram(engine: Engine, source: Operator, buckets: int | Sequence[Any]) -> tuple[list[Any], list[int]]:
    """Count numbers between bounds.

    Raises:
        UsageError: the bounds make no sense.
        NoRecords: there are no numbers to find bounds for.

    """
    if isinstance(buckets, int) and not isinstance(buckets, bool):
        bounds, step = _even(engine, source, buckets)
    else:
        bounds, step = _bounds(buckets), None
    parts = per_partition(engine, source, Bins(bounds, step), "histogram")
    return bounds, [sum(column) for column in zip(*parts, strict=True)] or [0] * (len(bounds) - 1)


def _even(engine: Engine, source: Operator, number: int) -> tuple[list[Any], Any]:
    if number < 1:
        raise UsageError(f"histogram needs at least one bucket, not {number}.")
    found = [part for part in per_partition(engine, source, extremes, "histogram") if part is not None]
    if not found:
        raise NoRecords("histogram() of a dataset without numbers. Give the bounds of the buckets.")
    return even_bounds(min(part[0] for part in found), max(part[1] for part in found), number)


def _bounds(buckets: Any) -> list[Any]:
    try:
        bounds = list(buckets)
    except TypeError:
        raise UsageError(f"histogram needs a number of buckets or a list of bounds, not {short(buckets)}.") from None
    if len(bounds) < 2 or not all(map(counts, bounds)):
        raise UsageError("histogram needs at least two bounds, none of them None or NaN.")
    if not all(one < other for one, other in pairwise(bounds)):
        raise UsageError("histogram needs its bounds in ascending order, each once. Use sorted(set(bounds)).")
    return bounds


def count_approx_distinct(engine: Engine, source: Operator, relative_sd: float) -> int:
    """Estimate how many different records there are."""
    if not ACCURACY_BEST <= relative_sd < 1:
        raise UsageError(f"relative_sd must be at least {ACCURACY_BEST} and less than 1, not {relative_sd!r}.")
    sketches = per_partition(engine, source, Sketch(registers_for(relative_sd)), "count_approx_distinct")
    return estimate(sketches) if sketches else 0
