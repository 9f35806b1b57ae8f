"""Folds that begin from a zero: a fresh one each time, because functions may change what they are given."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from typing import Any

from headrace.execute.helpers import fold_up


class FromZero:
    """Makes a combiner of a first value."""

    def __init__(self, zero: Any, merge: Callable[[Any, Any], Any]) -> None:
        self.zero, self.merge = zero, merge

    def __call__(self, value: Any) -> Any:
        """Merge a value into a new zero."""
        return self.merge(copy.deepcopy(self.zero), value)


class Fold:
    """Folds a partition."""

    def __init__(self, zero: Any, merge: Callable[[Any, Any], Any]) -> None:
        self.zero, self.merge = zero, merge

    def __call__(self, records: Iterable[Any]) -> Any:
        """Merge all records into a new zero."""
        return reduce(self.merge, records, copy.deepcopy(self.zero))


class OnceFolded:
    """Folds a partition into its only record."""

    def __init__(self, zero: Any, merge: Callable[[Any, Any], Any]) -> None:
        self.fold = Fold(zero, merge)

    def __call__(self, records: Iterable[Any]) -> Iterator[Any]:
        """Fold it."""
        yield self.fold(records)


class OnceReduced:
    """Reduces a partition to its only record, or to none."""

    def __init__(self, merge: Callable[[Any, Any], Any]) -> None:
        self.merge = merge

    def __call__(self, records: Iterable[Any]) -> Iterator[Any]:
        """Reduce it."""
        return iter(fold_up(self.merge, records))


class Neighbours:
    """Pairs a partition's records with the number of the group of neighbours that it belongs to."""

    def __init__(self, before: int, after: int) -> None:
        self.before, self.after = before, after

    def __call__(self, partition: int, records: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """Pair them."""
        return ((partition * self.after // self.before, record) for record in records)
