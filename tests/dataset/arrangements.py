"""Random graphs of operators on whole partitions, understood twice: by datasets, and by plain lists of lists.

The order of all records is known, so results are compared record by record.
"""

from __future__ import annotations

import itertools
import zlib
from typing import Any, NamedTuple

from hypothesis import strategies as st

from headrace.context import Context
from headrace.dataset import Dataset
from tests.dataset.data import Parts, flat, lay_out

KINDS = ["map", "filter", "glom", "coalesce", "union", "zip", "cartesian", "number", "number apart", "shuffle", "cache"]


class Made(NamedTuple):
    """A dataset, and the partitions that it should have."""

    dataset: Dataset[Any]
    parts: Parts


class Step(NamedTuple):
    """An operator, and on which of the datasets made so far it works."""

    kind: str
    one: int
    other: int
    number: int


STEPS = st.lists(
    st.builds(Step, st.sampled_from(KINDS), st.integers(0, 99), st.integers(0, 99), st.integers(1, 4)), max_size=7
)


def place(record: Any, number: int) -> int:
    return zlib.crc32(repr(record).encode()) % number


def shown(record: Any) -> str:
    return f"<{record}>"


def even(record: Any) -> bool:
    return place(record, 3) > 0


def build(ctx: Context, parts: Parts, steps: list[Step]) -> list[Made]:
    """Make everything, for one run."""
    made = [Made(lay_out(ctx, parts), parts)]
    for step in steps:
        one, other = made[step.one % len(made)], made[step.other % len(made)]
        if (new := _made(one, other, step)) is not None and _size(new.parts) <= 60:
            made.append(new)
    return made


def _size(parts: Parts) -> int:
    return len(parts) + len(flat(parts)) + sum(len(repr(record)) > 300 for record in flat(parts)) * 60


def _made(one: Made, other: Made, step: Step) -> Made | None:
    dataset, parts = one
    number = step.number
    match step.kind:
        case "map":
            return Made(dataset.map(shown), [[shown(r) for r in part] for part in parts])
        case "filter":
            return Made(dataset.filter(even), [[r for r in part if even(r)] for part in parts])
        case "glom":
            return Made(dataset.glom().map(tuple), [[tuple(part)] for part in parts])
        case "coalesce":
            number = min(number, len(parts))
            cuts = [i * len(parts) // number for i in range(number + 1)]
            return Made(dataset.coalesce(number), [flat(parts[a:b]) for a, b in itertools.pairwise(cuts)])
        case "union":
            return Made(dataset.union(other.dataset), parts + other.parts)
        case "zip":
            again = dataset.map(shown) if list(map(len, parts)) != list(map(len, other.parts)) else other.dataset
            those = other.parts if again is other.dataset else [[shown(r) for r in part] for part in parts]
            return Made(dataset.zip(again), [list(zip(*two, strict=True)) for two in zip(parts, those, strict=True)])
        case "cartesian" if _size(parts) * _size(other.parts) <= 400:
            pairs = [list(itertools.product(left, right)) for left in parts for right in other.parts]
            return Made(dataset.cartesian(other.dataset), pairs)
        case "number":
            numbers = itertools.count()
            return Made(dataset.zip_with_index(), [[(r, next(numbers)) for r in part] for part in parts])
        case "number apart":
            total = len(parts)
            apart = [[(r, i * total + p) for i, r in enumerate(part)] for p, part in enumerate(parts)]
            return Made(dataset.zip_with_unique_id(), apart)
        case "shuffle":
            dealt = dataset.key_by(lambda record: place(record, number)).partition_by(number, int).values()
            return Made(dealt, [[r for r in flat(parts) if place(r, number) == p] for p in range(number)])
        case "cache":
            return Made(dataset.cache(), parts)
    return None
