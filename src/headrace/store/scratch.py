"""A task's temporary space: one file, appended to, read at any place, gone with the task."""

from __future__ import annotations

from headrace.ports import Bytes, Files, WriteFile


class ScratchFile:
    """Made when it is first written to."""

    def __init__(self, files: Files, path: str) -> None:
        self._files, self._path = files, path
        self._file: WriteFile | None = None
        self._closed = False
        self.size = 0

    def append(self, data: Bytes) -> tuple[int, int]:
        """Write, and return where: offset and length.

        Raises:
            ValueError: the task has ended.

        """
        if self._closed:
            raise ValueError("the task that owned this space has ended")
        if self._file is None:
            self._file = self._files.create(self._path)
        place = (self.size, len(data))
        self._file.write(data)
        self.size += len(data)
        return place

    def read(self, offset: int, length: int) -> bytes:
        """Read what was written.

        Raises:
            ValueError: the task has ended.

        """
        if self._closed or self._file is None:
            raise ValueError("the task that owned this space has ended")
        return self._file.pread(offset, length)

    def close(self) -> None:
        """Give the space back."""
        self._closed = True
        if self._file is not None:
            self._file.abandon()
            self._files.remove(self._path)
            self._file = None
