"""Records that are gone through again and again: in memory, and on disk beyond a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from headrace.execute.chunks import frame, sizeof, split_frames
from headrace.ports import Scratch


class Replay:
    """Keeps lists of records, and gives them back in the order in which they came, any number of times.

    Attributes:
        held_bytes: about what is in memory.

    """

    def __init__(self, budget: int, scratch: Callable[[], Scratch]) -> None:
        self._budget, self._scratch = budget, scratch
        self._held: list[list[Any]] = []
        self.held_bytes = 0
        self._places: list[tuple[int, int]] = []  # of frames in the scratch file: offset and length

    def add(self, batch: list[Any]) -> None:
        """Keep some more."""
        self._held.append(batch)
        self.held_bytes += sizeof(batch)
        if self.held_bytes > self._budget:
            self._places += [self._scratch().append(frame(held, len(held))) for held in self._held]
            self._held.clear()
            self.held_bytes = 0

    def lists(self) -> Iterator[list[Any]]:
        """Give everything; in one list if it is all in memory."""
        if not self._places and len(self._held) > 1:
            self._held = [[record for held in self._held for record in held]]
        for offset, length in self._places:
            for part in split_frames([self._scratch().read(offset, length)]):
                yield part.load()
        yield from self._held
