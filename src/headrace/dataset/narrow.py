"""Operators that need no shuffle: each partition is made from one partition."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from headrace.dataset.engine import Engine
from headrace.plan.functions import user_function
from headrace.plan.operators import Operator, PerPartition, PerRecord, RecordKind, Union

KEEPS_KEYS = {"filter", "map_values", "flat_map_values"}


def per_record(
    engine: Engine, source: Operator, kind: RecordKind, *functions: Callable[..., Any], keeps_keys: bool = False
) -> Operator:
    """Apply a function to every record; `keys` and `values` take none."""
    taken = user_function(functions[0], kind) if functions else None
    partitioner = source.partitioner if keeps_keys or kind in KEEPS_KEYS else None
    return engine.operator(
        kind, PerRecord(kind, taken), (source,), partitions=source.partitions, partitioner=partitioner
    )


def map_partitions(
    engine: Engine,
    source: Operator,
    function: Callable[..., Iterable[Any]],
    name: str = "map_partitions",
    *,
    indexed: bool = False,
    preserves_partitioning: bool = False,
    barrier: bool = False,
) -> Operator:
    """Apply a function to the iterator over each partition."""
    return engine.operator(
        name,
        PerPartition(user_function(function, name), indexed, barrier=barrier),
        (source,),
        partitions=source.partitions,
        partitioner=source.partitioner if preserves_partitioning else None,
    )


def union(engine: Engine, sources: list[Operator]) -> Operator:
    """Put datasets side by side; those that are partitioned alike stay so."""
    first = sources[0].partitioner
    if first is not None and all(source.partitioner == first for source in sources):
        partitions = sources[0].partitions
        return engine.operator("union", Union(zipped=True), tuple(sources), partitions=partitions, partitioner=first)
    total = sum(source.partitions for source in sources)
    return engine.operator("union", Union(), tuple(sources), partitions=total)
