"""What actions run on each partition: small functions from an iterator to a value, found by name on workers."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from itertools import chain
from typing import Any

from headrace.plan.functions import name_of
from headrace.plan.hashing import has_nan, one_nan

NOTHING: tuple[Any, ...] = ()  # the result of an empty partition, where a value could be anything


def count(records: Iterable[Any]) -> int:
    """Count.

    >>> count(iter("abc"))
    3
    """
    number = 0
    for _ in records:
        number += 1
    return number


def add_up(records: Iterable[Any]) -> Any:
    """Add, beginning with 0 as `sum` does."""
    return sum(records)


def fold_up(merge: Callable[[Any, Any], Any], records: Iterable[Any]) -> tuple[Any, ...]:
    """Reduce to one value in a tuple; an empty tuple if there are no records."""
    iterator = iter(records)
    for first in iterator:
        return (reduce(merge, iterator, first),)
    return NOTHING


def largest(number: int, key: Callable[[Any], Any] | None, records: Iterable[Any]) -> list[Any]:
    """Return the largest records, the largest first."""
    return heapq.nlargest(number, records, key)


def smallest(number: int, key: Callable[[Any], Any] | None, records: Iterable[Any]) -> list[Any]:
    """Return the smallest records, the smallest first."""
    return heapq.nsmallest(number, records, key)


def extreme(which: Callable[..., Any], key: Callable[[Any], Any] | None, records: Iterable[Any]) -> tuple[Any, ...]:
    """Return the `max` or `min` in a tuple; an empty tuple if there are no records."""
    iterator = iter(records)
    for first in iterator:
        return (which(chain((first,), iterator), key=key),)
    return NOTHING


def call_once(function: Callable[[Iterable[Any]], Any], records: Iterable[Any]) -> None:
    """Call a function for the iterator, for its effect."""
    function(records)


def call_each(function: Callable[[Any], Any], records: Iterable[Any]) -> None:
    """Call a function for its effect."""
    for record in records:
        function(record)


def sample_keys(
    key: Callable[[Any], Any], number: int, partition: int, records: Iterable[Any]
) -> Iterator[tuple[int, list[Any]]]:
    """Count the records and draw a sample of their keys, every one as likely as another, the same for the same input.

    Source: Vitter, "Random Sampling with a Reservoir" (1985), algorithm R.
    """
    chance = random.Random(partition)
    sample: list[Any] = []
    seen = 0
    for record in records:
        seen += 1
        if len(sample) < number:
            sample.append(key(record))
        elif (place := chance.randrange(seen)) < number:
            sample[place] = key(record)
    yield seen, sample


def join_groups(pair: tuple[Any, tuple[Any, Any]]) -> Iterator[tuple[Any, tuple[Any, Any]]]:
    """Give every pairing of a key's values of two sides; at most one side is held in memory, some thousands at a time."""
    key, (left, right) = pair
    if len(right) <= BLOCK:
        held = list(right)
        for one in left:
            for other in held:
                yield key, (one, other)
        return
    block: list[Any] = []
    for one in left:
        block.append(one)
        if len(block) == BLOCK:
            yield from _paired(key, block, right)
            block.clear()
    if block:
        yield from _paired(key, block, right)


def _paired(key: Any, block: list[Any], right: Iterable[Any]) -> Iterator[tuple[Any, tuple[Any, Any]]]:
    for other in right:
        for one in block:
            yield key, (one, other)


BLOCK = 10_000


def listed(records: Iterable[Any]) -> Iterator[list[Any]]:
    """Give one list of all records."""
    yield list(records)


def same(value: Any) -> Any:
    """Return what comes."""
    return value


def in_turn(number: int, partition: int, records: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """Pair records with the partition that they are dealt to, each input partition beginning elsewhere."""
    first = random.Random(partition).randrange(number)
    return ((place % number, record) for place, record in enumerate(records, first))


class KeyOf:
    """Applies a function to the key of a pair."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    @property
    def words(self) -> str:
        """What is applied."""
        return f"{name_of(self.function)} of the key"

    def __call__(self, pair: Any) -> Any:
        """Apply it."""
        return self.function(pair[0])


class ValuesOf:
    """Gives a pair's value if its key is the one wanted."""

    def __init__(self, key: Any) -> None:
        self.key, self.nan = key, has_nan(key)

    def __call__(self, pair: Any) -> tuple[Any, ...]:
        """Give it, or nothing."""
        if self.nan:  # in lists, because those compare by identity first
            found = [one_nan(pair[0])] == [one_nan(self.key)]
        else:
            found = pair[0] == self.key
        return (pair[1],) if found else ()


class Numbered:
    """Pairs each record with its number, where it is known how many there are in the partitions before."""

    def __init__(self, starts: list[int]) -> None:
        self.starts = starts

    def __call__(self, partition: int, records: Iterable[Any]) -> Iterator[tuple[Any, int]]:
        """Number a partition."""
        return ((record, number) for number, record in enumerate(records, self.starts[partition]))


def numbered_apart(partitions: int, partition: int, records: Iterable[Any]) -> Iterator[tuple[Any, int]]:
    """Pair each record with a number that no other has: k, n+k, 2n+k, ... in partition k of n."""
    return ((record, number * partitions + partition) for number, record in enumerate(records))
