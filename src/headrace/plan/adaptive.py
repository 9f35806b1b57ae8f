"""Which plan a join gets when its sides have been measured: pure, so that every choice can be tested and told.

A side that is small is sent to every worker, and the other is not shuffled.  A key that would overwhelm its partition is
split: its rows on the side that has more of them are dealt to several partitions, and those on the other side are copied to
all of those.  Otherwise the plan is the usual one.

Source: Blanas et al., "A Comparison of Join Algorithms for Log Processing in MapReduce" (2010), section 3.2, for the
broadcast; DeWitt et al., "Practical Skew Handling in Parallel Joins" (1992), section 3, for the split, there called
fragment-replicate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal

from msgspec import Struct, field

from headrace.plan.hashing import has_nan, short

SPLIT_KEYS_MAX = 64  # heavier ones first
FINER = 2  # times as many partitions as would make a split key no heavier than others: they have other keys as well
SHOWN = 3  # split keys that are told by name
Which = Literal["left", "right"]


class Sample(Struct, frozen=True):
    """What was drawn from one partition of a side.

    Attributes:
        records: in the partition.
        size: of it, pickled, in bytes; estimated.
        drawn: how many records were looked at.
        often: keys that were drawn more than once, and how often.
        strange: something was no pair, or no key: the join itself says best what.

    """

    records: int
    size: int = 0
    drawn: int = 0
    often: tuple[tuple[Any, int], ...] = ()
    strange: bool = False


class Side(Struct, frozen=True):
    """What samples tell of one side of a join.

    Attributes:
        size: pickled, in bytes; estimated.
        often: keys that many records have, and how many; estimated.

    """

    records: int
    size: int
    often: dict[Any, float] = field(default_factory=dict)
    strange: bool = False


def measured(samples: Iterable[Sample]) -> Side:
    """Sum up what was drawn from the partitions of a side.

    >>> measured([Sample(10, 100, 5, (("a", 4),)), Sample(3, 30, 3)])
    Side(records=13, size=130, often={'a': 8.0}, strange=False)
    """
    records = size = 0
    often: dict[Any, float] = {}
    strange = False
    for sample in samples:
        records += sample.records
        size += sample.size
        strange = strange or sample.strange
        for key, times in sample.often:
            if not has_nan(key):  # which no table finds again in another process
                often[key] = often.get(key, 0.0) + times * sample.records / sample.drawn
    return Side(records, size, often, strange)


class Plain(Struct, frozen=True):
    """Both sides are shuffled by key."""

    because: str


class Broadcast(Struct, frozen=True):
    """One side is sent to every worker, the other stays where it is."""

    side: Which
    because: str


class Split(Struct, frozen=True):
    """Some keys are split: for each, into how many parts; `left` and `right` say on which side it is dealt."""

    left: dict[Any, int]
    right: dict[Any, int]
    because: str


Choice = Plain | Broadcast | Split


def choose(
    left: Side,
    right: Side,
    *,
    keeps_left: bool,
    keeps_right: bool,
    partitions: int,
    broadcast_bytes: int,
    split_records: int,
) -> Choice:
    """Choose a plan.

    Args:
        keeps_left, keeps_right: pairs of this side without a partner are in the result; such a side cannot be sent to every
            worker, because none of them knows that no other found a partner.
        broadcast_bytes: the most that a side may take, pickled, to be sent to every worker.
        split_records: a key with fewer records and pairings than that is left where it is.

    """
    if left.strange or right.strange:
        return Plain("not all records are pairs with a key: the join says which")
    small = _small(left, right, keeps_left, keeps_right, broadcast_bytes)
    if small is not None:
        return small
    split = _split(left, right, partitions, split_records)
    sizes = f"left about {left.size:,} bytes, right about {right.size:,}"
    if split is not None:
        return split
    if keeps_left and keeps_right:
        return Plain(
            f"no side can be sent to every worker, for both are kept, and no key overwhelms a partition ({sizes})"
        )
    return Plain(f"no side is small enough to be sent to every worker, and no key overwhelms a partition ({sizes})")


def _small(left: Side, right: Side, keeps_left: bool, keeps_right: bool, limit: int) -> Broadcast | None:
    sides: list[tuple[int, Which]] = []
    if not keeps_left and left.size <= limit:
        sides.append((left.size, "left"))
    if not keeps_right and right.size <= limit:
        sides.append((right.size, "right"))
    if not sides:
        return None
    size, which = min(sides)
    other = "left" if which == "right" else "right"
    records = (left if which == "left" else right).records
    why = f"the {which} side, about {size:,} bytes in {records:,} records, is sent to every worker"
    return Broadcast(which, f"{why} (broadcast_bytes is {limit:,}), and the {other} side is not shuffled")


def _split(left: Side, right: Side, partitions: int, least: int) -> Split | None:
    """Find the keys whose records and pairings are more than a partition's fair share."""
    weights: dict[Any, float] = {}
    for key in [*left.often, *right.often]:
        ours, theirs = left.often.get(key, 0.0), right.often.get(key, 0.0)
        weights[key] = ours + theirs + ours * theirs
    pairings = sum(left.often[key] * right.often.get(key, 0.0) for key in left.often)
    share = (left.records + right.records + pairings) / partitions
    heavy = sorted((key for key in weights if weights[key] > max(share, least)), key=lambda key: -weights[key])
    if not heavy or partitions == 1:
        return None
    dealt: dict[Which, dict[Any, int]] = {"left": {}, "right": {}}
    told = []
    for key in heavy[:SPLIT_KEYS_MAX]:
        parts = min(partitions, max(2, math.ceil(FINER * weights[key] / share)))
        ours, theirs = left.often.get(key, 0.0), right.often.get(key, 0.0)
        which: Which = "left" if ours >= theirs else "right"
        dealt[which][key] = parts
        of = left.records if which == "left" else right.records
        rows = f"about {max(ours, theirs):,.0f} of {of:,} records on the {which}"
        told.append(f"{short(key, 40)}, {rows}, over {parts} partitions")
    more = len(told) - SHOWN
    words = "; ".join(told[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
    keys = "1 key is split" if len(told) == 1 else f"{len(told)} keys are split"
    return Split(dealt["left"], dealt["right"], f"{keys}: {words}")
