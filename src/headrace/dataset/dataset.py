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
        """Keep the first of equal records; 1, 1.0 and True are equal, and so are all NaN.

        Args:
            num_partitions: of the result; unless said, four for each worker, and at least 8.

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
            num_partitions, partition_func: as for `partition_by`.

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

        Args:
            num_partitions, partition_func: as for `partition_by`.

        >>> sorted(ctx.parallelize([("a", 1), ("b", 1), ("a", 1)]).reduce_by_key(lambda x, y: x + y).collect())
        [('a', 2), ('b', 1)]

        """
        return self._then(keyed.reduce_by_key(self._engine, self._operator, func, num_partitions, partition_func))

    def group_by_key(
        self: Dataset[tuple[K, V]], num_partitions: int | None = None, partition_func: PartitionFunction | None = None
    ) -> Dataset[tuple[K, Group[V]]]:
        """Gather the values of each key: sized, iterable again and again, read from disk where there are many.

        To reduce them, `reduce_by_key` and `combine_by_key` move far less.

        Args:
            num_partitions, partition_func: as for `partition_by`.

        >>> sorted(ctx.parallelize([("a", 1), ("b", 1), ("a", 2)]).group_by_key().map_values(list).collect())
        [('a', [1, 2]), ('b', [1])]

        """
        return self._then(keyed.group_by_key(self._engine, self._operator, num_partitions, partition_func))

    def partition_by(
        self: Dataset[tuple[K, V]], num_partitions: int | None = None, partition_func: PartitionFunction | None = None
    ) -> Dataset[tuple[K, V]]:
        """Deal pairs to partitions by their keys, once, for all operators that would have to otherwise.

        Args:
            num_partitions: unless said, as many as the keys are dealt to already, or four for each worker, at least 8.
            partition_func: returns a whole number for a key, taken modulo `num_partitions`; a stable hash unless said.

        >>> ctx.parallelize([(1, "x"), (2, "y"), (5, "z")]).partition_by(4, lambda key: key).keys().collect()
        [1, 5, 2]

        """
        return self._then(keyed.partition_by(self._engine, self._operator, num_partitions, partition_func))

    def join(
        self: Dataset[tuple[K, V]], other: Dataset[tuple[K, W]], num_partitions: int | None = None
    ) -> Dataset[tuple[K, tuple[V, W]]]:
        """Pair every value of a key with every value of the same key in another dataset.

        Args:
            num_partitions: as for `partition_by`.

        >>> ages, homes = ctx.parallelize([("ann", 7), ("bob", 9)]), ctx.parallelize([("ann", "Ulm")])
        >>> ages.join(homes).collect()
        [('ann', (7, 'Ulm'))]

        """
        return self._then(keyed.join(self._engine, self._operator, self._beside(other, "join"), num_partitions))

    def sort_by(self, key: Callable[[T], Any], ascending: bool = True, num_partitions: int | None = None) -> Dataset[T]:
        """Sort by what a function returns for each record; equal ones keep their order, and NaN comes after all else.

        Args:
            key: is called twice for some records: a sample of keys decides where partitions begin.
            num_partitions: unless said, four for each worker, and at least 8.

        >>> ctx.parallelize(["ccc", "a", "bb"]).sort_by(len, ascending=False).collect()
        ['ccc', 'bb', 'a']

        """
        return self._then(keyed.sort_by(self._engine, self._operator, key, ascending=ascending, number=num_partitions))

    # Actions.

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
    def collect_as_map(self: Dataset[tuple[K, V]]) -> dict[K, V]:
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
    def sum(self) -> T:
        """Add the records, beginning with 0.

        >>> ctx.parallelize([1, 2, 3.5]).sum()
        6.5
        """
        total: T = actions.add_up(self._engine, self._operator)
        return total

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
    def top(self, num: int, key: Callable[[T], Any] | None = None) -> list[T]:
        """Bring the `num` largest records, the largest first; of equal ones the first come first.

        Args:
            key: what to compare of a record; the record itself unless said.

        >>> ctx.parallelize(["a", "ccc", "bb"]).top(2, key=len)
        ['ccc', 'bb']

        """
        return actions.top(self._engine, self._operator, num, key)

    @action
    def count_by_key(self: Dataset[tuple[K, V]]) -> defaultdict[K, int]:
        """Count how often each key occurs; what does not occur counts 0.

        >>> counts = ctx.parallelize([("a", 1), ("a", 2)]).count_by_key()
        >>> counts["a"], counts["b"]
        (2, 0)
        """
        return actions.count_by_key(self._engine, self._operator)

    @action
    def count_by_value(self: Dataset[K]) -> defaultdict[K, int]:
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

    def to_local_iterator(self) -> Iterator[T]:
        """Iterate over all records, holding one partition at a time, each computed when it is come to.

        >>> next(ctx.range(10).to_local_iterator())
        0
        """
        return actions.to_local_iterator(self._engine, self._operator)

    @action
    def save_as_text_file(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write each record's text as a line, in one file for each partition, all or nothing: `_SUCCESS` comes last.

        Args:
            path: of a folder that is made.
            overwrite: replace all files in the folder if it is there; folders in it are not touched but refused.

        Raises:
            OutputExists: the folder is there, and `overwrite` is not said.
            OutputError: the folder cannot be made, or another job has written it meanwhile.

        >>> ctx.parallelize([("a", 1), ("b", 2)], 2).save_as_text_file(f"{folder}/pairs")
        >>> sorted(os.listdir(f"{folder}/pairs"))
        ['_SUCCESS', 'part-00000', 'part-00001']

        """
        outputs.save_as_text_file(self._engine, self._operator, path, overwrite=overwrite)

    # Keeping, and looking.

    def cache(self) -> Dataset[T]:
        """Keep the records in the workers' memory when they are computed next, as far as they fit; return this dataset.

        >>> ctx.range(10).cache().is_cached
        True
        """
        self._engine.keep(self._operator)
        return self

    def unpersist(self) -> Dataset[T]:
        """Forget what `cache` kept; return this dataset.

        >>> ctx.range(10).cache().unpersist().is_cached
        False
        """
        self._engine.unkeep(self._operator)
        return self

    @property
    def is_cached(self) -> bool:
        """Whether `cache` was said, and `unpersist` not since.

        >>> ctx.range(10).is_cached
        False
        """
        return self._operator.id in self._engine.cached

    @property
    def partitioner(self) -> Partitioner | None:
        """How keys are dealt to partitions, where that is known.

        >>> print(ctx.parallelize([(1, 2)]).partition_by(4).partitioner)
        hash(4)
        """
        return self._operator.partitioner

    def get_num_partitions(self) -> int:
        """Return the number of partitions.

        >>> ctx.range(10, num_slices=3).get_num_partitions()
        3
        """
        return self._operator.partitions

    def explain(self) -> str:
        """Say what computing this takes: stages, what is fused, what is shuffled, which recovery and why.

        >>> print(ctx.parallelize("ab", 2).map(str.upper).explain())  # doctest: +ELLIPSIS
        stage ... (result, 2 tasks)
          fused:    parallelize(2 slices) -> map(str.upper)
          result:   collect
          recovery: re-run, replicate, because ...
        """
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
