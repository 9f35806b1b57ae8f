"""Tasks that run all at once and wait for each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from headrace.dataset import narrow
from headrace.dataset.methods.handle import Handle

if TYPE_CHECKING:
    from headrace.dataset.dataset import Dataset


T = TypeVar("T")
U = TypeVar("U")


class Barriers(Handle[T]):
    """The way to tasks that meet."""

    __slots__ = ()

    def barrier(self) -> BarrierDataset[T]:
        """Begin a stage whose tasks run all at once and can wait for each other, as those of a trainer do.

        If one of them is lost, all are run again, and what they made counts together.  There must be a worker for each
        partition.  Nothing in the stage may change the number of partitions, as union, coalesce and cartesian do; and
        actions that ask for some partitions only, as take and first do, cannot end it: take from what collect returns.

        >>> from headrace import BarrierTaskContext
        >>> def meet(records):
        ...     BarrierTaskContext.get().barrier()
        ...     return records
        >>> ctx.range(3, num_slices=1).barrier().map_partitions(meet).sum()
        3

        """
        return BarrierDataset(cast("Dataset[T]", self))


class BarrierDataset(Generic[T]):
    """A dataset whose next operator runs in tasks that can wait for each other; see `BarrierTaskContext`."""

    __slots__ = ("_dataset",)

    def __init__(self, dataset: Dataset[T]) -> None:
        self._dataset = dataset

    def map_partitions(
        self, f: Callable[[Iterator[T]], Iterable[U]], preserves_partitioning: bool = False
    ) -> Dataset[U]:
        """Apply a function to the iterator over each partition, to all partitions at once.

        Args:
            f: may call `BarrierTaskContext.get()`, and wait for the others with it.
            preserves_partitioning: the keys of the result are those of the records.

        >>> from headrace import BarrierTaskContext
        >>> def count_all(records):
        ...     here = len(list(records))
        ...     yield sum(map(int, BarrierTaskContext.get().all_gather(str(here))))
        >>> ctx.range(7, num_slices=1).barrier().map_partitions(count_all).collect()
        [7]

        """
        return self._made(f, "map_partitions", indexed=False, preserves_partitioning=preserves_partitioning)

    def map_partitions_with_index(
        self, f: Callable[[int, Iterator[T]], Iterable[U]], preserves_partitioning: bool = False
    ) -> Dataset[U]:
        """Apply a function to the number of each partition and the iterator over it, to all partitions at once.

        Args:
            f: may call `BarrierTaskContext.get()`, and wait for the others with it.
            preserves_partitioning: the keys of the result are those of the records.

        >>> ctx.range(3, num_slices=1).barrier().map_partitions_with_index(lambda i, xs: [(i, sum(xs))]).collect()
        [(0, 3)]

        """
        return self._made(f, "map_partitions_with_index", indexed=True, preserves_partitioning=preserves_partitioning)

    def _made(
        self, f: Callable[..., Iterable[U]], name: str, *, indexed: bool, preserves_partitioning: bool
    ) -> Dataset[U]:
        source = self._dataset
        made = narrow.map_partitions(
            source._engine,
            source._operator,
            f,
            name,
            indexed=indexed,
            preserves_partitioning=preserves_partitioning,
            barrier=True,
        )
        return source._then(made)

    def __repr__(self) -> str:
        return f"<BarrierDataset of {self._dataset!r}; call map_partitions>"
