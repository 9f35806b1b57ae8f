"""What makes a job run, and what it brings back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

from headrace.dataset import actions, aggregating, sampling
from headrace.dataset.frames import action
from headrace.dataset.methods.handle import Handle

T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Actions(Handle[T]):
    """Actions."""

    __slots__ = ()

    @action
    def collect(self) -> list[T]:
        """Bring all records to the program, in the order of the partitions.

        Raises:
            JobFailed: a function raised, or a task was lost too often; this goes for every action.
            ResultTooLarge: the records take more than `max_result=` in the address allows.

        >>> ctx.parallelize([3, 1, 2]).collect()
        [3, 1, 2]

        """
        return actions.collect(self._engine, self._operator)

    @action
    def collect_as_map(self: Actions[tuple[K, V]]) -> dict[K, V]:
        """Bring all pairs as a dictionary; of equal keys the last counts.

        >>> ctx.parallelize([("a", 1), ("b", 2), ("a", 3)]).collect_as_map()
        {'a': 3, 'b': 2}
        """
        return actions.collect_as_map(self._engine, self._operator)

    @action
    def count(self) -> int:
        """Count the records.

        >>> ctx.parallelize("abc").count()
        3
        """
        return actions.count(self._engine, self._operator)

    @action
    def reduce(self, f: Callable[[T, T], T]) -> T:
        """Merge all records with an associative function; what the partitions gave is merged in the program.

        Raises:
            NoRecords: there are none; it is a ValueError.

        >>> ctx.parallelize(["to", "be"]).reduce(lambda one, other: one + other)
        'tobe'

        """
        merged: T = actions.reduce(self._engine, self._operator, f)
        return merged

    @action
    def tree_reduce(self, f: Callable[[T, T], T], depth: int = 2) -> T:
        """Merge all records as `reduce` does, but what the partitions gave on the workers, in rounds.

        Args:
            depth: about so many rounds.

        Raises:
            NoRecords: there are none; it is a ValueError.

        >>> ctx.range(100, num_slices=20).tree_reduce(lambda x, y: x + y)
        4950

        """
        merged: T = aggregating.tree_reduce(self._engine, self._operator, f, depth)
        return merged

    @action
    def fold(self, zero_value: T, op: Callable[[T, T], T]) -> T:
        """Fold each partition from a zero, and the results from the zero again; the zero is to change nothing.

        >>> ctx.parallelize([1, 2, 3]).fold(0, lambda x, y: x + y)
        6
        """
        folded: T = aggregating.aggregate(self._engine, self._operator, zero_value, op, op, "fold")
        return folded

    @action
    def aggregate(self, zero_value: U, seq_op: Callable[[U, T], U], comb_op: Callable[[U, U], U]) -> U:
        """Fold each partition from a zero, and the results from the zero again, with another function.

        Args:
            zero_value: every fold gets a copy of its own.
            seq_op: merges one more record into a result, which it may change and return.
            comb_op: merges two results, of which it may change and return the first.

        >>> ctx.parallelize(["to", "be"]).aggregate(0, lambda n, word: n + len(word), lambda n, m: n + m)
        4

        """
        found: U = aggregating.aggregate(self._engine, self._operator, zero_value, seq_op, comb_op, "aggregate")
        return found

    @action
    def tree_aggregate(
        self, zero_value: U, seq_op: Callable[[U, T], U], comb_op: Callable[[U, U], U], depth: int = 2
    ) -> U:
        """Fold as `aggregate` does, but merge what the partitions gave on the workers, in rounds.

        Args:
            depth: about so many rounds.

        >>> ctx.range(10, num_slices=5).tree_aggregate(0, lambda n, x: n + x, lambda n, m: n + m)
        45

        """
        found: U = aggregating.tree_aggregate(self._engine, self._operator, zero_value, seq_op, comb_op, depth)
        return found

    @action
    def take(self, num: int) -> list[T]:
        """Bring the first `num` records, computing few more partitions than that takes.

        >>> ctx.range(1000, num_slices=100).take(3)
        [0, 1, 2]
        """
        return actions.take(self._engine, self._operator, num)

    @action
    def first(self) -> T:
        """Bring the first record.

        Raises:
            NoRecords: there are none; it is a ValueError.

        >>> ctx.parallelize("abc").first()
        'a'

        """
        found: T = actions.first(self._engine, self._operator)
        return found

    @action
    def is_empty(self) -> bool:
        """Whether there are no records, computing no more partitions than that takes.

        >>> ctx.parallelize([]).is_empty()
        True
        """
        return not actions.take(self._engine, self._operator, 1, "is_empty")

    @action
    def top(self, num: int, key: Callable[[T], Any] | None = None) -> list[T]:
        """Bring the `num` largest records, the largest first; of equal ones the first come first.

        Args:
            key: what to compare of a record; the record itself unless said.

        >>> ctx.parallelize(["a", "ccc", "bb"]).top(2, key=len)
        ['ccc', 'bb']

        """
        return actions.top(self._engine, self._operator, num, key)

    @action
    def take_ordered(self, num: int, key: Callable[[T], Any] | None = None) -> list[T]:
        """Bring the smallest records, the smallest first.

        >>> ctx.parallelize([3, 1, 2]).take_ordered(2)
        [1, 2]
        """
        return actions.take_ordered(self._engine, self._operator, num, key)

    @action
    def take_sample(self, with_replacement: bool, num: int, seed: int | None = None) -> list[T]:
        """Bring so many records, drawn at random; without replacement, no more than there are.

        >>> len(ctx.range(100).take_sample(False, 7, seed=1))
        7
        """
        return sampling.take_sample(self._engine, self._operator, num, seed, replace=with_replacement)

    @action
    def count_by_key(self: Actions[tuple[K, V]]) -> defaultdict[K, int]:
        """Count how often each key occurs; what does not occur counts 0.

        >>> counts = ctx.parallelize([("a", 1), ("a", 2)]).count_by_key()
        >>> counts["a"], counts["b"]
        (2, 0)
        """
        return actions.count_by_key(self._engine, self._operator)

    @action
    def count_by_value(self: Actions[K]) -> defaultdict[K, int]:
        """Count how often each record occurs; what does not occur counts 0.

        >>> sorted(ctx.parallelize("aba").count_by_value().items())
        [('a', 2), ('b', 1)]
        """
        return actions.count_by_value(self._engine, self._operator)

    @action
    def foreach(self, f: Callable[[T], Any]) -> None:
        """Call a function for every record, for its effect.  A task that is lost is run again; none is copied.

        >>> total = ctx.accumulator(0)
        >>> ctx.range(5).foreach(total.add)
        >>> total.value
        10
        """
        actions.foreach(self._engine, self._operator, f)

    @action
    def foreach_partition(self, f: Callable[[Iterator[T]], Any]) -> None:
        """Call a function for the iterator over every partition, for its effect; see `foreach`.

        >>> seen = ctx.accumulator(0)
        >>> ctx.range(10).foreach_partition(lambda part: seen.add(len(list(part))))
        >>> seen.value
        10
        """
        actions.foreach_partition(self._engine, self._operator, f)

    def to_local_iterator(self, prefetch_partitions: bool = False) -> Iterator[T]:
        """Iterate over all records, holding one partition at a time, each computed when it is come to.

        Args:
            prefetch_partitions: have the next partition computed meanwhile, and hold two.

        >>> next(ctx.range(10).to_local_iterator())
        0

        """
        return actions.to_local_iterator(self._engine, self._operator, prefetch=prefetch_partitions)
