"""Keys that are split over several partitions: their rows dealt in turn on one side of a join, copied on the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headrace.execute.helpers import join_groups
from headrace.execute.kernels import Columns, deal, places_of
from headrace.plan.partitioners import HashPartitioner, SplitPartitioner

Grouped = tuple[Any, tuple[Any, Any]]  # a key, and its values on the left and on the right
Pairing = tuple[Any, tuple[Any, Any]]


class Spread:
    """Deals pairs where a `SplitPartitioner` says.

    Args:
        first: where the turns of this map partition begin, so that not all begin with the same.

    """

    def __init__(self, partitioner: SplitPartitioner, first: int) -> None:
        self._partitioner, self._first = partitioner, first
        self._split = frozenset((*partitioner.dealt, *partitioner.copied))
        self._turns = dict.fromkeys(partitioner.dealt, 0)

    def scatter(self, keys: list[Any], values: list[Any]) -> list[Columns]:
        """Deal a batch: for each partition, its keys and their values, in the order in which they came."""
        number = self._partitioner.partitions
        places = places_of(keys, number, distinct=False)
        if self._split.isdisjoint(keys):
            return deal(keys, values, places, number)
        dealt, copied = self._partitioner.dealt, self._partitioner.copied
        at: list[int] = []
        all_keys: list[Any] = []
        all_values: list[Any] = []
        for key, value, home in zip(keys, values, places, strict=True):
            if key in copied:
                parts = copied[key]
                at += [(home + part) % number for part in range(parts)]
                all_keys += [key] * parts
                all_values += [value] * parts
                continue
            at.append((home + self._turn(key)) % number if key in dealt else home)
            all_keys.append(key)
            all_values.append(value)
        return deal(all_keys, all_values, at, number)

    def _turn(self, key: Any) -> int:
        """Choose the next part of a key: the first row of every map partition goes to its home.

        So a key has rows there if it has any at all; who finds none there knows that there are none.
        """
        turn = self._turns[key]
        self._turns[key] = turn + 1
        return (self._first + turn) % self._partitioner.dealt[key] if turn else 0


class PairHere:
    """Makes pairings of the groups in one partition, of keys that may be split; and those that have none, with None.

    A row that was copied to several partitions has no partner only if it has none at home, where it is told.
    """

    words = "split keys"

    def __init__(self, left: SplitPartitioner, *, keeps_left: bool, keeps_right: bool) -> None:
        self.left, self.keeps_left, self.keeps_right = left, keeps_left, keeps_right
        self._home = HashPartitioner(left.partitions)

    def __call__(self, partition: int, grouped: Iterator[Grouped]) -> Iterator[Pairing]:
        """Make them."""
        for pair in grouped:
            key, (left, right) = pair
            if len(left) and len(right):
                yield from join_groups(pair)
            elif len(left):
                if self.keeps_left and self._is_told(key, self.left.copied, partition):
                    yield from ((key, (value, None)) for value in left)
            elif self.keeps_right and self._is_told(key, self.left.dealt, partition):
                yield from ((key, (None, value)) for value in right)

    def _is_told(self, key: Any, copied: dict[Any, int], partition: int) -> bool:
        """Whether a key without partners is to be told here; `copied` has those whose rows are in several partitions."""
        return key not in copied or self._home.partition(key) == partition
