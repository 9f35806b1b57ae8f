"""A join whose small side every worker has as a table: the other side streams past it and is not shuffled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count, islice
from math import exp, log
from random import Random
from typing import Any, Literal

from headrace.execute.chunks import dumps
from headrace.execute.combine import column_frames, columns_of, key_error
from headrace.execute.flow import Pace
from headrace.execute.joining import DISTINCT
from headrace.execute.kernels import Table, append_pairs, plain
from headrace.execute.shared import Broadcast
from headrace.plan.adaptive import Sample
from headrace.plan.hashing import one_nan

DRAWN = 1000  # records of each partition that are looked at
OFTEN = 50  # keys of each partition that are told, at most
WEIGHED = 100  # of the records drawn are pickled, to learn their size


class Side:
    """A table of the values of each key, made anew from columns wherever it comes, so that a NaN is found again."""

    __slots__ = ("names", "table")

    def __init__(self, keys: list[Any], values: list[Any]) -> None:
        self.table: Table = {}
        append_pairs(self.table, zip(keys if plain(keys) else map(one_nan, keys), values, strict=True))
        self.names = {key: key for key in self.table}  # what stands for keys that are equal

    def __reduce__(self) -> tuple[Any, ...]:
        keys = [key for key, values in self.table.items() for _ in values]
        return Side, (keys, [value for values in self.table.values() for value in values])


class HashJoin:
    """Pairs the records of one side with those of the other, which is a table.

    Args:
        small: which side is the table.
        keeps: records of the other side that have no partner are paired with None.

    """

    def __init__(self, side: Broadcast[Side], small: Literal["left", "right"], *, keeps: bool) -> None:
        self.side, self.small, self.keeps = side, small, keeps

    @property
    def words(self) -> str:
        """Where the table is."""
        return f"the {self.small} side is a table"

    def __call__(self, records: Iterator[Any]) -> Iterator[tuple[Any, tuple[Any, Any]]]:
        """Pair them."""
        side = self.side.value
        table, names = side.table, side.names if self.small == "left" else {}
        alone = [None] if self.keeps else []
        for batch in Pace().lists(records):
            keys, values = columns_of(batch)
            bare = set(map(type, keys)) <= DISTINCT
            if not bare and not plain(keys):
                keys = list(map(one_nan, keys))
            found = _found(table, keys, alone)
            shown = keys if bare else [names.setdefault(key, key) if key in table else key for key in keys]
            if self.small == "right":
                for key, one, others in zip(shown, values, found, strict=True):
                    for other in others:
                        yield key, (one, other)
            else:
                for key, one, others in zip(shown, values, found, strict=True):
                    for other in others:
                        yield key, (other, one)


def _found(table: Table, keys: list[Any], alone: list[Any]) -> list[list[Any]]:
    try:
        return [table.get(key, alone) for key in keys]
    except TypeError as error:
        if (ours := key_error(error)) is not None:
            raise ours from None
        raise


class Columns:
    """Brings a partition as frames of keys and values, or None where it takes more than it may."""

    words = "a small side"

    def __init__(self, most: int) -> None:
        self.most = most

    def __call__(self, records: Iterable[Any]) -> list[bytes] | None:
        """Bring them."""
        frames: list[bytes] = []
        size = 0
        for batch in Pace().lists(iter(records)):
            for piece in column_frames(*columns_of(batch)):
                frames.append(bytes(piece))
                size += len(piece)
                if size > self.most:
                    return None
        return frames


def look_at(records: Iterable[Any]) -> Sample:
    """Count a partition's records, and draw some of them: the same ones whenever it is computed again.

    Source: Li, "Reservoir-Sampling Algorithms of Time Complexity O(n(1 + log(N/n)))" (1994), algorithm L: what is not drawn
    is leapt over.
    """
    drawn, number = _draw(records, DRAWN, Random(DRAWN))
    if not drawn:
        return Sample(number)
    weighed = drawn[:: max(1, len(drawn) // WEIGHED)]
    try:
        keys = columns_of(drawn)[0]
        found = Counter(keys).most_common(OFTEN)
        each = len(dumps([(key, value) for key, value in weighed])) / len(weighed)
    except Exception:  # records that are no pairs, or whose keys are none; user code may raise anything
        return Sample(number, strange=True)
    often = tuple((key, times) for key, times in found if times > 1)
    return Sample(number, int(each * number), len(drawn), often)


def _draw(records: Iterable[Any], most: int, chance: Random) -> tuple[list[Any], int]:
    numbers = count()
    numbered = zip(records, numbers)  # noqa: B905 -- the numbers do not end; the next one is how many records there were
    drawn = [record for record, _ in islice(numbered, most)]
    if len(drawn) < most:
        return drawn, next(numbers)
    weight = 1.0
    while True:
        weight *= exp(log(1.0 - chance.random()) / most)
        leap = int(log(1.0 - chance.random()) / log(1.0 - weight))
        for record, _ in islice(numbered, leap, leap + 1):
            drawn[chance.randrange(most)] = record
            break
        else:
            return drawn, next(numbers)
