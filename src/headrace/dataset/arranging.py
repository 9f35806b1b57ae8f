"""Operators on how records lie in partitions: gathered, zipped, numbered, crossed, dealt anew."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from headrace.dataset.arguments import whole
from headrace.dataset.engine import Engine
from headrace.errors import UsageError
from headrace.execute import helpers
from headrace.execute.piping import Pipe
from headrace.plan.functions import UserFunction, call_site
from headrace.plan.hashing import short
from headrace.plan.operators import (
    Columns,
    Cross,
    Forward,
    Gather,
    Merge,
    Operator,
    PerPartition,
    PerRecord,
    Rows,
    Runs,
    Zip,
)
from headrace.plan.partitioners import FunctionPartitioner
from headrace.plan.stages import ValueSink


def by_partition(
    engine: Engine,
    source: Operator,
    function: Callable[..., Iterator[Any]],
    name: str,
    *,
    indexed: bool = False,
    keeps_keys: bool = False,
) -> Operator:
    """Apply a function of ours to the iterator over each partition."""
    body = PerPartition(UserFunction(function, name, call_site()), indexed)
    partitioner = source.partitioner if keeps_keys else None
    return engine.operator(name, body, (source,), partitions=source.partitions, partitioner=partitioner)


def glom(engine: Engine, source: Operator) -> Operator:
    """Make one list of each partition."""
    return by_partition(engine, source, helpers.listed, "glom")


def pipe(
    engine: Engine,
    source: Operator,
    command: str | Sequence[str],
    env: Mapping[str, str] | None,
    *,
    check: bool,
) -> Operator:
    """Give records to a program, and take its lines."""
    try:
        words = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError as error:
        raise UsageError(f"pipe cannot split {short(command)} as a shell would: {error}. Give a list.") from None
    if not words or not all(isinstance(word, str) for word in words):
        raise UsageError(f"pipe needs a command, as a text or as a list of texts, not {short(command)}.")
    added = dict(env or {})
    if not all(isinstance(text, str) for pair in added.items() for text in pair):
        raise UsageError(f"pipe needs texts for environment variables, not {short(env)}.")
    body = PerPartition(UserFunction(Pipe(words, added, check=check), "pipe", call_site()), has_effects=True)
    return engine.operator("pipe", body, (source,), partitions=source.partitions)


def coalesce(engine: Engine, source: Operator, number: int, *, shuffle: bool) -> Operator:
    """Make fewer partitions of neighbours; or, with a shuffle, any number of equally large ones."""
    number = whole(number, "num_partitions", 1)
    if shuffle:
        return repartition(engine, source, number, "coalesce")
    if number >= source.partitions:
        return source
    edge = Forward(source, Runs(source.partitions, number))
    return engine.operator("coalesce", Gather(), (edge,), partitions=number)


def repartition(engine: Engine, source: Operator, number: int, name: str = "repartition") -> Operator:
    """Deal records out in turn."""
    number = whole(number, "num_partitions", 1)
    site = call_site()
    turns = by_partition(engine, source, functools.partial(helpers.in_turn, number), name, indexed=True)
    edge = engine.shuffle(turns, FunctionPartitioner(number, UserFunction(helpers.same, name, site)))
    dealt = engine.operator(name, Merge("as is"), (edge,), partitions=number)
    return engine.operator(name, PerRecord("values"), (dealt,), partitions=number)


def zipped(engine: Engine, source: Operator, other: Operator) -> Operator:
    """Pair the first records, the second ones, and so on.

    Raises:
        UsageError: they have different numbers of partitions.

    """
    if source.partitions != other.partitions:
        raise UsageError(
            f"zip needs as many partitions on both sides, not {source.partitions} and {other.partitions}. Number the "
            "records of both with zip_with_index, and join them by that."
        )
    return engine.operator("zip", Zip(), (source, other), partitions=source.partitions)


def zip_with_index(engine: Engine, source: Operator) -> Operator:
    """Number the records, in the order of the partitions; with more than one, that takes a job to count them."""
    starts = [0]
    if source.partitions > 1:
        sink = ValueSink(UserFunction(helpers.count, "zip_with_index", call_site()))
        starts = [0, *accumulate(engine.values(source, sink, "zip_with_index"))]
    return by_partition(engine, source, helpers.Numbered(starts), "zip_with_index", indexed=True)


def zip_with_unique_id(engine: Engine, source: Operator) -> Operator:
    """Number the records so that no two are alike, without counting any."""
    numbered = functools.partial(helpers.numbered_apart, source.partitions)
    return by_partition(engine, source, numbered, "zip_with_unique_id", indexed=True)


def cartesian(engine: Engine, source: Operator, other: Operator) -> Operator:
    """Pair each record with each of the other's."""
    rows, columns = Forward(source, Rows(other.partitions)), Forward(other, Columns(other.partitions))
    return engine.operator("cartesian", Cross(), (rows, columns), partitions=source.partitions * other.partitions)
