"""The values of equal keys, brought together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, TypeVar

from headrace.dataset import aggregating, keyed, narrow, sampling
from headrace.dataset.frames import action
from headrace.dataset.keyed import PartitionFunction
from headrace.dataset.methods.handle import Handle
from headrace.execute.groups import Group

if TYPE_CHECKING:
    from headrace.dataset.dataset import Dataset


T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
C = TypeVar("C")


class Pairs(Handle[T]):
    """Operators that combine, group or deal by key."""

    __slots__ = ()

    def distinct(self, num_partitions: int | None = None) -> Dataset[T]:
        """Keep the first of equal records; 1, 1.0 and True are equal, and so are all NaN.

        Args:
            num_partitions: of the result; unless said, four for each worker, and at least 8.

        >>> sorted(ctx.parallelize([1, 1.0, 2, True]).distinct().collect())
        [1, 2]

        """
        return self._then(keyed.distinct(self._engine, self._operator, num_partitions))

    def combine_by_key(
        self: Pairs[tuple[K, V]],
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
        self: Pairs[tuple[K, V]],
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

    def aggregate_by_key(
        self: Pairs[tuple[K, V]],
        zero_value: C,
        seq_func: Callable[[C, V], C],
        comb_func: Callable[[C, C], C],
        num_partitions: int | None = None,
        partition_func: PartitionFunction | None = None,
    ) -> Dataset[tuple[K, C]]:
        """Fold the values of each key; on the map side first.

        Args:
            zero_value: what each fold begins from; every one gets a copy of its own.
            seq_func: merges one more value into a result, which it may change and return.
            comb_func: merges two results, of which it may change and return the first.

        >>> pairs = ctx.parallelize([("a", 1), ("b", 5), ("a", 3)])
        >>> sorted(pairs.aggregate_by_key([], lambda seen, v: [*seen, v], lambda x, y: x + y).collect())
        [('a', [1, 3]), ('b', [5])]

        """
        return self._then(
            aggregating.aggregate_by_key(
                self._engine, self._operator, zero_value, seq_func, comb_func, num_partitions, partition_func
            )
        )

    def fold_by_key(
        self: Pairs[tuple[K, V]],
        zero_value: V,
        func: Callable[[V, V], V],
        num_partitions: int | None = None,
        partition_func: PartitionFunction | None = None,
    ) -> Dataset[tuple[K, V]]:
        """Fold the values of each key with an associative function, from a zero that changes nothing.

        >>> sorted(ctx.parallelize([("a", 1), ("b", 1), ("a", 1)]).fold_by_key(0, lambda x, y: x + y).collect())
        [('a', 2), ('b', 1)]
        """
        return self._then(
            aggregating.fold_by_key(self._engine, self._operator, zero_value, func, num_partitions, partition_func)
        )

    def group_by_key(
        self: Pairs[tuple[K, V]], num_partitions: int | None = None, partition_func: PartitionFunction | None = None
    ) -> Dataset[tuple[K, Group[V]]]:
        """Gather the values of each key: sized, iterable again and again, read from disk where there are many.

        To reduce them, `reduce_by_key` and `combine_by_key` move far less.

        Args:
            num_partitions, partition_func: as for `partition_by`.

        >>> sorted(ctx.parallelize([("a", 1), ("b", 1), ("a", 2)]).group_by_key().map_values(list).collect())
        [('a', [1, 2]), ('b', [1])]

        """
        return self._then(keyed.group_by_key(self._engine, self._operator, num_partitions, partition_func))

    def group_by(
        self, f: Callable[[T], K], num_partitions: int | None = None, partition_func: PartitionFunction | None = None
    ) -> Dataset[tuple[K, Group[T]]]:
        """Gather the records for which a function returns the same; see `group_by_key`.

        >>> sorted((k, list(group)) for k, group in ctx.range(5).group_by(lambda x: x % 2).collect())
        [(0, [0, 2, 4]), (1, [1, 3])]
        """
        pairs = narrow.per_record(self._engine, self._operator, "key_by", f)
        return self._then(keyed.group_by_key(self._engine, pairs, num_partitions, partition_func, "group_by"))

    def partition_by(
        self: Pairs[tuple[K, V]], num_partitions: int | None = None, partition_func: PartitionFunction | None = None
    ) -> Dataset[tuple[K, V]]:
        """Deal pairs to partitions by their keys, once, for all operators that would have to otherwise.

        Args:
            num_partitions: unless said, as many as the keys are dealt to already, or four for each worker, at least 8.
            partition_func: returns a whole number for a key, taken modulo `num_partitions`; a stable hash unless said.

        >>> ctx.parallelize([(1, "x"), (2, "y"), (5, "z")]).partition_by(4, lambda key: key).keys().collect()
        [1, 5, 2]

        """
        return self._then(keyed.partition_by(self._engine, self._operator, num_partitions, partition_func))

    def sample_by_key(
        self: Pairs[tuple[K, V]], with_replacement: bool, fractions: Mapping[K, float], seed: int | None = None
    ) -> Dataset[tuple[K, V]]:
        """Take a random part of the pairs, of each key as much as is said for it; none of a key for which nothing is.

        >>> pairs = ctx.range(100).map(lambda x: (x % 2, x))
        >>> set(pairs.sample_by_key(False, {0: 1.0, 1: 0.0}).keys().collect())
        {0}
        """
        return self._then(
            sampling.sample_by_key(self._engine, self._operator, fractions, seed, replace=with_replacement)
        )

    @action
    def reduce_by_key_locally(self: Pairs[tuple[K, V]], func: Callable[[V, V], V]) -> dict[K, V]:
        """Merge the values of each key, and bring the result as a dictionary.

        >>> ctx.parallelize([("a", 1), ("b", 1), ("a", 1)]).reduce_by_key_locally(lambda x, y: x + y) == {"a": 2, "b": 1}
        True
        """
        return self.reduce_by_key(func).collect_as_map()

    @action
    def lookup(self: Pairs[tuple[K, V]], key: K) -> list[V]:
        """Bring the values of one key; only one partition is computed where it is known how keys are dealt.

        >>> ctx.parallelize([("a", 1), ("b", 2), ("a", 3)]).lookup("a")
        [1, 3]
        """
        return keyed.lookup(self._engine, self._operator, key)
