"""Records at which a worker dies: markers in the input of a test.

A marker is found when its slice is pickled, so that who has none pays nothing.  It becomes a chunk without records that ends
its process when it is unpickled for the first time; who was first is settled by a file that only one can make.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from headrace.errors import UsageError
from headrace.execute.chunks import frame
from headrace.execute.current import current


class Crash:
    """The type of the one marker."""

    def __reduce__(self) -> str:
        pickled.markers += 1
        return "CRASH"

    def __repr__(self) -> str:
        return "CRASH"


class Pickled(threading.local):
    """How many markers this thread has pickled; only whether that has changed is of interest."""

    markers = 0


CRASH = Crash()
pickled = Pickled()


class Trigger:
    """What stands for one marker in a slice: nothing, once it has been reached."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return reached, (self._path,)


def reached(path: str) -> list[Any]:
    """Die, unless somebody else has already; then there is no record here."""
    task = current()
    if task is not None:
        with contextlib.suppress(OSError):  # it is there already, or the run is over
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            task.port.die()
    return []


def trigger(path: str) -> bytes:
    """Make the chunk at which the first who comes dies."""
    return frame(Trigger(path), 0)


def without(records: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """Take the markers out of records; return before which of the others each stood.

    Raises:
        UsageError: one is within a record.

    >>> without([1, 2, CRASH, 3, CRASH])
    ([1, 2, 3], [2, 3])

    """
    others: list[Any] = []
    places = []
    for record in records:
        if record is CRASH:
            places.append(len(others))
        else:
            others.append(record)
    if not places:
        raise UsageError("CRASH is a record of its own, not a part of one. Put it between records.")
    return others, places


def pieces(start: int, stop: int, last: bool, places: list[int]) -> Iterator[tuple[int, int, int | None]]:
    """Cut a slice where markers are: give the ends of each piece, and the number of the marker behind it.

    >>> list(pieces(0, 3, True, [2, 3]))
    [(0, 2, 0), (2, 3, 1), (3, 3, None)]
    """
    at = start
    for number, place in enumerate(places):
        if start <= place < stop or (place == stop and last):
            yield at, place, number
            at = place
    yield at, stop, None
