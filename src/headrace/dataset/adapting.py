"""Joins that measure before they run: both sides are looked at in jobs of their own, then the join becomes a plan."""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

from headrace.errors import ResultTooLarge
from headrace.execute import hashjoin
from headrace.execute.broadcasting import write_broadcast
from headrace.execute.chunks import split_frames
from headrace.execute.joining import pair_or_none
from headrace.execute.shared import Broadcast
from headrace.execute.spreading import PairHere
from headrace.plan import adaptive
from headrace.plan.functions import UserFunction
from headrace.plan.operators import Adaptive, CoGroup, Forward, Gather, Join, Operator, PerPartition, PerRecord, Runs
from headrace.plan.partitioners import SplitPartitioner
from headrace.plan.stages import ValueSink

if TYPE_CHECKING:
    from headrace.dataset.engine import Engine

MEMORY_SHARE = 8  # a table on a worker takes several times its pickled size: no more than this part of its memory


def settle(engine: Engine, operator: Operator) -> None:
    """Measure both sides of a join, and make it the plan that suits them."""
    body = operator.body
    assert isinstance(body, Adaptive)
    left, right = operator.inputs
    if isinstance(left, Forward) and isinstance(right, Forward):
        _become_plain(engine, operator, body, "both sides are dealt alike already, and nothing moves")
        return
    sides = [_look_at(engine, operator, edge.source) for edge in (left, right)]
    memory = engine.config.memory
    limit = engine.config.join.broadcast_bytes
    if memory is not None:
        limit = min(limit, memory.worker_bytes // MEMORY_SHARE)
    choice = _choose(engine, operator, body, sides, limit)
    if isinstance(choice, adaptive.Broadcast):
        small = _bring(engine, operator, choice, limit)
        if small is not None:
            _become_hash_join(engine, operator, body, choice, small)
            return
        choice = _choose(engine, operator, body, sides, 0)  # it is larger than the sample said
    if isinstance(choice, adaptive.Split):
        _become_split(engine, operator, body, choice)
    else:
        _become_plain(engine, operator, body, choice.because)


def _function(operator: Operator, call: Any) -> UserFunction:
    return UserFunction(call, operator.name, operator.site)


def _look_at(engine: Engine, operator: Operator, side: Operator) -> adaptive.Side:
    sink = ValueSink(_function(operator, hashjoin.look_at))
    return adaptive.measured(engine.values(side, sink, f"{operator.name}'s measuring"))


def _choose(
    engine: Engine, operator: Operator, body: Adaptive, sides: list[adaptive.Side], limit: int
) -> adaptive.Choice:
    return adaptive.choose(
        *sides,
        keeps_left=body.keeps_left,
        keeps_right=body.keeps_right,
        partitions=operator.partitions,
        broadcast_bytes=limit,
        split_records=engine.config.join.split_records,
    )


def _bring(engine: Engine, operator: Operator, choice: adaptive.Broadcast, limit: int) -> hashjoin.Side | None:
    """Bring the small side to the program; nothing, if it is not small."""
    source = operator.inputs[0 if choice.side == "left" else 1].source
    sink = ValueSink(_function(operator, hashjoin.Columns(limit)))
    try:
        parts = engine.values(source, sink, f"{operator.name}'s small side")
    except ResultTooLarge:  # every partition is small enough by itself
        return None
    if any(part is None for part in parts) or sum(len(piece) for part in parts for piece in part) > limit:
        return None
    keys: list[Any] = []
    values: list[Any] = []
    for part in parts:
        for piece in split_frames(part):
            some_keys, some_values = piece.load()
            keys += some_keys
            values += some_values
    return hashjoin.Side(keys, values)


# What it becomes.


def _become_plain(engine: Engine, operator: Operator, body: Adaptive, because: str) -> None:
    if not (body.keeps_left or body.keeps_right):
        engine.settle_as(operator, Join(), operator.inputs, because)
        return
    grouped = engine.operator(
        operator.name, CoGroup(), operator.inputs, partitions=operator.partitions, site=operator.site
    )
    pair = functools.partial(pair_or_none, keeps_left=body.keeps_left, keeps_right=body.keeps_right)
    engine.settle_as(operator, PerRecord("flat_map", _function(operator, pair)), (Forward(grouped),), because)


def _become_split(engine: Engine, operator: Operator, body: Adaptive, choice: adaptive.Split) -> None:
    number = operator.partitions
    left = SplitPartitioner(number, choice.left, choice.right)
    right = SplitPartitioner(number, choice.right, choice.left)
    sides = [edge.source for edge in operator.inputs]
    edges = (engine.shuffle(sides[0], left), engine.shuffle(sides[1], right))
    if not (body.keeps_left or body.keeps_right):
        engine.settle_as(operator, Join(), edges, choice.because)
        return
    grouped = engine.operator(operator.name, CoGroup(), edges, partitions=number, site=operator.site)
    pair = PairHere(left, keeps_left=body.keeps_left, keeps_right=body.keeps_right)
    pairs = PerPartition(_function(operator, pair), indexed=True)
    engine.settle_as(operator, pairs, (Forward(grouped),), choice.because)


def _become_hash_join(
    engine: Engine, operator: Operator, body: Adaptive, choice: adaptive.Broadcast, small: hashjoin.Side
) -> None:
    large = operator.inputs[1 if choice.side == "left" else 0].source
    if large.partitions != operator.partitions:
        runs = Forward(large, Runs(large.partitions, operator.partitions))
        large = engine.operator(operator.name, Gather(), (runs,), partitions=operator.partitions, site=operator.site)
    name = engine.block_name("broadcast")
    engine.session.provide(name, write_broadcast(small))
    weakref.finalize(operator, engine.session.forget, None, (name,)).atexit = False
    keeps = body.keeps_right if choice.side == "left" else body.keeps_left
    everywhere: Broadcast[Any] = Broadcast(name, None)  # only tasks read it: the program lets go of the table
    join = hashjoin.HashJoin(everywhere, choice.side, keeps=keeps)
    engine.settle_as(operator, PerPartition(_function(operator, join)), (Forward(large),), choice.because)
