"""How keys are dealt to partitions.  Two datasets with equal partitioners are joined without moving either."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from operator import index, itemgetter
from typing import Any

from msgspec import Struct

from headrace.errors import InternalError, ProgramError
from headrace.plan.functions import UserFunction
from headrace.plan.hashing import has_nan, short, stable_hash


class HashPartitioner(Struct, frozen=True):
    """By the stable hash.

    >>> HashPartitioner(4).partition("water")
    3
    """

    partitions: int

    def partition(self, key: Any) -> int:
        """Return the partition of a key: the hash as a fraction of its range, times the number of partitions."""
        return stable_hash(key) * self.partitions >> 32

    def __str__(self) -> str:
        return f"hash({self.partitions})"


class SplitPartitioner(Struct, frozen=True):
    """By the stable hash, and some keys over several partitions, of which the one that their hash says is their home.

    Attributes:
        dealt: keys whose rows are dealt in turn to so many partitions, from their home on.
        copied: keys whose rows go to all of so many.

    """

    partitions: int
    dealt: dict[Any, int]
    copied: dict[Any, int]

    def partition(self, key: Any) -> int:
        """Return the home of a key."""
        return HashPartitioner(self.partitions).partition(key)

    def __str__(self) -> str:
        what = [f"{len(keys)} {how}" for keys, how in ((self.dealt, "dealt"), (self.copied, "copied")) if keys]
        return f"hash({self.partitions}), split keys: {', '.join(what)}"


class FunctionPartitioner(Struct, frozen=True):
    """By what a function of the user's returns for the key, modulo the number of partitions."""

    partitions: int
    function: UserFunction

    def partition(self, key: Any) -> int:
        """Return the partition of a key."""
        try:
            number = self.function.call(key)
        except StopIteration as error:  # whoever asks for the next partition would take it for the end
            raise RuntimeError("partition_func raised StopIteration") from error
        try:
            return index(number) % self.partitions
        except TypeError:
            raise ProgramError(
                f"partition_func returned {short(number)} for the key {short(key)}. It must return a whole number."
            ) from None

    def __str__(self) -> str:
        return f"function({self.partitions})"


class _Last:
    """Where NaN stands in an order: after everything."""

    def __lt__(self, other: object) -> bool:
        return False

    def __gt__(self, other: object) -> bool:
        return other is not self

    def __reduce__(self) -> str:
        return "LAST"


LAST = _Last()


def sortable(key: Any) -> Any:
    """Replace every NaN in a key, with which there is no order, by what comes after all else.

    >>> sorted([2, sortable(float("nan")), 1])[:2]
    [1, 2]
    """
    if not has_nan(key):
        return key
    return tuple(map(sortable, key)) if isinstance(key, tuple) else LAST


class RangePartitioner:
    """By order, between bounds that a sample of the keys decides before the first job that needs them.

    Equal only to itself: two samples give two sets of bounds.
    """

    __slots__ = ("ascending", "bounds", "key", "partitions")

    def __init__(self, partitions: int, key: UserFunction, *, ascending: bool) -> None:
        self.partitions, self.key, self.ascending = partitions, key, ascending
        self.bounds: list[Any] | None = None

    def settle(self, sample: list[tuple[Any, float]]) -> None:
        """Choose bounds that cut a weighted sample of keys into equal parts; fewer where too few keys are distinct."""
        ordered = sorted(((sortable(key), weight) for key, weight in sample), key=itemgetter(0))
        total = sum(weight for _, weight in ordered)
        bounds: list[Any] = []
        below = 0.0
        for key, weight in ordered:
            below += weight
            while below >= total * (len(bounds) + 1) / self.partitions and len(bounds) < self.partitions - 1:
                bounds.append(key)
        self.bounds = [key for place, key in enumerate(bounds) if place == 0 or key != bounds[place - 1]]

    def partition(self, key: Any) -> int:
        """Return the partition of a key."""
        if self.bounds is None:
            raise InternalError("a range partitioner was used before its bounds were settled")
        try:
            place = bisect_left(self.bounds, sortable(key))
        except TypeError as error:
            raise unordered(error) from error
        return place if self.ascending else len(self.bounds) - place

    def __str__(self) -> str:
        return f"range({self.partitions})"


def unordered(error: TypeError) -> ProgramError:
    """Say that keys are of kinds that cannot be compared, and what to do."""
    return ProgramError(f"these keys cannot be put in order: {error}. Give a key that returns values of one kind.")


Partitioner = HashPartitioner | SplitPartitioner | FunctionPartitioner | RangePartitioner
PartitionFunction = Callable[[Any], int]
