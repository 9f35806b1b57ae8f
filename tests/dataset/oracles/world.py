"""What every oracle is given: the same records twice, as datasets and as plain lists of partitions."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any, NamedTuple

from hypothesis import strategies as st

from headrace.context import Context
from headrace.dataset import Dataset
from tests.dataset import plain
from tests.dataset.data import PAIRS, VALUES, Parts, canonical, flat, in_parts, itself


class Plain(NamedTuple):
    """Some numbers of several kinds, and pairs on two sides, in partitions; how many partitions are asked for."""

    numbers: Parts
    left: Parts
    right: Parts
    number: int | None

    @property
    def all(self) -> list[Any]:
        """All numbers."""
        return flat(self.numbers)

    @property
    def pairs(self) -> list[Any]:
        """All pairs of the left side."""
        return flat(self.left)

    @property
    def others(self) -> list[Any]:
        """All pairs of the right side."""
        return flat(self.right)

    @property
    def grouped(self) -> list[tuple[Any, list[Any]]]:
        """The values of each key of the left side."""
        return plain.gathered(self.pairs)

    def world(self, ctx: Context, through: Callable[[list[Any]], list[Any]] = itself) -> World:
        """Lay it out; each partition goes through a function."""
        laid = [ctx.parallelize(parts, len(parts)).flat_map(through) for parts in (self.numbers, self.left, self.right)]
        return World(ctx, laid[0], laid[1], laid[2], self.number)


class World(NamedTuple):
    """The same as datasets."""

    ctx: Context
    numbers: Dataset[Any]
    left: Dataset[Any]
    right: Dataset[Any]
    number: int | None


class Oracle(NamedTuple):
    """What an operator gives, and what it should give, in forms that can be compared by `repr`."""

    run: Callable[[World], Any]
    model: Callable[[Plain], Any]


MIXED = VALUES | st.sampled_from([0.5, 2.0, -7.25, True, 10**12])
PLAINS = st.builds(Plain, in_parts(MIXED), in_parts(PAIRS), in_parts(PAIRS), st.none() | st.integers(1, 4))


def faces(pairs: Iterable[tuple[Any, Any]]) -> list[str]:
    """Show pairs regardless of their order and of which of several equal keys stands for them."""
    return sorted(repr((canonical(key), value)) for key, value in pairs)


def bag(records: Iterable[Any]) -> list[str]:
    """Show records regardless of their order and of which of several equal ones stands for them."""
    return sorted(repr(canonical(record)) for record in records)


def lists(groups: Iterable[Any]) -> tuple[list[Any], ...]:
    """Show groups of values."""
    return tuple(list(group) for group in groups)


def attempt(action: Callable[[], Any]) -> Any:
    """Return what an action gives; where there is nothing to give, say so."""
    try:
        return action()
    except ValueError:
        return "nothing"


def about(value: float) -> str:
    """Show a number that is computed in another order."""
    return f"{value:.9g}"


def spread(records: list[Any], sample: bool) -> float:
    """Return the variance, computed exactly."""
    exact = [Fraction(record) for record in records]
    if sample and len(exact) < 2:
        return float("nan")
    return float(statistics.variance(exact) if sample else statistics.pvariance(exact))


def is_part(part: list[Any], whole: list[Any]) -> bool:
    """Whether records lie in a list in that order."""
    left = iter(whole)
    return all(any(record is other or record == other for other in left) for record in part)
