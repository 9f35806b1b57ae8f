"""Which dataset to checkpoint, and when: what computing it again would cost, against what writing it costs.

Source: Young, "A first order approximation to the optimum checkpoint interval" (1974): with a failure every M on average
and checkpoints that cost d, the least is lost to both where the work between two of them is the square root of 2 d M.
Sharma et al., "Flint" (2016), section 4.1, take it to lineages: d is the time to write the dataset at the end of what was
computed since the last cut.  That of several cuts which save about as much the cheapest to write is taken, and that a
lineage never grows beyond a length, are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from headrace.ids import OperatorId, StageId
from headrace.plan.operators import Merge, Operator, Shuffle

MS = 1_000_000
JOB_NS = 20 * MS  # of the job that writes
FILE_NS = 3 * MS  # of a file, made, synced and renamed
BYTE_NS = 10  # a hundred megabytes a second, pickled and written
ABOUT = 0.85  # cuts that save so much of what the best one does are as good
NEARLY = 1.25  # of those, what costs up to so many times the cheapest is as cheap


class Cost(Struct):
    """What the attempts that count have taken together, and written."""

    ns: int = 0
    written_bytes: int = 0


class Cut(Struct, frozen=True):
    """A dataset that could be written.

    Attributes:
        saves_ns: the work on the longest way to it, since the last cut.
        length: the operators on that way.
        size_bytes: of its records, as measured; None where nobody has.

    """

    operator: OperatorId
    saves_ns: int
    length: int
    partitions: int
    size_bytes: int | None

    @property
    def costs_ns(self) -> int:
        """How long writing it takes."""
        return JOB_NS + FILE_NS * self.partitions + BYTE_NS * (self.size_bytes or 0)


def cuts(
    lineage: Iterable[Operator],
    stages: Mapping[StageId, Cost],
    results: Mapping[Operator, int],
    kept: Iterable[OperatorId],
) -> list[Cut]:
    """List the datasets of a lineage that could be written: what a shuffle gathers, and what is kept.

    Args:
        lineage: inputs first, back to the last cuts.
        stages: what the map stages have taken and written.
        results: what the result stages have taken whose tip a dataset was, in nanoseconds.
        kept: datasets.

    >>> cuts([], {}, {}, [])
    []

    """
    ways: dict[OperatorId, tuple[int, int]] = {}
    held = set(kept)
    found = []
    for operator in lineage:
        ns = length = 0
        for edge in operator.inputs:
            cost = stages.get(edge.stage) if isinstance(edge, Shuffle) else None
            below_ns, below_length = ways[edge.source.id]
            ns = max(ns, below_ns + (cost.ns if cost is not None else 0))
            length = max(length, below_length)
        ways[operator.id] = (ns + results.get(operator, 0), length + 1)
        if not operator.inputs:
            continue
        written = [
            stages[e.stage].written_bytes for e in operator.inputs if isinstance(e, Shuffle) and e.stage in stages
        ]
        if isinstance(operator.body, Merge) and len(written) == 1:
            found.append(Cut(operator.id, ns, length + 1, operator.partitions, written[0]))
        elif operator.id in held:
            found.append(Cut(operator.id, *ways[operator.id], operator.partitions, None))
    return found


def choose(found: Iterable[Cut], *, failure_ns: int, length_max: int) -> Cut | None:
    """Choose what to write now, if anything.

    Args:
        failure_ns: the mean time between two failures.
        length_max: operators on the longest way, from which on something is cut, whatever it saves.

    >>> contributions = Cut(OperatorId(7), 100_000 * MS, 9, 8, 800_000_000)
    >>> ranks = Cut(OperatorId(8), 99_000 * MS, 8, 8, 8_000_000)
    >>> choose([contributions, ranks], failure_ns=3_600_000 * MS, length_max=200).operator
    8
    >>> choose([contributions, ranks], failure_ns=10**9 * 3_600_000 * MS, length_max=200) is None
    True

    """
    every = list(found)
    longest = max((cut.length for cut in every), default=0)
    if longest >= length_max:
        good = [cut for cut in every if cut.length >= ABOUT * longest]
    else:
        worth = [cut for cut in every if cut.saves_ns**2 >= 2 * cut.costs_ns * failure_ns]
        most = max((cut.saves_ns for cut in every), default=0)
        good = [cut for cut in worth if cut.saves_ns >= ABOUT * most]
    if measured := [cut for cut in good if cut.size_bytes is not None]:
        good = measured
    if not good:
        return None
    cheapest = min(cut.costs_ns for cut in good)
    return max(
        (cut for cut in good if cut.costs_ns <= NEARLY * cheapest), key=lambda c: (c.saves_ns, c.length, c.operator)
    )
