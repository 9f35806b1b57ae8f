"""The class that users hold: a plan, and methods that forward to the families of operators."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from headrace.dataset import actions, keyed, narrow, outputs
from headrace.dataset.frames import action
from headrace.errors import ClosureError, UsageError
from headrace.execute.groups import Group
from headrace.plan.explain import explain
from headrace.plan.hashing import short
from headrace.plan.operators import Operator
from headrace.plan.partitioners import Partitioner
from headrace.plan.stages import RecordsSink

if TYPE_CHECKING:
    from headrace.dataset.engine import Engine

T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
W = TypeVar("W")
C = TypeVar("C")
PartitionFunction = Callable[[Any], int]


class Dataset(Generic[T]):
    """Records in partitions: what they are made of is known, so any part can be made again.

    Nothing is computed until an action (`collect`, `count`, `save_as_text_file`, ...) asks for it.  Names and meaning of all
    methods are those of PySpark's RDD, in snake_case.
    """

    __slots__ = ("__weakref__", "_engine", "_operator")

    def __init__(self, engine: Engine, operator: Operator) -> None:
        self._engine, self._operator = engine, operator

    def _then(self, operator: Operator) -> Dataset[Any]:
        return Dataset(self._engine, operator)

    def _beside(self, other: Dataset[Any], name: str) -> Operator:
        """Return another dataset's plan, if it can be combined with this one's."""
        if not isinstance(other, Dataset):
            raise UsageError(f"{name} needs another Dataset, not {short(other)}. Make one with ctx.parallelize.")
        if other._engine is not self._engine:
            raise UsageError(f"{name} needs a Dataset of the same context. Make both with one ctx.")
        return other._operator

    # Narrow.

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
        """Apply a function to the iterator over each partition.

        Args:
            preserves_partitioning: the function keeps the keys of pairs, so pairs that were dealt by key still are.

        >>> ctx.parallelize([1, 2, 3, 4], 2).map_partitions(lambda part: [sum(part)]).collect()
        [3, 7]

        """
        made = narrow.map_partitions(self._engine, self._operator, f, preserves_partitioning=preserves_partitioning)
        return self._then(made)

    def map_values(self: Dataset[tuple[K, V]], f: Callable[[V], W]) -> Dataset[tuple[K, W]]:
        """Apply a function to the value of every pair; the keys stay where they are.

        >>> ctx.parallelize([("a", 1), ("b", 2)]).map_values(lambda v: v + 1).collect()
        [('a', 2), ('b', 3)]
        """
        return self._then(narrow.per_record(self._engine, self._operator, "map_values", f))

    def flat_map_values(self: Dataset[tuple[K, V]], f: Callable[[V], Iterable[W]]) -> Dataset[tuple[K, W]]:
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

    def keys(self: Dataset[tuple[K, V]]) -> Dataset[K]:
        """Take the key of every pair.

        >>> ctx.parallelize([("a", 1)]).keys().collect()
        ['a']
        """
        return self._then(narrow.per_record(self._engine, self._operator, "keys"))

    def values(self: Dataset[tuple[K, V]]) -> Dataset[V]:
        """Take the value of every pair.

        >>> ctx.parallelize([("a", 1)]).values().collect()
        [1]
        """
        return self._then(narrow.per_record(self._engine, self._operator, "values"))

    def union(self, other: Dataset[T]) -> Dataset[T]:
        """Put another dataset's partitions after this one's; equal records stay.

        >>> ctx.parallelize([1]).union(ctx.parallelize([1, 2])).collect()
        [1, 1, 2]
        """
        return self._then(narrow.union(self._engine, [self._operator, self._beside(other, "union")]))

    # Through a shuffle.

    def distinct(self, num_partitions: int | None = None) -> Dataset[T]:
        """Keep one of equal records.

        >>> sorted(ctx.parallelize([1, 1.0, 2, True]).distinct().collect())
        [1, 2]
        """
        return self._then(keyed.distinct(self._engine, self._operator, num_partitions))

    def combine_by_key(
        self: Dataset[tuple[K, V]],
        create_combiner: Callable[[V], C],
        merge_value: Callable[[C, V], C],
        merge_combiners: Callable[[C, C], C],
        num_partitions: int | None = None,
        partition_func: PartitionFunction | None = None,
    ) -> Dataset[tuple[K, C]]:
        """Combine the values of each key, in the order of the partitions; on the map side first.

        Args:
            create_combiner: makes a combiner of the first value.
            merge_value: merges one more value into a combiner, which it may change and return.
            merge_combiners: merges two combiners, of which it may change and return the first.

        >>> pairs = ctx.parallelize([("a", 1), ("b", 5), ("a", 3)])
        >>> mean = pairs.combine_by_key(
        ...     lambda v: (v, 1), lambda c, v: (c[0] + v, c[1] + 1), lambda c, d: (c[0] + d[0], c[1] + d[1])
        ... )
        >>> sorted(mean.map_values(lambda c: c[0] / c[1]).collect())
        [('a', 2.0), ('b', 5.0)]

        """
        return self._then(
            keyed.combine_by_key(
                self._engine,
                self._operator,
                create_combiner,
                merge_value,
                merge_combiners,
                num_partitions,
                partition_func,
            )
        )

    def reduce_by_key(
        self: Dataset[tuple[K, V]],
        func: Callable[[V, V], V],
        num_partitions: int | None = None,
        partition_func: PartitionFunction | None = None,
    ) -> Dataset[tuple[K, V]]:
        """Merge the values of each key with an associative function; on the map side first.

        >>> sorted(ctx.parallelize([("a", 1), ("b", 1), ("a", 1)]).reduce_by_key(lambda x, y: x + y).collect())
        [('a', 2), ('b', 1)]
        """
        return self._then(keyed.reduce_by_key(self._engine, self._operator, func, num_partitions, partition_func))

    def group_by_key(
        self: Dataset[tuple[K, V]], num_partitions: int | None = None, partition_func: PartitionFunction | None = None
    ) -> Dataset[tuple[K, Group[V]]]:
        """Gather the values of each key: sized, iterable again and again, read from disk where there are many.

        To reduce them, `reduce_by_key` and `combine_by_key` move far less.

        >>> sorted(ctx.parallelize([("a", 1), ("b", 1), ("a", 2)]).group_by_key().map_values(list).collect())
        [('a', [1, 2]), ('b', [1])]
        """
        return self._then(keyed.group_by_key(self._engine, self._operator, num_partitions, partition_func))

    def partition_by(
        self: Dataset[tuple[K, V]], num_partitions: int | None = None, partition_func: PartitionFunction | None = None
    ) -> Dataset[tuple[K, V]]:
        """Deal pairs to partitions by their keys, once, for all operators that would have to otherwise.

        >>> ctx.parallelize([(1, "x"), (2, "y")]).partition_by(4).get_num_partitions()
        4
        """
        return self._then(keyed.partition_by(self._engine, self._operator, num_partitions, partition_func))

    def join(
        self: Dataset[tuple[K, V]], other: Dataset[tuple[K, W]], num_partitions: int | None = None
    ) -> Dataset[tuple[K, tuple[V, W]]]:
        """Pair the values of equal keys of two datasets.

        >>> ages, homes = ctx.parallelize([("ann", 7), ("bob", 9)]), ctx.parallelize([("ann", "Ulm")])
        >>> ages.join(homes).collect()
        [('ann', (7, 'Ulm'))]
        """
        return self._then(keyed.join(self._engine, self._operator, self._beside(other, "join"), num_partitions))

    def sort_by(self, key: Callable[[T], Any], ascending: bool = True, num_partitions: int | None = None) -> Dataset[T]:
        """Sort by what a function returns for each record; equal ones keep their order.

        >>> ctx.parallelize(["ccc", "a", "bb"]).sort_by(len).collect()
        ['a', 'bb', 'ccc']
        """
        return self._then(keyed.sort_by(self._engine, self._operator, key, ascending=ascending, number=num_partitions))

    # Actions.

    @action
    def collect(self) -> list[T]:
        """Bring all records to the program, in the order of the partitions."""
        return actions.collect(self._engine, self._operator)

    @action
    def collect_as_map(self: Dataset[tuple[K, V]]) -> dict[K, V]:
        """Bring all pairs as a dictionary; of equal keys the last counts."""
        return actions.collect_as_map(self._engine, self._operator)

    @action
    def count(self) -> int:
        """Count the records."""
        return actions.count(self._engine, self._operator)

    @action
    def sum(self) -> T:
        """Add the records, beginning with 0."""
        total: T = actions.add_up(self._engine, self._operator)
        return total

    @action
    def reduce(self, f: Callable[[T, T], T]) -> T:
        """Merge all records with an associative function.

        Raises:
            ValueError: there are none.

        """
        merged: T = actions.reduce(self._engine, self._operator, f)
        return merged

    @action
    def take(self, num: int) -> list[T]:
        """Bring the first records, computing no more partitions than that takes."""
        return actions.take(self._engine, self._operator, num)

    @action
    def first(self) -> T:
        """Bring the first record.

        Raises:
            ValueError: there are none.

        """
        found: T = actions.first(self._engine, self._operator)
        return found

    @action
    def top(self, num: int, key: Callable[[T], Any] | None = None) -> list[T]:
        """Bring the largest records, the largest first.

        >>> ctx.parallelize([3, 1, 2]).top(2)
        [3, 2]
        """
        return actions.top(self._engine, self._operator, num, key)

    @action
    def count_by_key(self: Dataset[tuple[K, V]]) -> defaultdict[K, int]:
        """Count how often each key occurs."""
        return actions.count_by_key(self._engine, self._operator)

    @action
    def count_by_value(self: Dataset[K]) -> defaultdict[K, int]:
        """Count how often each record occurs."""
        return actions.count_by_value(self._engine, self._operator)

    @action
    def foreach(self, f: Callable[[T], Any]) -> None:
        """Call a function for every record, for its effect.  A task that is lost is run again; none is copied."""
        actions.foreach(self._engine, self._operator, f)

    def to_local_iterator(self) -> Iterator[T]:
        """Iterate over all records, holding one partition at a time."""
        return actions.to_local_iterator(self._engine, self._operator)

    @action
    def save_as_text_file(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write each record's text as a line, in one file for each partition, all or nothing.

        Raises:
            OutputExists: the folder is there, and `overwrite` is not said.

        """
        outputs.save_as_text_file(self._engine, self._operator, path, overwrite=overwrite)

    # Keeping, and looking.

    def cache(self) -> Dataset[T]:
        """Keep the records in the workers' memory when they are computed next."""
        self._engine.keep(self._operator)
        return self

    def unpersist(self) -> Dataset[T]:
        """Forget what `cache` kept."""
        self._engine.unkeep(self._operator)
        return self

    @property
    def is_cached(self) -> bool:
        """Whether `cache` was said."""
        return self._operator.id in self._engine.cached

    @property
    def partitioner(self) -> Partitioner | None:
        """How keys are dealt to partitions, where that is known."""
        return self._operator.partitioner

    def get_num_partitions(self) -> int:
        """Return the number of partitions."""
        return self._operator.partitions

    def explain(self) -> str:
        """Say what computing this takes: stages, what is fused, what is shuffled, which recovery and why."""
        stages = self._engine.compile(self._operator, RecordsSink(), "collect", everything=True)
        return explain(stages, finished=self._engine.session.finished(), copies=self._engine.config.speculate.enabled)

    def __repr__(self) -> str:
        operator = self._operator
        parts = f"{operator.partitions} partition{'s' * (operator.partitions != 1)}"
        return f"<Dataset: {operator.name} at {operator.site}, {parts}, nothing computed until an action asks>"

    def __iter__(self) -> Iterator[T]:
        raise TypeError("a Dataset is not iterable: its records are elsewhere. Call collect() or to_local_iterator().")

    def __len__(self) -> int:
        raise TypeError("a Dataset has no length until it is computed. Call count().")

    def __bool__(self) -> bool:
        raise TypeError("a Dataset is neither true nor false until it is computed. Ask take(1), or `is not None`.")

    def __reduce__(self) -> tuple[Any, ...]:
        raise ClosureError(
            "a Dataset cannot be used inside a function of another: join the two, or collect() the small one and "
            "pass it with ctx.broadcast"
        )
