"""Sorting one partition by key, within a budget: sorted runs on disk, merged as they are read.

Source: Knuth, The Art of Computer Programming, volume 3, section 5.4: external sorting.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import islice
from operator import itemgetter
from typing import Any

from headrace.execute.chunks import CHUNK_RECORDS, NAN_KEYS, Frame, frame, sizeof, split_frames
from headrace.execute.flow import Pace
from headrace.execute.kernels import plain
from headrace.plan.hashing import has_nan
from headrace.plan.partitioners import sortable, unordered
from headrace.ports import Scratch

Run = list[tuple[int, int]]  # where the frames of a sorted run are: offset and length of each
KEY: Callable[[Any], Any] = itemgetter(0)
PAIR_BYTES = 72  # of a list's slot and a tuple of two
RUN_RECORDS = 256  # a frame of a run: all runs have one in memory during the merge
RUNS_MAX = 64  # merged at once


class SortTable:
    """Gathers keys and records; gives the records back in the order of their keys, equal ones in the order they came.

    NaN comes after everything.
    """

    def __init__(self, descending: bool, budget: int, scratch: Callable[[], Scratch]) -> None:
        self._descending, self._budget, self._scratch = descending, budget, scratch
        self._pairs: list[tuple[Any, Any]] = []
        self._bytes = 0
        self._runs: list[Run] = []

    def add(self, part: Frame) -> None:
        """Take a frame of keys and records."""
        keys, records = part.load()
        self._add(keys, records, nan=bool(part.flags & NAN_KEYS))

    def add_columns(self, keys: list[Any], records: list[Any]) -> None:
        """Take keys and records."""
        self._add(keys, records, nan=not plain(keys) and any(map(has_nan, keys)))

    def _add(self, keys: list[Any], records: list[Any], *, nan: bool) -> None:
        if nan:
            keys = list(map(sortable, keys))
        self._pairs.extend(zip(keys, records, strict=True))
        self._bytes += sizeof(keys) + sizeof(records) + PAIR_BYTES * len(keys)
        if self._bytes > self._budget:
            self._spill()

    def _sort(self) -> None:
        try:
            self._pairs.sort(key=KEY, reverse=self._descending)
        except TypeError as error:
            raise unordered(error) from error

    def _spill(self) -> None:
        self._sort()
        self._runs.append(self._written(iter(self._pairs)))
        self._pairs.clear()
        self._bytes = 0

    def _written(self, pairs: Iterator[tuple[Any, Any]]) -> Run:
        pace = Pace(RUN_RECORDS, max(1, self._budget // RUNS_MAX))
        return [self._scratch().append(frame(some, len(some))) for some in pace.lists(pairs)]

    def _read(self, run: Run) -> Iterator[tuple[Any, Any]]:
        for offset, length in run:
            for part in split_frames([self._scratch().read(offset, length)]):
                yield from part.load()

    def _merged(self, *sorted_pairs: Iterator[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
        try:
            yield from heapq.merge(*sorted_pairs, key=KEY, reverse=self._descending)
        except TypeError as error:
            raise unordered(error) from error

    def drain(self) -> Iterator[list[Any]]:
        """Give the records in order, and forget them."""
        self._sort()
        if not self._runs:
            for start in range(0, len(self._pairs), CHUNK_RECORDS):
                yield [record for _, record in self._pairs[start : start + CHUNK_RECORDS]]
            self._pairs.clear()
            return
        runs = self._runs
        while len(runs) > RUNS_MAX:  # neighbours, so that equal keys stay in the order they came
            groups = [runs[i : i + RUNS_MAX] for i in range(0, len(runs), RUNS_MAX)]
            runs = [self._written(self._merged(*map(self._read, group))) for group in groups]
        records = (record for _, record in self._merged(*map(self._read, runs), iter(self._pairs)))
        pace = Pace()
        while some := list(islice(records, pace.next)):
            yield some
            pace.learn(some)
