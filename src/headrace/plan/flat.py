"""What a stage needs, laid flat: as data for files, in which what several partitions or branches share stands once.

What the scheduler is given is a tree on paper and shares most of its branches in memory: written as a tree, a chain of
rounds that part and meet again would be 2 ** n long, and a long one too deep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct

from headrace.ids import OperatorId, StageId
from headrace.plan.stages import Reads, Segment, StageSpec


class FlatReads(Struct, frozen=True, omit_defaults=True, array_like=True):
    """One `Reads`; `below` are places in the table, all before its own."""

    cut: OperatorId | None = None
    first: int = 0
    stages: tuple[StageId, ...] = ()
    below: tuple[int, ...] = ()


class FlatSpec(Struct, frozen=True, omit_defaults=True):
    """One `StageSpec`; of each segment where it begins and ends, and the place of what it reads."""

    id: StageId
    name: str
    partitions: int
    is_map: bool
    segments: tuple[tuple[int, int, int], ...]
    reads: tuple[FlatReads, ...] = ()
    has_effects: bool = False
    barrier: bool = False


def walk(tops: Iterator[Reads], below: Callable[[Reads], bool] = lambda reads: True) -> Iterator[Reads]:
    """Give what is needed, each thing once, and after all that it needs itself, as far as that is wanted, too."""
    seen: set[int] = set()
    for top in tops:
        waiting = [(top, False)]
        while waiting:
            reads, is_ready = waiting.pop()
            if is_ready:
                yield reads
            elif id(reads) not in seen:
                seen.add(id(reads))
                waiting.append((reads, True))
                if below(reads):
                    waiting.extend((one, False) for one in reversed(reads.below))


def flatten(spec: StageSpec) -> FlatSpec:
    """Lay a stage's needs flat."""
    places: dict[int, int] = {}
    table: list[FlatReads] = []
    for reads in walk(segment.reads for segment in spec.segments):
        places[id(reads)] = len(table)
        table.append(FlatReads(reads.cut, reads.first, reads.stages, tuple(places[id(one)] for one in reads.below)))
    segments = tuple((segment.first, segment.stop, places[id(segment.reads)]) for segment in spec.segments)
    return FlatSpec(
        spec.id, spec.name, spec.partitions, spec.is_map, segments, tuple(table), spec.has_effects, spec.barrier
    )


def unflatten(flat: FlatSpec) -> StageSpec:
    """Make a stage's needs what they were.

    >>> leaf = Reads(stages=(StageId(1),))
    >>> spec = StageSpec(StageId(2), "sum", 4, True, (Segment(0, 4, Reads(below=(leaf, leaf))),))
    >>> unflatten(flatten(spec)) == spec
    True

    """
    made: list[Reads] = []
    for reads in flat.reads:
        made.append(Reads(reads.cut, reads.first, reads.stages, tuple(made[place] for place in reads.below)))
    segments = tuple(Segment(first, stop, made[place]) for first, stop, place in flat.segments)
    return StageSpec(flat.id, flat.name, flat.partitions, flat.is_map, segments, flat.has_effects, flat.barrier)
