"""Values of a key, and all records, folded from a zero that is never shared."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from typing import Any

from headrace.dataset.actions import in_program, per_partition
from headrace.dataset.arguments import whole
from headrace.dataset.engine import Engine
from headrace.dataset.keyed import PartitionFunction, aggregate_keys
from headrace.errors import NoRecords
from headrace.execute import folding, helpers
from headrace.plan.functions import UserFunction, call_site, user_function
from headrace.plan.operators import Aggregate, Merge, Operator, PerPartition, PerRecord
from headrace.plan.partitioners import FunctionPartitioner

Merging = Callable[[Any, Any], Any]


def aggregate_by_key(
    engine: Engine,
    source: Operator,
    zero: Any,
    merge_value: Merging,
    merge_combiners: Merging,
    number: int | None,
    function: PartitionFunction | None,
    name: str = "aggregate_by_key",
) -> Operator:
    """Fold the values of each key, from a zero of its own in every map partition."""
    site = call_site()
    taken = user_function(merge_value, name, site)
    create = user_function(folding.FromZero(zero, taken.call), name, site)
    aggregate = Aggregate("combine", create, taken, user_function(merge_combiners, name, site))
    return aggregate_keys(engine, source, name, aggregate, number, function)


def fold_by_key(
    engine: Engine, source: Operator, zero: Any, merge: Merging, number: int | None, function: PartitionFunction | None
) -> Operator:
    """Fold the values of each key with one function."""
    return aggregate_by_key(engine, source, zero, merge, merge, number, function, "fold_by_key")


def aggregate(engine: Engine, source: Operator, zero: Any, merge_record: Merging, merge: Merging, name: str) -> Any:
    """Fold each partition from the zero, and the results from the zero again."""
    user_function(merge, name)
    taken = user_function(merge_record, name)
    parts = per_partition(engine, source, folding.Fold(zero, taken.call), name)
    return in_program(name, lambda: functools.reduce(merge, parts, copy.deepcopy(zero)))


def tree_aggregate(
    engine: Engine, source: Operator, zero: Any, merge_record: Merging, merge: Merging, depth: int
) -> Any:
    """Fold each partition from the zero, and merge the results in rounds."""
    name = "tree_aggregate"
    taken = user_function(merge_record, name)
    return _in_rounds(engine, source, folding.OnceFolded(zero, taken.call), merge, depth, name)


def tree_reduce(engine: Engine, source: Operator, merge: Merging, depth: int) -> Any:
    """Reduce each partition, and merge the results in rounds."""
    taken = user_function(merge, "tree_reduce")
    return _in_rounds(engine, source, folding.OnceReduced(taken.call), merge, depth, "tree_reduce")


def _in_rounds(
    engine: Engine, source: Operator, fold: Callable[..., Any], merge: Merging, depth: int, name: str
) -> Any:
    """Make at most one value of each partition, and merge neighbours on the workers until few are left."""
    depth = whole(depth, "depth", 1)
    merging = user_function(merge, name)
    body = PerPartition(UserFunction(fold, name, merging.site))
    tip = engine.operator(name, body, (source,), partitions=source.partitions)
    scale = max(math.ceil(source.partitions ** (1 / depth)), 2)
    while tip.partitions > scale + tip.partitions / scale:
        tip = _merged(engine, tip, math.ceil(tip.partitions / scale), merging, name)
    parts = [record for chunk in engine.records(tip, name) for record in chunk]
    if not parts:
        raise NoRecords(f"{name}() of a dataset without records. Ask take(1) first, or union a neutral record.")
    return in_program(name, lambda: functools.reduce(merge, parts))


def _merged(engine: Engine, source: Operator, number: int, merging: UserFunction, name: str) -> Operator:
    """Merge the values of neighbouring partitions."""
    keyed = PerPartition(UserFunction(folding.Neighbours(source.partitions, number), name, merging.site), indexed=True)
    pairs = engine.operator(name, keyed, (source,), partitions=source.partitions)
    dealt = FunctionPartitioner(number, UserFunction(helpers.same, name, merging.site))
    how = Aggregate("reduce", None, merging, merging)
    edge = engine.shuffle(pairs, dealt, combine=how)
    merged = engine.operator(name, Merge("combine", how), (edge,), partitions=number)
    return engine.operator(name, PerRecord("values"), (merged,), partitions=number)
