"""Operators on the pairs of several datasets: grouped together, joined, subtracted."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from headrace.dataset.engine import Engine
from headrace.dataset.keyed import cogroup, partitioner_for
from headrace.errors import UsageError
from headrace.execute import joining
from headrace.plan.functions import UserFunction
from headrace.plan.hashing import short
from headrace.plan.operators import Adaptive, Join, Operator, PerRecord


def over_groups(
    engine: Engine,
    sources: list[Operator],
    name: str,
    function: Callable[[Any], Any],
    number: int | None,
    *,
    keeps_keys: bool = True,
) -> Operator:
    """Group pairs by key, each input by itself, and make any number of records of each key's groups.

    Args:
        keeps_keys: those records are pairs again, each with the key that it was made of.

    """
    grouped = cogroup(engine, sources, name, number)
    made = PerRecord("flat_map", UserFunction(function, name, grouped.site))
    partitioner = grouped.partitioner if keeps_keys else None
    return engine.operator(name, made, (grouped,), partitions=grouped.partitions, partitioner=partitioner)


def join(engine: Engine, left: Operator, right: Operator, number: int | None, skew: str | None = None) -> Operator:
    """Pair the values of equal keys."""
    if _adapts(skew):
        return _adaptive(engine, left, right, "join", number, Adaptive())
    partitioner = partitioner_for(engine, [left, right], number, None)
    sides = tuple(
        side if side.partitioner == partitioner else engine.shuffle(side, partitioner) for side in (left, right)
    )
    return engine.operator("join", Join(), sides, partitions=partitioner.partitions, partitioner=partitioner)


def outer_join(
    engine: Engine,
    left: Operator,
    right: Operator,
    number: int | None,
    skew: str | None = None,
    *,
    keeps_left: bool,
    keeps_right: bool,
) -> Operator:
    """Pair the values of equal keys, and those without a partner with None."""
    side = "full" if keeps_left and keeps_right else "left" if keeps_left else "right"
    if _adapts(skew):
        return _adaptive(engine, left, right, f"{side}_outer_join", number, Adaptive(keeps_left, keeps_right))
    pairs = functools.partial(joining.pair_or_none, keeps_left=keeps_left, keeps_right=keeps_right)
    return over_groups(engine, [left, right], f"{side}_outer_join", pairs, number)


def _adapts(skew: str | None) -> bool:
    if skew not in (None, "auto"):
        raise UsageError(f'skew cannot be {short(skew)}. Give it "auto", or leave it out.')
    return skew == "auto"


def _adaptive(
    engine: Engine, left: Operator, right: Operator, name: str, number: int | None, body: Adaptive
) -> Operator:
    """Put a join off until its sides are measured; how keys will be dealt is not known before."""
    partitioner = partitioner_for(engine, [left, right], number, None)
    outer = body.keeps_left or body.keeps_right
    sides = tuple(
        side if side.partitioner == partitioner else engine.shuffle(side, partitioner, grouped=outer)
        for side in (left, right)
    )
    return engine.operator(name, body, sides, partitions=partitioner.partitions)


def subtract_by_key(
    engine: Engine, source: Operator, other: Operator, number: int | None, name: str = "subtract_by_key"
) -> Operator:
    """Keep the pairs whose key the other does not have."""
    return over_groups(engine, [source, other], name, joining.without_right, number)


def subtract(engine: Engine, source: Operator, other: Operator, number: int | None) -> Operator:
    """Keep the records that the other does not have."""
    left, right = (_as_keys(engine, side, "subtract") for side in (source, other))
    left = subtract_by_key(engine, left, right, number, "subtract")
    return engine.operator("subtract", PerRecord("keys"), (left,), partitions=left.partitions)


def intersection(engine: Engine, source: Operator, other: Operator) -> Operator:
    """Keep one of each record that both have."""
    sides = [_as_keys(engine, side, "intersection") for side in (source, other)]
    return over_groups(engine, sides, "intersection", joining.in_both, None, keeps_keys=False)


def _as_keys(engine: Engine, source: Operator, name: str) -> Operator:
    """Turn records into keys of pairs that have no value."""
    return engine.operator(name, PerRecord("pair"), (source,), partitions=source.partitions)
