"""Makes lineage graphs by hand, without a context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from headrace.execute.chunks import frame
from headrace.execute.flow import Pace
from headrace.ids import OperatorId, StageId
from headrace.plan.functions import UserFunction, call_site
from headrace.plan.operators import (
    Aggregate,
    Body,
    CoGroup,
    Columns,
    Cross,
    Edge,
    Forward,
    Gather,
    Merge,
    Operator,
    PerPartition,
    PerRecord,
    ReadRange,
    ReadSlices,
    RecordKind,
    Rows,
    Runs,
    Shuffle,
    SortWithin,
    Union,
    Zip,
)
from headrace.plan.partitioners import HashPartitioner, Partitioner


def user(function: Callable[..., Any], label: str = "test") -> UserFunction:
    """Wrap a function as an operator would."""
    return UserFunction(function, label, call_site())


def reducing(merge: Callable[[Any, Any], Any]) -> Aggregate:
    """Describe reduce_by_key."""
    taken = user(merge, "reduce_by_key")
    return Aggregate("reduce", None, taken, taken)


def combining(
    create: Callable[[Any], Any], merge_value: Callable[[Any, Any], Any], merge_combiners: Callable[[Any, Any], Any]
) -> Aggregate:
    """Describe combine_by_key."""
    return Aggregate("combine", *(user(f, "combine_by_key") for f in (create, merge_value, merge_combiners)))


class Lineage:
    """Names operators and shuffles of one test."""

    def __init__(self) -> None:
        self._operators, self._stages = count(1), count(1)

    def operator(
        self, name: str, body: Body, edges: Sequence[Operator | Shuffle], partitions: int, by: Partitioner | None = None
    ) -> Operator:
        inputs: tuple[Edge, ...] = tuple(Forward(edge) if isinstance(edge, Operator) else edge for edge in edges)
        return Operator(OperatorId(next(self._operators)), name, call_site(), body, inputs, partitions, by)

    def stage(self) -> StageId:
        return StageId(next(self._stages))

    # Sources.

    def slices(self, parts: Sequence[Sequence[Any]]) -> Operator:
        inline = [b"".join(frame(some, len(some)) for some in Pace().lists(iter(part))) for part in parts]
        return self.operator("parallelize", ReadSlices(tuple(inline), ("",) * len(parts)), (), len(parts))

    def numbers(self, values: range, partitions: int) -> Operator:
        return self.operator("range", ReadRange(values), (), partitions)

    # Narrow.

    def record(self, source: Operator, kind: RecordKind, function: Callable[[Any], Any] | None = None) -> Operator:
        taken = user(function, kind) if function is not None else None
        return self.operator(kind, PerRecord(kind, taken), [source], source.partitions)

    def partitions(self, source: Operator, function: Callable[..., Any], *, indexed: bool = False) -> Operator:
        taken = user(function, "map_partitions")
        return self.operator("map_partitions", PerPartition(taken, indexed), [source], source.partitions)

    def gathered(self, source: Operator, number: int) -> Operator:
        return self._reading("coalesce", Gather(), [Forward(source, Runs(source.partitions, number))], number)

    def crossed(self, left: Operator, right: Operator) -> Operator:
        edges = [Forward(left, Rows(right.partitions)), Forward(right, Columns(right.partitions))]
        return self._reading("cartesian", Cross(), edges, left.partitions * right.partitions)

    def zipped(self, left: Operator, right: Operator) -> Operator:
        return self.operator("zip", Zip(), [left, right], left.partitions)

    def sorted_within(self, source: Operator, key: Callable[[Any], Any], *, descending: bool = False) -> Operator:
        return self.operator("sort within", SortWithin(user(key), descending), [source], source.partitions)

    def _reading(self, name: str, body: Body, edges: list[Forward], partitions: int) -> Operator:
        return Operator(OperatorId(next(self._operators)), name, call_site(), body, tuple(edges), partitions)

    def union(self, *sources: Operator, zipped: bool = False) -> Operator:
        number = sources[0].partitions if zipped else sum(source.partitions for source in sources)
        return self.operator("union", Union(zipped), sources, number)

    # Wide, unless told that the input is dealt already.

    def moved(
        self,
        source: Operator,
        by: Partitioner | int,
        combine: Aggregate | None = None,
        keyed_by: Callable[[Any], Any] | None = None,
        *,
        grouped: bool = False,
    ) -> Shuffle:
        partitioner = HashPartitioner(by) if isinstance(by, int) else by
        keyed = user(keyed_by, "sort_by") if keyed_by else None
        return Shuffle(source, self.stage(), partitioner, combine, keyed, grouped)

    def merged(
        self, how: Any, edge: Operator | Shuffle, aggregate: Aggregate | None = None, *, descending: bool = False
    ) -> Operator:
        number = edge.partitions if isinstance(edge, Operator) else edge.partitioner.partitions
        return self.operator(f"merge {how}", Merge(how, aggregate, descending), [edge], number)

    def combined(self, source: Operator, aggregate: Aggregate, by: Partitioner | int) -> Operator:
        return self.merged("combine", self.moved(source, by, aggregate), aggregate)

    def grouped(self, source: Operator, by: Partitioner | int) -> Operator:
        return self.merged("group", self.moved(source, by, grouped=True))

    def cogrouped(self, *edges: Operator | Shuffle) -> Operator:
        numbers = {edge.partitions if isinstance(edge, Operator) else edge.partitioner.partitions for edge in edges}
        assert len(numbers) == 1
        return self.operator("cogroup", CoGroup(), edges, numbers.pop())
