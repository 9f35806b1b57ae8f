"""What an attempt asks its port for, noted as it asks: enough to read it all once more if the attempt fails."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from headrace.ids import OperatorId, StageId
from headrace.ports import Files, ReadFile

MEETING_BYTES, MEETINGS_BYTES_MAX = 100, 8 << 20  # what the note of one takes at least, and all of an attempt at most


class Asked(Struct):
    """What an attempt has asked its port for, in the order in which it did; most of it once, however often it did."""

    parts: dict[tuple[StageId, int], None] = field(default_factory=dict)
    blocks: dict[str, None] = field(default_factory=dict)
    cached: list[tuple[OperatorId, int, bool]] = field(default_factory=list)  # and whether anybody had it
    meetings: list[tuple[tuple[str, ...], str]] = field(default_factory=list)  # what all said, or why they did not meet
    meetings_bytes: int = 0
    files: dict[str, None] = field(default_factory=dict)  # of the run's own, which go with it

    def met(self, said: tuple[str, ...], error: str = "") -> None:
        """Note a meeting with other tasks, as long as they do not come to too much."""
        self.meetings_bytes += MEETING_BYTES + sum(map(len, said))
        if self.meetings_bytes <= MEETINGS_BYTES_MAX:
            self.meetings.append((said, error))


class NotedFiles:
    """The files of a world, except that it is noted which of the run's own are opened."""

    def __init__(self, files: Files, root: str, asked: Asked) -> None:
        self._files, self._root, self._asked = files, root, asked

    def open(self, path: str) -> ReadFile:
        """Open an existing file."""
        if path.startswith(f"{self._root}/"):
            self._asked.files[path] = None
        return self._files.open(path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)
