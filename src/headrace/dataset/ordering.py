"""Operators that sort: all records, or those of each partition."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from headrace.dataset.arguments import whole
from headrace.dataset.engine import Engine
from headrace.dataset.keyed import PartitionFunction, partition_by
from headrace.execute.helpers import KeyOf
from headrace.plan.functions import UserFunction, call_site, user_function
from headrace.plan.operators import Merge, Operator, SortWithin
from headrace.plan.partitioners import RangePartitioner


def sort_by(
    engine: Engine, source: Operator, key: Callable[[Any], Any], *, ascending: bool, number: int | None
) -> Operator:
    """Sort by what a function returns for each record."""
    return _sorted(engine, source, user_function(key, "sort_by"), ascending=ascending, number=number)


def sort_by_key(
    engine: Engine, source: Operator, key: Callable[[Any], Any] | None, *, ascending: bool, number: int | None
) -> Operator:
    """Sort pairs by their keys, or by what a function returns for those."""
    return _sorted(engine, source, _of_key(key, "sort_by_key"), ascending=ascending, number=number)


def _sorted(engine: Engine, source: Operator, key: UserFunction, *, ascending: bool, number: int | None) -> Operator:
    number = engine.config.shuffle_partitions if number is None else whole(number, "num_partitions", 1)
    partitioner = RangePartitioner(number, key, ascending=ascending)
    edge = engine.shuffle(source, partitioner, keyed_by=key)
    return engine.operator(
        key.label, Merge("sort", descending=not ascending), (edge,), partitions=partitioner.partitions
    )


def within_partitions(
    engine: Engine,
    source: Operator,
    number: int | None,
    function: PartitionFunction | None,
    key: Callable[[Any], Any] | None,
    *,
    ascending: bool,
) -> Operator:
    """Deal pairs by their keys, and sort what each partition gets."""
    name = "repartition_and_sort_within_partitions"
    moved = partition_by(engine, source, number, function)
    body = SortWithin(_of_key(key, name), descending=not ascending)
    return engine.operator(name, body, (moved,), partitions=moved.partitions, partitioner=moved.partitioner)


def _of_key(key: Callable[[Any], Any] | None, name: str) -> UserFunction:
    if key is None:
        return UserFunction(itemgetter(0), name, call_site())
    taken = user_function(key, name)
    return UserFunction(KeyOf(taken.call), name, taken.site)
