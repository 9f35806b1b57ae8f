"""Answering pulls: bytes of the blocks that lie on one host's disk or are kept by one process."""

from __future__ import annotations

from collections.abc import Iterable

from headrace.ids import HostId
from headrace.ports import Files, ReadFile
from headrace.store.cache import Cache
from headrace.store.layout import Layout
from headrace.store.mapoutput import Broken, MapOutputReader


class NoSuchBlock(Exception):
    """It is not here, or damaged; says which."""


class BlockReader:
    """Reads blocks by name.

    Args:
        cache: what this process keeps, if it keeps anything.

    """

    def __init__(self, files: Files, layout: Layout, host: HostId, cache: Cache | None = None) -> None:
        self._files, self._layout, self._host, self._cache = files, layout, host, cache
        self.outputs = MapOutputReader(files)

    def read(self, name: str, part: int, offset: int, limit: int) -> tuple[int, bytes]:
        """Return the size of a block, and up to `limit` of its bytes from `offset` on.

        Raises:
            NoSuchBlock: it cannot be had here.

        """
        try:
            if name.startswith("cache/"):
                return self._cached(name, offset, limit)
            path = self._layout.path(self._host, name)
            if part >= 0:
                data, found = self.outputs.part(path, part)
                return found.length, _range(data, found.offset, found.length, offset, limit)
            return self._whole(path, offset, limit)
        except FileNotFoundError:
            raise NoSuchBlock(f"{name} is not on host {self._host}") from None
        except (Broken, ValueError, OSError) as error:
            raise NoSuchBlock(f"{name} on host {self._host} cannot be read: {error}") from None

    def _whole(self, path: str, offset: int, limit: int) -> tuple[int, bytes]:
        file = self._files.open(path)
        try:
            return file.size, _range(file, 0, file.size, offset, limit)
        finally:
            file.close()

    def _cached(self, name: str, offset: int, limit: int) -> tuple[int, bytes]:
        _, operator, partition = name.split("/")
        if self._cache is None:
            raise NoSuchBlock(f"{name} is not kept here")
        frames = self._cache.get(int(operator), int(partition))
        if frames is None:
            path = self._cache.path(int(operator), int(partition))
            if path is None:
                raise NoSuchBlock(f"{name} is not kept here any more")
            return self._whole(path, offset, limit)
        return sum(map(len, frames)), _slice(frames, offset, limit)


def _range(file: ReadFile, start: int, length: int, offset: int, limit: int) -> bytes:
    """Read from a block that lies in a file, and nothing beside it."""
    wanted = min(limit, length - offset)
    if offset < 0 or wanted <= 0:
        return b""
    data = file.pread(start + offset, wanted)
    if len(data) < wanted:
        raise Broken(f"it ends {wanted - len(data):,} bytes early")
    return data


def _slice(frames: Iterable[bytes], offset: int, limit: int) -> bytes:
    """Cut a range out of frames laid end to end."""
    found: list[bytes] = []
    for frame in frames:
        if limit <= 0:
            break
        if offset < len(frame):
            piece = frame[offset : offset + limit]
            found.append(piece)
            limit -= len(piece)
            offset = 0
        else:
            offset -= len(frame)
    return b"".join(found)
