"""Keyed records of every kind, and what plain Python makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from hypothesis import strategies as st


class Pair(NamedTuple):
    one: Any
    other: Any


def _nan() -> float:
    return float("nan")


KEYS_OF = {
    "small numbers": st.integers(0, 5),
    "numbers": st.integers(-(10**20), 10**20),
    "mixed numbers": st.one_of(st.integers(0, 3), st.sampled_from([0.0, -0.0, 1.0, 1.5, True, False, Decimal(2)])),
    "text": st.text(max_size=4),
    "words": st.sampled_from([f"word{i}" for i in range(200)]),
    "long text": st.integers(0, 30).map(lambda i: f"{i}" * 300),
    "bytes": st.binary(max_size=3),
    "nothing": st.sampled_from([None, "", (), 0, b"", False]),
    "nan": st.one_of(st.builds(_nan), st.just(1.0), st.none()),
    "tuples": st.tuples(st.integers(0, 3), st.text(max_size=1)),
    "tuples with nan": st.tuples(st.integers(0, 2), st.one_of(st.builds(_nan), st.just(1))),
    "named tuples": st.builds(Pair, st.integers(0, 3), st.one_of(st.none(), st.builds(_nan))),
    "sets": st.frozensets(st.integers(0, 3), max_size=2),
    "dates": st.dates(date(2020, 1, 1), date(2020, 1, 9)),
    "surrogates": st.sampled_from(["\ud800", "\udfff", "a"]),
}
VALUES = st.one_of(st.integers(), st.text(max_size=5), st.none(), st.lists(st.integers(), max_size=3))
PARTITIONS = st.integers(1, 5)
BUDGETS = st.sampled_from([1, 300, 1_000, 4_000, 20_000, 1 << 30])
PIECES = st.sampled_from([1, 7, 100, 1 << 20])


@st.composite
def keyed_parts(draw: st.DrawFn, values: st.SearchStrategy[Any] = VALUES) -> list[list[tuple[Any, Any]]]:
    """Draw the partitions of a dataset of pairs, with keys of one kind."""
    keys = KEYS_OF[draw(st.sampled_from(sorted(KEYS_OF)))]
    pairs = st.tuples(keys, values)
    return draw(st.lists(st.lists(pairs, max_size=40), min_size=1, max_size=4))


def canonical(key: Any) -> Any:
    """Give keys that count as one the same form: NaN is equal to itself here."""
    if isinstance(key, tuple):
        return tuple(map(canonical, key))
    return ("nan", type(key)) if isinstance(key, float | Decimal) and key != key else key


def flat(parts: Iterable[Sequence[Any]]) -> list[Any]:
    """Lay partitions end to end."""
    return [record for part in parts for record in part]


def gathered(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    """Gather values by key, in order, as a dictionary does it."""
    found: dict[Any, list[Any]] = {}
    for key, value in pairs:
        found.setdefault(canonical(key), []).append(value)
    return found
