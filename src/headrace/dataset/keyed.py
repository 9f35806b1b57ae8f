"""Operators on pairs, and others that move records to where their key belongs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headrace.dataset.arguments import whole
from headrace.dataset.engine import Engine
from headrace.execute.helpers import ValuesOf
from headrace.plan.functions import UserFunction, call_site, user_function
from headrace.plan.hashing import stable_hash
from headrace.plan.operators import Aggregate, CoGroup, Merge, Operator, PerRecord, Shuffle
from headrace.plan.partitioners import FunctionPartitioner, HashPartitioner, Partitioner, RangePartitioner

PartitionFunction = Callable[[Any], int]


def partitioner_for(
    engine: Engine, sources: list[Operator], number: int | None, function: PartitionFunction | None
) -> Partitioner:
    """Choose how keys are dealt: as asked for, or as some input is dealt already, or by hash to the default number."""
    number = None if number is None else whole(number, "num_partitions", 1)
    if function is not None and function is not stable_hash:
        return FunctionPartitioner(
            number or engine.config.shuffle_partitions, user_function(function, "partition_func")
        )
    if number is not None:
        return HashPartitioner(number)
    known = [source.partitioner for source in sources if source.partitioner is not None]
    hashed = [p for p in known if not isinstance(p, RangePartitioner)]
    return max(hashed, key=lambda p: p.partitions, default=HashPartitioner(engine.config.shuffle_partitions))


def aggregate_keys(
    engine: Engine,
    source: Operator,
    name: str,
    aggregate: Aggregate,
    number: int | None = None,
    function: PartitionFunction | None = None,
) -> Operator:
    """Make one record of all that have the same key."""
    # Records that are keys themselves (counted, made distinct) were not dealt by their own hash.
    pairs = aggregate.kind in ("combine", "reduce")
    partitioner = partitioner_for(engine, [source] if pairs else [], number, function)
    merge = Merge("combine", aggregate)
    if pairs and source.partitioner == partitioner:
        return engine.operator(name, merge, (source,), partitions=partitioner.partitions, partitioner=partitioner)
    edge = engine.shuffle(source, partitioner, combine=aggregate)
    return engine.operator(name, merge, (edge,), partitions=partitioner.partitions, partitioner=partitioner)


def combine_by_key(
    engine: Engine,
    source: Operator,
    create: Callable[[Any], Any],
    merge_value: Callable[[Any, Any], Any],
    merge_combiners: Callable[[Any, Any], Any],
    number: int | None,
    function: PartitionFunction | None,
) -> Operator:
    """Combine the values of each key, on the map side first."""
    name, site = "combine_by_key", call_site()
    aggregate = Aggregate(
        "combine",
        user_function(create, name, site),
        user_function(merge_value, name, site),
        user_function(merge_combiners, name, site),
    )
    return aggregate_keys(engine, source, name, aggregate, number, function)


def reduce_by_key(
    engine: Engine,
    source: Operator,
    merge: Callable[[Any, Any], Any],
    number: int | None,
    function: PartitionFunction | None,
) -> Operator:
    """Merge the values of each key."""
    taken = user_function(merge, "reduce_by_key")
    aggregate = Aggregate("reduce", None, taken, taken)
    return aggregate_keys(engine, source, "reduce_by_key", aggregate, number, function)


def distinct(engine: Engine, source: Operator, number: int | None) -> Operator:
    """Keep one of equal records."""
    keyed = aggregate_keys(engine, source, "distinct", Aggregate("distinct"), number)
    return engine.operator("distinct", PerRecord("keys"), (keyed,), partitions=keyed.partitions)


def count_values(engine: Engine, source: Operator, name: str) -> Operator:
    """Count equal records."""
    return aggregate_keys(engine, source, name, Aggregate("count"))


def group_by_key(
    engine: Engine,
    source: Operator,
    number: int | None,
    function: PartitionFunction | None,
    name: str = "group_by_key",
) -> Operator:
    """Gather the values of each key."""
    partitioner = partitioner_for(engine, [source], number, function)
    moved: Operator | Shuffle = source
    if source.partitioner != partitioner:
        moved = engine.shuffle(source, partitioner, grouped=True)
    return engine.operator(name, Merge("group"), (moved,), partitions=partitioner.partitions, partitioner=partitioner)


def partition_by(engine: Engine, source: Operator, number: int | None, function: PartitionFunction | None) -> Operator:
    """Deal pairs by their keys."""
    partitioner = partitioner_for(engine, [source], number, function)
    if source.partitioner == partitioner:
        return source
    edge = engine.shuffle(source, partitioner)
    return engine.operator(
        "partition_by", Merge("as is"), (edge,), partitions=partitioner.partitions, partitioner=partitioner
    )


def cogroup(
    engine: Engine, sources: list[Operator], name: str, number: int | None, function: PartitionFunction | None = None
) -> Operator:
    """Gather the values of each key, for each input by itself; inputs that are dealt right do not move."""
    partitioner = partitioner_for(engine, sources, number, function)
    inputs = tuple(s if s.partitioner == partitioner else engine.shuffle(s, partitioner, grouped=True) for s in sources)
    return engine.operator(name, CoGroup(), inputs, partitions=partitioner.partitions, partitioner=partitioner)


def lookup(engine: Engine, source: Operator, key: Any) -> list[Any]:
    """Bring the values of one key, from the one partition that can have it where that is known."""
    wanted = engine.operator(
        "lookup",
        PerRecord("flat_map", UserFunction(ValuesOf(key), "lookup", call_site())),
        (source,),
        partitions=source.partitions,
    )
    where = None if source.partitioner is None else [source.partitioner.partition(key)]
    return [value for chunk in engine.records(wanted, "lookup", where) for value in chunk]
