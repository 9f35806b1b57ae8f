"""How records lie in partitions, and which of them are taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from headrace.dataset import arranging, narrow, sampling
from headrace.dataset.frames import action
from headrace.dataset.methods.handle import Handle

if TYPE_CHECKING:
    from headrace.dataset.dataset import Dataset


T = TypeVar("T")
U = TypeVar("U")


class Arranged(Handle[T]):
    """Operators on whole partitions, and samples."""

    __slots__ = ()

    def union(self, other: Dataset[T]) -> Dataset[T]:
        """Put another dataset's partitions after this one's; equal records stay.

        >>> ctx.parallelize([1]).union(ctx.parallelize([1, 2])).collect()
        [1, 1, 2]
        """
        return self._then(narrow.union(self._engine, [self._operator, self._beside(other, "union")]))

    def __add__(self, other: Dataset[T]) -> Dataset[T]:
        """Do what `union` does.

        >>> (ctx.parallelize([1]) + ctx.parallelize([1, 2])).collect()
        [1, 1, 2]
        """
        return self.union(other)

    def zip(self, other: Dataset[U]) -> Dataset[tuple[T, U]]:
        """Pair the first records of each partition, the second ones, and so on; both sides have as many.

        Raises:
            UsageError: they have different numbers of partitions.

        >>> ctx.parallelize("ab").zip(ctx.parallelize([1, 2])).collect()
        [('a', 1), ('b', 2)]

        """
        return self._then(arranging.zipped(self._engine, self._operator, self._beside(other, "zip")))

    @action
    def zip_with_index(self) -> Dataset[tuple[T, int]]:
        """Number the records in the order of the partitions; with more than one, a job counts them first.

        >>> ctx.parallelize("abc").zip_with_index().collect()
        [('a', 0), ('b', 1), ('c', 2)]
        """
        return self._then(arranging.zip_with_index(self._engine, self._operator))

    def zip_with_unique_id(self) -> Dataset[tuple[T, int]]:
        """Number the records so that no two are alike, without counting: k, n+k, 2n+k, ... in partition k of n.

        >>> ctx.parallelize("abcd", 2).zip_with_unique_id().collect()
        [('a', 0), ('b', 2), ('c', 1), ('d', 3)]
        """
        return self._then(arranging.zip_with_unique_id(self._engine, self._operator))

    def cartesian(self, other: Dataset[U]) -> Dataset[tuple[T, U]]:
        """Pair each record with each of the other's.

        >>> ctx.parallelize([1, 2]).cartesian(ctx.parallelize("ab")).collect()
        [(1, 'a'), (1, 'b'), (2, 'a'), (2, 'b')]
        """
        return self._then(arranging.cartesian(self._engine, self._operator, self._beside(other, "cartesian")))

    def coalesce(self, num_partitions: int, shuffle: bool = False) -> Dataset[T]:
        """Make fewer partitions, each of neighbours, without moving records.

        Args:
            shuffle: deal the records out anew instead, as `repartition` does.

        >>> ctx.range(6, num_slices=3).coalesce(2).glom().collect()
        [[0, 1], [2, 3, 4, 5]]

        """
        return self._then(arranging.coalesce(self._engine, self._operator, num_partitions, shuffle=shuffle))

    def repartition(self, num_partitions: int) -> Dataset[T]:
        """Deal the records out anew, to any number of partitions, as many to each.

        >>> ctx.range(100, num_slices=1).repartition(4).get_num_partitions()
        4
        """
        return self._then(arranging.repartition(self._engine, self._operator, num_partitions))

    def sample(self, with_replacement: bool, fraction: float, seed: int | None = None) -> Dataset[T]:
        """Take a random part of the records; the same part whenever it is computed.

        Args:
            with_replacement: whether a record may be taken more than once.
            fraction: the chance of each record; with replacement, how often it is taken on the average.
            seed: another one, another sample; one is drawn unless said.

        >>> 5 < ctx.range(100).sample(False, 0.2, seed=7).count() < 40
        True

        """
        return self._then(sampling.sample(self._engine, self._operator, fraction, seed, replace=with_replacement))

    def random_split(self, weights: Sequence[float], seed: int | None = None) -> list[Dataset[T]]:
        """Deal the records to several datasets at random; each goes to exactly one.

        Args:
            weights: how much each is to get, in proportion.

        >>> [part.count() for part in ctx.range(100).random_split([1, 0], seed=3)]
        [100, 0]

        """
        return [self._then(part) for part in sampling.random_split(self._engine, self._operator, weights, seed)]
