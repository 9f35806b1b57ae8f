"""In order, as a whole or within partitions."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeVar

from headrace.dataset import ordering
from headrace.dataset.keyed import PartitionFunction
from headrace.dataset.methods.handle import Handle

if TYPE_CHECKING:
    from headrace.dataset.dataset import Dataset


T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
C = TypeVar("C")


class Ordered(Handle[T]):
    """Operators that sort."""

    __slots__ = ()

    def sort_by(
        self, keyfunc: Callable[[T], Any], ascending: bool = True, num_partitions: int | None = None
    ) -> Dataset[T]:
        """Sort by what a function returns for each record; equal ones keep their order, and NaN comes after all else.

        Args:
            keyfunc: is called twice for some records: a sample of keys decides where partitions begin.
            num_partitions: unless said, four for each worker, and at least 8.

        >>> ctx.parallelize(["ccc", "a", "bb"]).sort_by(len, ascending=False).collect()
        ['ccc', 'bb', 'a']

        """
        return self._then(
            ordering.sort_by(self._engine, self._operator, keyfunc, ascending=ascending, number=num_partitions)
        )

    def sort_by_key(
        self: Ordered[tuple[K, V]],
        ascending: bool = True,
        num_partitions: int | None = None,
        keyfunc: Callable[[K], Any] | None = None,
    ) -> Dataset[tuple[K, V]]:
        """Sort pairs by their keys; equal ones keep their order.

        Args:
            keyfunc: sort by what it returns for the key instead.

        >>> ctx.parallelize([("b", 1), ("a", 2), ("C", 3)]).sort_by_key(keyfunc=str.lower).collect()
        [('a', 2), ('b', 1), ('C', 3)]

        """
        return self._then(
            ordering.sort_by_key(self._engine, self._operator, keyfunc, ascending=ascending, number=num_partitions)
        )

    def repartition_and_sort_within_partitions(
        self: Ordered[tuple[K, V]],
        num_partitions: int | None = None,
        partition_func: PartitionFunction | None = None,
        ascending: bool = True,
        keyfunc: Callable[[K], Any] | None = None,
    ) -> Dataset[tuple[K, V]]:
        """Deal pairs to partitions by their keys, and sort each partition by key.

        Args:
            keyfunc: sort by what it returns for the key instead.

        >>> pairs = ctx.parallelize([(3, "c"), (0, "a"), (1, "x"), (2, "b")])
        >>> pairs.repartition_and_sort_within_partitions(2, lambda key: key % 2).glom().collect()
        [[(0, 'a'), (2, 'b')], [(1, 'x'), (3, 'c')]]

        """
        return self._then(
            ordering.within_partitions(
                self._engine, self._operator, num_partitions, partition_func, keyfunc, ascending=ascending
            )
        )
