"""Several datasets of pairs, brought together by their keys."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from headrace.dataset import joins, keyed
from headrace.dataset.methods.handle import Handle
from headrace.execute.groups import Group

if TYPE_CHECKING:
    from headrace.dataset.dataset import Dataset


T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
W = TypeVar("W")


class Joined(Handle[T]):
    """Operators that match the keys, or the records, of two datasets or more."""

    __slots__ = ()

    def cogroup(
        self: Joined[tuple[K, V]], other: Dataset[tuple[K, W]], num_partitions: int | None = None
    ) -> Dataset[tuple[K, tuple[Group[V], Group[W]]]]:
        """Gather the values of each key, those of either dataset by themselves.

        >>> both = ctx.parallelize([("a", 1)]).cogroup(ctx.parallelize([("a", 2), ("b", 3)]))
        >>> sorted((key, list(left), list(right)) for key, (left, right) in both.collect())
        [('a', [1], [2]), ('b', [], [3])]
        """
        sources = [self._operator, self._beside(other, "cogroup")]
        return self._then(keyed.cogroup(self._engine, sources, "cogroup", num_partitions))

    def group_with(
        self: Joined[tuple[K, V]], other: Dataset[tuple[K, Any]], *others: Dataset[tuple[K, Any]]
    ) -> Dataset[tuple[K, tuple[Group[Any], ...]]]:
        """Gather the values of each key in any number of datasets; see `cogroup`.

        >>> one = ctx.parallelize([("a", 1)])
        >>> [(key, [list(group) for group in groups]) for key, groups in one.group_with(one, one).collect()]
        [('a', [[1], [1], [1]])]
        """
        sources = [self._operator, *(self._beside(side, "group_with") for side in (other, *others))]
        return self._then(keyed.cogroup(self._engine, sources, "group_with", None))

    def join(
        self: Joined[tuple[K, V]],
        other: Dataset[tuple[K, W]],
        num_partitions: int | None = None,
        *,
        skew: Literal["auto"] | None = None,
    ) -> Dataset[tuple[K, tuple[V, W]]]:
        """Pair every value of a key with every value of the same key in another dataset.

        Args:
            num_partitions: as for `partition_by`.
            skew: "auto" has both sides measured, in jobs of their own, before the join runs for the first time: a small
                side is sent to every worker and the other not shuffled; a key that overwhelms its partition is split over
                several. How the result is dealt is not known then; `explain` says what was chosen, and why. It pays where
                making the sides takes less than joining them.

        >>> ages, homes = ctx.parallelize([("ann", 7), ("bob", 9)]), ctx.parallelize([("ann", "Ulm")])
        >>> ages.join(homes).collect()
        [('ann', (7, 'Ulm'))]
        >>> ages.join(homes, skew="auto").collect()
        [('ann', (7, 'Ulm'))]

        """
        right = self._beside(other, "join")
        return self._then(joins.join(self._engine, self._operator, right, num_partitions, skew))

    def left_outer_join(
        self: Joined[tuple[K, V]],
        other: Dataset[tuple[K, W]],
        num_partitions: int | None = None,
        *,
        skew: Literal["auto"] | None = None,
    ) -> Dataset[tuple[K, tuple[V, W | None]]]:
        """Pair the values of equal keys, and those on the left without a partner with None.

        Args:
            num_partitions, skew: as for `join`.

        >>> ages, homes = ctx.parallelize([("ann", 7), ("bob", 9)]), ctx.parallelize([("ann", "Ulm"), ("cid", "Linz")])
        >>> sorted(ages.left_outer_join(homes).collect())
        [('ann', (7, 'Ulm')), ('bob', (9, None))]

        """
        right = self._beside(other, "left_outer_join")
        return self._then(
            joins.outer_join(
                self._engine, self._operator, right, num_partitions, skew, keeps_left=True, keeps_right=False
            )
        )

    def right_outer_join(
        self: Joined[tuple[K, V]],
        other: Dataset[tuple[K, W]],
        num_partitions: int | None = None,
        *,
        skew: Literal["auto"] | None = None,
    ) -> Dataset[tuple[K, tuple[V | None, W]]]:
        """Pair the values of equal keys, and those on the right without a partner with None.

        Args:
            num_partitions, skew: as for `join`.

        >>> ages, homes = ctx.parallelize([("ann", 7), ("bob", 9)]), ctx.parallelize([("ann", "Ulm"), ("cid", "Linz")])
        >>> sorted(ages.right_outer_join(homes).collect())
        [('ann', (7, 'Ulm')), ('cid', (None, 'Linz'))]

        """
        right = self._beside(other, "right_outer_join")
        return self._then(
            joins.outer_join(
                self._engine, self._operator, right, num_partitions, skew, keeps_left=False, keeps_right=True
            )
        )

    def full_outer_join(
        self: Joined[tuple[K, V]],
        other: Dataset[tuple[K, W]],
        num_partitions: int | None = None,
        *,
        skew: Literal["auto"] | None = None,
    ) -> Dataset[tuple[K, tuple[V | None, W | None]]]:
        """Pair the values of equal keys, and those of either side without a partner with None.

        Args:
            num_partitions, skew: as for `join`.

        >>> ages, homes = ctx.parallelize([("ann", 7), ("bob", 9)]), ctx.parallelize([("ann", "Ulm"), ("cid", "Linz")])
        >>> sorted(ages.full_outer_join(homes).collect())
        [('ann', (7, 'Ulm')), ('bob', (9, None)), ('cid', (None, 'Linz'))]

        """
        right = self._beside(other, "full_outer_join")
        return self._then(
            joins.outer_join(
                self._engine, self._operator, right, num_partitions, skew, keeps_left=True, keeps_right=True
            )
        )

    def subtract(self, other: Dataset[T], num_partitions: int | None = None) -> Dataset[T]:
        """Keep the records that the other does not have; equal ones stay.

        >>> sorted(ctx.parallelize([1, 2, 2, 3]).subtract(ctx.parallelize([3, 4])).collect())
        [1, 2, 2]
        """
        right = self._beside(other, "subtract")
        return self._then(joins.subtract(self._engine, self._operator, right, num_partitions))

    def subtract_by_key(
        self: Joined[tuple[K, V]], other: Dataset[tuple[K, Any]], num_partitions: int | None = None
    ) -> Dataset[tuple[K, V]]:
        """Keep the pairs whose key the other does not have.

        >>> ctx.parallelize([("a", 1), ("b", 2)]).subtract_by_key(ctx.parallelize([("a", 9)])).collect()
        [('b', 2)]
        """
        right = self._beside(other, "subtract_by_key")
        return self._then(joins.subtract_by_key(self._engine, self._operator, right, num_partitions))

    def intersection(self, other: Dataset[T]) -> Dataset[T]:
        """Keep one of each record that both have.

        >>> sorted(ctx.parallelize([1, 2, 2, 3]).intersection(ctx.parallelize([2, 3, 4])).collect())
        [2, 3]
        """
        right = self._beside(other, "intersection")
        return self._then(joins.intersection(self._engine, self._operator, right))
