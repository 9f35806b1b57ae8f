"""Record by record, or partition by partition, where they are."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from headrace.dataset import arranging, narrow
from headrace.dataset.methods.handle import Handle

if TYPE_CHECKING:
    from headrace.dataset.dataset import Dataset


T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
W = TypeVar("W")


class Records(Handle[T]):
    """Operators that move nothing."""

    __slots__ = ()

    def map(self, f: Callable[[T], U], preserves_partitioning: bool = False) -> Dataset[U]:
        """Apply a function to every record.

        Args:
            preserves_partitioning: the function keeps the keys of pairs, so pairs that were dealt by key still are.

        >>> ctx.parallelize([1, 2, 3]).map(lambda x: x * 10).collect()
        [10, 20, 30]

        """
        return self._then(narrow.per_record(self._engine, self._operator, "map", f, keeps_keys=preserves_partitioning))

    def flat_map(self, f: Callable[[T], Iterable[U]], preserves_partitioning: bool = False) -> Dataset[U]:
        """Apply a function to every record and put what it returns end to end.

        Args:
            f: returns something to iterate over.
            preserves_partitioning: as for `map`.

        >>> ctx.parallelize(["to be", "or not"]).flat_map(str.split).collect()
        ['to', 'be', 'or', 'not']

        """
        made = narrow.per_record(self._engine, self._operator, "flat_map", f, keeps_keys=preserves_partitioning)
        return self._then(made)

    def filter(self, f: Callable[[T], Any]) -> Dataset[T]:
        """Keep the records for which a function returns something true.

        >>> ctx.range(6).filter(lambda x: x % 2).collect()
        [1, 3, 5]
        """
        return self._then(narrow.per_record(self._engine, self._operator, "filter", f))

    def map_partitions(
        self, f: Callable[[Iterator[T]], Iterable[U]], preserves_partitioning: bool = False
    ) -> Dataset[U]:
        """Apply a function to the iterator over each partition, also to that over an empty one.

        Args:
            f: returns or yields the records of the new partition.
            preserves_partitioning: the function keeps the keys of pairs, so pairs that were dealt by key still are.

        >>> ctx.parallelize([1, 2, 3, 4], 2).map_partitions(lambda part: [sum(part)]).collect()
        [3, 7]

        """
        made = narrow.map_partitions(self._engine, self._operator, f, preserves_partitioning=preserves_partitioning)
        return self._then(made)

    def map_partitions_with_index(
        self, f: Callable[[int, Iterator[T]], Iterable[U]], preserves_partitioning: bool = False
    ) -> Dataset[U]:
        """Apply a function to the number of each partition and the iterator over it.

        Args:
            preserves_partitioning: as for `map`.

        >>> ctx.parallelize("abcd", 2).map_partitions_with_index(lambda number, part: [(number, *part)]).collect()
        [(0, 'a', 'b'), (1, 'c', 'd')]

        """
        made = narrow.map_partitions(
            self._engine,
            self._operator,
            f,
            "map_partitions_with_index",
            indexed=True,
            preserves_partitioning=preserves_partitioning,
        )
        return self._then(made)

    def map_values(self: Records[tuple[K, V]], f: Callable[[V], W]) -> Dataset[tuple[K, W]]:
        """Apply a function to the value of every pair; the keys stay where they are.

        >>> ctx.parallelize([("a", 1), ("b", 2)]).map_values(lambda v: v + 1).collect()
        [('a', 2), ('b', 3)]
        """
        return self._then(narrow.per_record(self._engine, self._operator, "map_values", f))

    def flat_map_values(self: Records[tuple[K, V]], f: Callable[[V], Iterable[W]]) -> Dataset[tuple[K, W]]:
        """Pair every key with each of what a function returns for its value.

        >>> ctx.parallelize([("a", "xy")]).flat_map_values(list).collect()
        [('a', 'x'), ('a', 'y')]
        """
        return self._then(narrow.per_record(self._engine, self._operator, "flat_map_values", f))

    def key_by(self, f: Callable[[T], K]) -> Dataset[tuple[K, T]]:
        """Pair every record with a key.

        >>> ctx.parallelize(["ax", "b"]).key_by(len).collect()
        [(2, 'ax'), (1, 'b')]
        """
        return self._then(narrow.per_record(self._engine, self._operator, "key_by", f))

    def keys(self: Records[tuple[K, V]]) -> Dataset[K]:
        """Take the key of every pair.

        >>> ctx.parallelize([("a", 1)]).keys().collect()
        ['a']
        """
        return self._then(narrow.per_record(self._engine, self._operator, "keys"))

    def values(self: Records[tuple[K, V]]) -> Dataset[V]:
        """Take the value of every pair.

        >>> ctx.parallelize([("a", 1)]).values().collect()
        [1]
        """
        return self._then(narrow.per_record(self._engine, self._operator, "values"))

    def glom(self) -> Dataset[list[T]]:
        """Make one list of each partition.

        >>> ctx.range(4, num_slices=2).glom().collect()
        [[0, 1], [2, 3]]
        """
        return self._then(arranging.glom(self._engine, self._operator))

    def pipe(
        self, command: str | Sequence[str], env: Mapping[str, str] | None = None, check_code: bool = False
    ) -> Dataset[str]:
        """Give each partition's records to a program, one a line, and take the lines that it writes.

        A task that is lost is run again; none is copied, because the program may have effects.

        Args:
            command: as a shell would split it, or as a list; no shell is used.
            env: environment variables besides the worker's own.
            check_code: whether the program has failed if its exit status is not 0.

        >>> ctx.parallelize(["mill", "race"]).pipe("tr a-z A-Z").collect()
        ['MILL', 'RACE']

        """
        return self._then(arranging.pipe(self._engine, self._operator, command, env, check=check_code))
