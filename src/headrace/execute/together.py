"""What tasks that meet have kept: used by all of them or by none, and only if they had made it together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from headrace.execute.chunks import Frame, frame, split_frames
from headrace.ids import AttemptId
from headrace.plan.stages import Node
from headrace.ports import TaskPort


class Made(list[Any]):
    """The first chunk of what one of them keeps: without records, for it only says which attempts were at it together."""

    by: str = ""


class Found(Struct):
    """What all of them decided.

    Attributes:
        records: the frames to be read; None where the partition is to be made again, and what is kept of it is to begin
            with the frame `mark`.

    """

    records: Iterator[Frame] | None
    mark: bytes


def find_together(port: TaskPort, node: Node, partition: int, attempt: AttemptId) -> Found:
    """Look for what is kept of a partition, together with the tasks that look for the others."""
    pieces = port.cached(node.operator, partition)
    frames = split_frames(pieces) if pieces is not None else iter(())
    said = port.meet(f"what is kept of {node.name}", f"{_makers(frames)}/{attempt}")
    before, now = zip(*(one.split("/") for one in said), strict=True)
    made = Made()
    made.by = ",".join(now)
    return Found(frames if before[0] and len(set(before)) == 1 else None, frame(made, 0))


def _makers(frames: Iterable[Frame]) -> str:
    first = next(iter(frames), None)
    made = first.load() if first is not None else None
    return made.by if isinstance(made, Made) else ""
