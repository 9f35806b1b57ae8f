"""A lineage graph as a tree of text, newest first: what `to_debug_string` shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headrace.ids import OperatorId
from headrace.plan.formats import Frames
from headrace.plan.levels import StorageLevel
from headrace.plan.operators import Kept, Operator, ReadFiles, Shuffle

DEEP = 200  # characters of indentation, beyond which a lineage is so long that it goes on straight


def debug_lines(tip: Operator, kept: Mapping[OperatorId, StorageLevel]) -> Iterator[str]:
    """Give a line for each operator: in brackets how many partitions there are, where that begins to be so.

    What is read through a shuffle is a step to the right; what several read is shown once.  Iterative: lineages grow long.

    Args:
        kept: where the datasets are kept that are.

    """
    shown: set[OperatorId] = set()
    waiting: list[tuple[Operator, str, str]] = [(tip, "", f"({tip.partitions}) ")]
    while waiting:
        operator, margin, mark = waiting.pop()
        again = operator.id in shown
        yield f"{margin}{mark}{_described(operator, kept)}{', as above' if again and operator.inputs else ''}"
        if again:
            continue
        shown.add(operator.id)
        base = _base(margin, mark)
        for edge in reversed(operator.inputs):
            source = edge.source
            if isinstance(edge, Shuffle):
                waiting.append((source, base, f" +-({source.partitions}) "))
            elif source.partitions != operator.partitions:
                waiting.append((source, base, f" |  ({source.partitions}) "))
            else:
                waiting.append((source, base, " |  "))


def _base(margin: str, mark: str) -> str:
    """Return where what an operator reads is shown: below it, and a step to the right of the shuffle it is behind."""
    if mark.startswith(" +-") and len(margin) < DEEP:
        return f"{margin}    "
    return margin


def _described(operator: Operator, kept: Mapping[OperatorId, StorageLevel]) -> str:
    title = f" {operator.title!r}" if operator.title is not None else ""
    notes = []
    if isinstance(operator.body, ReadFiles) and isinstance(operator.body.format, Frames):
        notes.append("checkpointed")
    if isinstance(operator.body, Kept):
        notes.append("checkpointed by workers")
    if operator.id in kept:
        level = kept[operator.id]
        notes.append(f"kept {'in' if level.use_memory else 'on'} {level}")
    noted = f" ({', '.join(notes)})" if notes else ""
    return f"{operator.name}{title} [{operator.id}] at {operator.site}{noted}"
