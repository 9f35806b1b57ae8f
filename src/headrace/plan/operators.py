"""The lineage graph: what was asked for, as data.

An `Operator` is a node: what it computes for each partition (its body) and where its input comes from (its edges).  An
edge is narrow (`Forward`: the same partition of the input) or wide (`Shuffle`: parts of every partition).  Nothing here
computes; `stages` cuts the graph at its wide edges and `execute` runs the pieces.

Source: Zaharia et al., "Resilient Distributed Datasets" (2012), section 4: narrow and wide dependencies.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Literal

from msgspec import Struct

from headrace.ids import OperatorId, StageId
from headrace.plan.formats import Format
from headrace.plan.functions import Site, UserFunction
from headrace.plan.partitioners import Partitioner

# Sources: bodies without input.


class Split(Struct, frozen=True):
    """A part of one input file.

    Attributes:
        start: the first byte, where the file is packed of what it holds; the record that begins before it belongs to the
            split before.
        stop: the last record to read begins before this byte; None reads to the end of what can only be read whole.
        size, modified_ns: of the file, when the plan was made; a file that differs later is an error.

    """

    path: str
    start: int
    stop: int | None
    size: int
    modified_ns: int


class ReadFiles(Struct, frozen=True):
    """What files hold; `splits[p]` are the pieces that partition p reads, in order."""

    splits: tuple[tuple[Split, ...], ...]
    format: Format


class ReadSlices(Struct, frozen=True):
    """Records that the program itself provided.

    Attributes:
        inline: for partition p, its pickled chunks, or None where they are too large to travel with the plan.
        names: for partition p, the block of the program's own store that holds them otherwise.

    """

    inline: tuple[bytes | None, ...]
    names: tuple[str, ...]


class ReadRange(Struct, frozen=True):
    """Whole numbers, which need not be sent."""

    values: range


class Kept(Struct, frozen=True):
    """What workers keep, and nothing else: what it was made of is not known any more."""


# Bodies with input.

RecordKind = Literal["map", "flat_map", "filter", "map_values", "flat_map_values", "key_by", "keys", "values", "pair"]


class PerRecord(Struct, frozen=True):
    """A function of one record; any number of these in a row are fused."""

    kind: RecordKind
    function: UserFunction | None = None


class PerPartition(Struct, frozen=True):
    """A function from the iterator over a partition to another iterator.

    Attributes:
        indexed: the function takes the partition's number first.
        has_effects: it does something besides returning, so no copy of a task may run beside another.
        barrier: it is called for all partitions at once, and its calls may meet.

    """

    function: UserFunction
    indexed: bool = False
    has_effects: bool = False
    barrier: bool = False


class Union(Struct, frozen=True):
    """The partitions of one input after those of another.

    Where all are partitioned alike, instead (`zipped`): one partition of each after the other.
    """

    zipped: bool = False


class Merge(Struct, frozen=True):
    """What arrives through a shuffle, gathered.

    `how` is "combine" (one record per key), "group" (a key and all its values), "sort" (by key, then only the values) or
    "as is" (the pairs, in the order of the map partitions).
    """

    how: Literal["combine", "group", "sort", "as is"]
    aggregate: Aggregate | None = None
    descending: bool = False


class CoGroup(Struct, frozen=True):
    """For every key of any input: the key and one group of values per input."""


class Join(Struct, frozen=True):
    """Every pairing of the values of equal keys of two inputs."""


class Adaptive(Struct, frozen=True):
    """A join that becomes one of several plans when its sides have been measured, before it runs for the first time.

    Attributes:
        keeps_left, keeps_right: pairs of that side that have no partner are paired with None.

    """

    keeps_left: bool = False
    keeps_right: bool = False


class Gather(Struct, frozen=True):
    """Several partitions of the input, one after the other."""


class Zip(Struct, frozen=True):
    """Pairs of the first records, the second ones and so on of two inputs."""


class Cross(Struct, frozen=True):
    """Every pair of a record of one partition of one input and a record of one partition of the other."""


class SortWithin(Struct, frozen=True):
    """The records of a partition, in the order of what a function returns for each."""

    function: UserFunction
    descending: bool = False


Body = (
    ReadFiles
    | ReadSlices
    | ReadRange
    | Kept
    | PerRecord
    | PerPartition
    | Union
    | Merge
    | CoGroup
    | Join
    | Adaptive
    | Gather
    | Zip
    | Cross
    | SortWithin
)


class Aggregate(Struct, frozen=True):
    """How the values of one key become one value.

    `kind` lets the loop be written in C or inline where the functions are known: "reduce" has no `create` (the first value
    starts), "count" counts records, "distinct" keeps only keys.
    """

    kind: Literal["combine", "reduce", "count", "distinct"]
    create: UserFunction | None = None
    merge_value: UserFunction | None = None
    merge_combiners: UserFunction | None = None


# Edges.


class Runs(Struct, frozen=True):
    """Each partition reads a run of neighbours: `before` partitions become `after`, which are no more."""

    before: int
    after: int

    def of(self, partition: int) -> range:
        """Return the input partitions that a partition reads.

        >>> [list(Runs(5, 2).of(p)) for p in range(2)]
        [[0, 1], [2, 3, 4]]
        """
        return range(partition * self.before // self.after, (partition + 1) * self.before // self.after)


class Rows(Struct, frozen=True):
    """Partitions make a table, row after row; each reads the input partition of its row."""

    width: int

    def of(self, partition: int) -> range:
        """Return the input partitions that a partition reads."""
        row = partition // self.width
        return range(row, row + 1)


class Columns(Struct, frozen=True):
    """Partitions make a table, row after row; each reads the input partition of its column."""

    width: int

    def of(self, partition: int) -> range:
        """Return the input partitions that a partition reads."""
        column = partition % self.width
        return range(column, column + 1)


Parts = Runs | Rows | Columns


class Forward(Struct, frozen=True, eq=False):
    """Narrow: partition p of the operator reads partition p of its input (a union: of one of its inputs).

    Attributes:
        parts: other partitions than p, instead.

    """

    source: Operator
    parts: Parts | None = None


class Shuffle(Struct, frozen=True, eq=False, weakref=True):
    """Wide: every map partition writes a part for every reduce partition.

    Attributes:
        stage: names the shuffle, and the map stage that writes it.
        combine: applied on the map side already, where that is possible.
        grouped: the reader gathers values by key, so values of one key may travel together.
        keyed_by: computes the key of a record that is not a pair yet (sorting).

    """

    source: Operator
    stage: StageId
    partitioner: Partitioner
    combine: Aggregate | None = None
    keyed_by: UserFunction | None = None
    grouped: bool = False


Edge = Forward | Shuffle


class Operator(Struct, frozen=True, eq=False, weakref=True):
    """A node of the lineage graph.

    Attributes:
        name: what the user called.
        partitioner: how the keys of the result are dealt, when that is known.
        title: what the user calls the dataset.
        chosen: which plan it got when its inputs had been measured, and why.

    """

    id: OperatorId
    name: str
    site: Site
    body: Body
    inputs: tuple[Edge, ...]
    partitions: int
    partitioner: Partitioner | None = None
    title: str | None = None
    chosen: str | None = None


def ancestors(operator: Operator, within: Container[Operator] | None = None) -> list[Operator]:
    """List an operator and everything it depends on, inputs first, each once.  Iterative: lineages grow long.

    Args:
        within: nothing that is not in it, nor what is only behind that.

    """
    order: list[Operator] = []
    done: set[OperatorId] = set()
    waiting: list[tuple[Operator, bool]] = [(operator, False)]
    while waiting:
        node, expanded = waiting.pop()
        if node.id in done or (within is not None and node not in within):
            continue
        if expanded:
            done.add(node.id)
            order.append(node)
        else:
            waiting.append((node, True))
            waiting.extend((edge.source, False) for edge in reversed(node.inputs))
    return order
