"""The machine's file system."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import weakref

from headrace.errors import DiskFull
from headrace.ports import Bytes

BUFFER = 1 << 16


class SystemFiles:
    """Files of this machine; folders that we make are the owner's alone."""

    def open(self, path: str) -> SystemReadFile:
        """Open an existing file."""
        return SystemReadFile(path)

    def create(self, path: str) -> SystemWriteFile:
        """Create a file, or empty it."""
        return SystemWriteFile(path)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name at once."""
        with full_disk(new):
            os.replace(old, new)

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass

    def remove_tree(self, path: str) -> None:
        """Remove a folder and all in it, if it is there."""
        shutil.rmtree(path, ignore_errors=True)

    def make_dirs(self, path: str) -> None:
        """Make a folder and those it lies in, for the owner only; `os.makedirs` would leave those to the umask."""
        missing = []
        while not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path) or os.curdir
        with full_disk(path):
            for folder in reversed(missing):
                try:
                    os.mkdir(folder, 0o700)
                except FileExistsError:
                    if not os.path.isdir(folder):
                        raise

    def list(self, path: str) -> list[str]:
        """Return the names in a folder, sorted."""
        try:
            return sorted(os.listdir(path))
        except FileNotFoundError:
            return []

    def exists(self, path: str) -> bool:
        """Whether there is something of that name."""
        return os.path.exists(path)

    def sync_dir(self, path: str) -> None:
        """Make the names in a folder survive a loss of power."""
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def open_apart(path: str, flags: int) -> int:
    """Open a file apart from the standard streams: where user code has closed those, what it prints is not to go there."""
    fd = os.open(path, flags | os.O_CLOEXEC, 0o666)
    if fd > 2:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(fd)


class SystemReadFile:
    """A file open for reading."""

    _fd = -1

    def __init__(self, path: str) -> None:
        self._fd = open_apart(path, os.O_RDONLY)
        status = os.fstat(self._fd)
        self.size, self.modified_ns = status.st_size, status.st_mtime_ns

    def pread(self, offset: int, length: int) -> bytes:
        """Return bytes from a place."""
        return os.pread(self._fd, length, offset)

    def close(self) -> None:
        """Let go of it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()


class SystemWriteFile:
    """A new file; small writes are gathered."""

    _fd = -1

    def __init__(self, path: str) -> None:
        self._path = path
        with full_disk(path):
            self._fd = open_apart(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        self._held: list[Bytes] = []
        self._held_bytes = 0
        _OPEN.add(self)

    def divert(self) -> None:
        """Write to nowhere from now on."""
        if self._fd >= 0:
            nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            os.dup2(nowhere, self._fd, inheritable=False)
            os.close(nowhere)

    def write(self, data: Bytes) -> None:
        """Append."""
        self._held.append(bytes(data) if isinstance(data, memoryview) else data)
        self._held_bytes += len(data)
        if self._held_bytes >= BUFFER:
            self._flush()

    def _flush(self) -> None:
        data = memoryview(b"".join(self._held) if len(self._held) != 1 else self._held[0])
        self._held.clear()
        self._held_bytes = 0
        with full_disk(self._path):
            while data:
                data = data[os.write(self._fd, data) :]

    def pread(self, offset: int, length: int) -> bytes:
        """Return bytes that were written."""
        if self._held:
            self._flush()
        return os.pread(self._fd, length, offset)

    def sync(self) -> None:
        """Make what was written survive a loss of power."""
        self._flush()
        with full_disk(self._path):
            os.fsync(self._fd)

    def close(self) -> None:
        """Write what is held, and let go."""
        if self._fd >= 0:
            try:
                self._flush()
            finally:
                self.abandon()

    def abandon(self) -> None:
        """Let go; what is held is not written."""
        if self._fd >= 0:
            self._held.clear()
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.abandon()


_OPEN: weakref.WeakSet[SystemWriteFile] = weakref.WeakSet()


def divert_writes() -> None:
    """In a forked child: leave the parent's files alone, with which it shares descriptors and positions."""
    for file in list(_OPEN):
        file.divert()


class full_disk:  # noqa: N801
    """Turn the system's word for a full disk into ours.

    A class: the frames of a generator's would be the standard library's, and pass for the user's in a traceback.
    """

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: object) -> None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"no space is left to write {self._path}. Free some, or put temporary data elsewhere with dir= in the "
                "address."
            ) from None
