"""What the program holds, and whole numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from headrace.dataset import given, narrow
from headrace.dataset.dataset import Dataset
from headrace.dataset.sources.door import Door
from headrace.errors import UsageError

T = TypeVar("T")


class Values(Door):
    """Sources that need no files."""

    def parallelize(self, c: Iterable[T], num_slices: int | None = None) -> Dataset[T]:
        """Make a dataset of what the program holds.

        Args:
            c: anything to iterate over, once; its records are copied now.  A pandas DataFrame gives a dictionary a row, a
                Series its values, a NumPy array its rows: arrays of one dimension less, or Python's own numbers and text.
            num_slices: how many partitions, of about equal length; one for each worker unless said.

        >>> ctx.parallelize([1, 2, 3], 2).map_partitions(lambda part: [list(part)]).collect()
        [[1], [2, 3]]

        """
        return Dataset(self._engine, given.parallelize(self._engine, c, num_slices))

    def range(self, start: int, end: int | None = None, step: int = 1, num_slices: int | None = None) -> Dataset[int]:
        """Make a dataset of whole numbers, as Python's `range` counts them.

        Args:
            end: counts from 0 to `start` unless said.
            num_slices: as for `parallelize`.

        >>> ctx.range(2, 8, 3).collect()
        [2, 5]

        """
        return Dataset(self._engine, given.numbers(self._engine, start, end, step, num_slices))

    def union(self, rdds: Sequence[Dataset[T]]) -> Dataset[T]:
        """Put datasets side by side; see `Dataset.union`.

        Args:
            rdds: the datasets, one at least.

        >>> ctx.union([ctx.range(2), ctx.range(2), ctx.range(1)]).collect()
        [0, 1, 0, 1, 0]

        """
        if not rdds:
            raise UsageError("union needs one dataset at least. For one without records, take ctx.parallelize([]).")
        first, *others = rdds
        return Dataset(
            self._engine,
            narrow.union(self._engine, [first._operator, *(first._beside(one, "union") for one in others)]),
        )
