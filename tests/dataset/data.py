"""Random data for datasets, and how to lay it out in partitions of any shape."""

from __future__ import annotations

import enum
import math
import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from numbers import Number
from typing import Any, NamedTuple

from hypothesis import strategies as st

from headrace.context import Context
from headrace.dataset import Dataset

Parts = list[list[Any]]


class Point(NamedTuple):
    """A named tuple is the key that its tuple is."""

    x: Any
    y: Any


@dataclass(frozen=True)
class Coin:
    """A frozen dataclass is a key of its own."""

    side: Any


class Suit(enum.Enum):
    HEARTS = "h"
    SPADES = "s"


NUMBERS = st.sampled_from(
    [0, 1, 2, 1.0, 0.0, -0.0, 2.5, True, False, 10**20, 1e20, -1, Decimal(1), Decimal("2.50"), Fraction(5, 2), 1 + 0j]
)
SIMPLE = st.one_of(st.none(), NUMBERS, st.just(math.nan), st.text("ab", max_size=2), st.binary(max_size=2))
KEYS = st.one_of(
    SIMPLE,
    st.tuples(SIMPLE, SIMPLE),
    st.builds(Point, SIMPLE, SIMPLE),
    st.builds(Coin, st.none() | st.integers(0, 1)),
    st.sampled_from([*Suit, date(2024, 2, 29), datetime(2024, 2, 29), timedelta(1), uuid.UUID(int=7)]),
    st.frozensets(st.integers(0, 3), max_size=2),
)
VALUES = st.integers(-50, 50)
PAIRS = st.tuples(KEYS, VALUES)


def in_parts(records: st.SearchStrategy[Any]) -> st.SearchStrategy[Parts]:
    """Draw some partitions, empty ones among them; sometimes nothing but empty ones."""
    return st.lists(st.lists(records, max_size=6), min_size=1, max_size=4)


def lay_out(ctx: Context, parts: Parts) -> Dataset[Any]:
    """Make a dataset whose partitions hold exactly these records."""
    return ctx.parallelize(parts, len(parts)).flat_map(itself)


def itself(value: Any) -> Any:
    return value


def glom(dataset: Dataset[Any]) -> Parts:
    """Bring the records of each partition."""
    return dataset.map_partitions(lambda records: [list(records)]).collect()


def flat(parts: Parts) -> list[Any]:
    return [record for part in parts for record in part]


def shown(records: list[Any]) -> list[str]:
    """Show records so that 1, 1.0 and True differ and NaN is itself."""
    return [repr(record) for record in records]


def bag(records: Any) -> list[str]:
    """Show records regardless of their order."""
    return sorted(map(repr, records))


def canonical(key: Any) -> Any:
    """Give keys that are one key to Python (and NaN, which is one to us) one face."""
    if isinstance(key, tuple):
        return tuple(canonical(part) for part in key)
    if isinstance(key, Number):
        return "NaN" if key != key else complex(key) + 0  # type: ignore[call-overload]  # -0.0 + 0 is 0.0
    return key
