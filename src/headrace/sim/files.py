"""A process's view of simulated disks: the port, with all that may go wrong."""

from __future__ import annotations

import errno
import os

from headrace.errors import DiskFull
from headrace.ports import Bytes, ReadFile, WriteFile
from headrace.sim.bodies import Mortal, SimCrash
from headrace.sim.disk import SimDisk, SimFile
from headrace.store.layout import HOME

OPERATION_NS = 30_000
BYTE_NS = 1  # a gigabyte a second
BUFFER = 1 << 16  # bytes that a process gathers before it writes


class SimFiles:
    """What one process sees; a dead process sees nothing.

    Args:
        process: whose view it is; None: the program's, whose own disk is sound.
        host: where it runs.

    """

    def __init__(self, disk: SimDisk, process: Mortal | None = None, host: str = HOME) -> None:
        self.disk, self.process, self._host = disk, process, host

    # What an operation takes, and how it may fail.

    def charge(self, length: int = 0, *, releases: bool = False) -> None:
        """Let the running body owe time for what it does; some may not live to do it.

        Args:
            releases: it lets go of something, which works in any case.

        """
        process = self.process
        if process is None:
            return
        process.check()
        if not releases:
            process.press()
        took = OPERATION_NS + length * BYTE_NS
        ailing = self.disk.ailing.get(self._host)
        process.charged_ns += int(took * max(ailing.slow)) if ailing is not None and ailing.slow else took

    def need_room(self, path: str) -> None:
        """Raise DiskFull if nothing can be written."""
        ailing = self.disk.ailing.get(self._host)
        if ailing is not None and ailing.full and not self._is_home(path):
            raise DiskFull(
                f"no space is left to write {path}. Free some, or put temporary data elsewhere with dir= in the address."
            )

    def need_luck(self, path: str) -> None:
        """Raise OSError if a read hits what cannot be read."""
        ailing = self.disk.ailing.get(self._host)
        if ailing is None or not ailing.unreadable or self._is_home(path):
            return
        if self.disk.chance.random() < max(ailing.unreadable):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    def _is_home(self, path: str) -> bool:
        return self.disk.is_ours(path) and self.disk.host_of(path) == HOME

    def _can_see(self, path: str) -> bool:
        """Whether a file is on this host's disk, or the program's; others are reached through their hosts' workers."""
        return self.process is None or self.disk.host_of(path) in (self._host, HOME)

    # The port.

    def open(self, path: str) -> ReadFile:
        """Open an existing file."""
        self.charge()
        self.need_luck(path)
        if not self.disk.is_ours(path):
            return OutsideRead(self, path, self.disk.real.open(path))
        if path not in self.disk.files or not self._can_see(path):
            raise _missing(path)
        return SimReadFile(self, path, self.disk.files[path])

    def create(self, path: str) -> WriteFile:
        """Create a file, or empty it."""
        self.charge()
        if not self.disk.is_ours(path):
            self.need_room(path)
            made = self.disk.real.create(path)
            self.disk.outside.named(path)
            return OutsideWrite(self, path, made)
        if path.rpartition("/")[0] not in self.disk.folders:
            raise _missing(path)
        if path in self.disk.folders:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        return SimWriteFile(self, path, self.disk.create(path))

    def rename(self, old: str, new: str) -> None:
        """Give a file another name at once."""
        self.charge()
        self.need_room(new)
        if not self.disk.is_ours(old):
            self.disk.real.rename(old, new)
            self.disk.outside.renamed(old, new)
            return
        if old not in self.disk.files or new.rpartition("/")[0] not in self.disk.folders:
            raise _missing(old)
        if new in self.disk.folders:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), old, None, new)
        self.disk.rename(old, new)

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        self.charge(releases=True)
        if not self.disk.is_ours(path):
            self.disk.real.remove(path)
            self.disk.outside.removed(path)
        elif path in self.disk.folders:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        else:
            self.disk.remove(path)

    def remove_tree(self, path: str) -> None:
        """Remove a folder and all in it, if it is there."""
        self.charge(releases=True)
        path = path.rstrip("/")
        if self.disk.is_ours(path):
            self.disk.drop(path)
        else:
            self.disk.real.remove_tree(path)
            self.disk.outside.removed(path)

    def make_dirs(self, path: str) -> None:
        """Make a folder and those it lies in."""
        self.charge()
        missing = []
        while not self._is_folder(path):
            missing.append(path)
            path = os.path.dirname(path)
        if not missing:
            return
        self.need_room(missing[0])
        if not self.disk.is_ours(missing[0]):
            self.disk.real.make_dirs(missing[0])
            for folder in missing:
                self.disk.outside.named(folder)
            return
        for folder in missing:
            if folder in self.disk.files:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), folder)
        self.disk.make_folder(missing[0])

    def _is_folder(self, path: str) -> bool:
        return path in self.disk.folders if self.disk.is_ours(path) else os.path.isdir(path)

    def list(self, path: str) -> list[str]:
        """Return the names in a folder, sorted."""
        if not self.disk.is_ours(path):
            return self.disk.real.list(path)
        if path in self.disk.files:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        within = f"{path.rstrip('/')}/"
        inside = [one for one in (*self.disk.files, *self.disk.folders) if one.startswith(within)]
        return sorted({one.removeprefix(within).partition("/")[0] for one in inside})

    def exists(self, path: str) -> bool:
        """Whether there is something of that name."""
        if not self.disk.is_ours(path):
            return self.disk.real.exists(path)
        return path in self.disk.files or path in self.disk.folders

    def sync_dir(self, path: str) -> None:
        """Make the names in a folder survive a loss of power."""
        self.charge()
        path = path.rstrip("/")
        if not self.disk.is_ours(path):
            self.disk.real.sync_dir(path)
            self.disk.outside.names_synced(path)
        elif path not in self.disk.folders:
            raise _missing(path)
        else:
            self.disk.sync_names(path)


def _missing(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


class SimReadFile:
    """A simulated file open for reading."""

    def __init__(self, files: SimFiles, path: str, file: SimFile) -> None:
        self._files, self._path, self._file = files, path, file
        self._closed = False
        self.size, self.modified_ns = len(file.content), 0

    def pread(self, offset: int, length: int) -> bytes:
        """Return bytes from a place."""
        if self._closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        data = bytes(self._file.content[offset : offset + length])
        self._files.charge(len(data))
        self._files.need_luck(self._path)
        return data

    def close(self) -> None:
        """Let go of it."""
        self._closed = True


class SimWriteFile:
    """A simulated file being written; small writes are gathered in the process, and go with it."""

    def __init__(self, files: SimFiles, path: str, file: SimFile) -> None:
        self._files, self._path, self._file = files, path, file
        self._held = bytearray()
        self._closed = False

    def write(self, data: Bytes) -> None:
        """Append."""
        self._held += data
        if len(self._held) >= BUFFER:
            self._flush()

    def _flush(self) -> None:
        data, self._held = self._held, bytearray()
        process = self._files.process
        lived = process is not None and process.alive
        try:
            self._files.charge(len(data))
        except SimCrash:
            if lived:  # it died writing
                self._file.content += data[: self._files.disk.chance.randrange(len(data) + 1)]
            raise
        if data:
            self._files.need_room(self._path)
            self._file.content += data

    def pread(self, offset: int, length: int) -> bytes:
        """Return bytes that were written."""
        if self._held:
            self._flush()
        data = bytes(self._file.content[offset : offset + length])
        self._files.charge(len(data))
        self._files.need_luck(self._path)
        return data

    def sync(self) -> None:
        """Make what was written survive a loss of power."""
        self._flush()
        self._file.synced = len(self._file.content)

    def close(self) -> None:
        """Write what is held, and let go."""
        if not self._closed:
            try:
                self._flush()
            finally:
                self.abandon()

    def abandon(self) -> None:
        """Let go of it; what is held is not written."""
        self._held.clear()
        self._closed = True


class OutsideRead:
    """A file of the program's own, as a process of a host reads it."""

    def __init__(self, files: SimFiles, path: str, real: ReadFile) -> None:
        self._files, self._path, self._real = files, path, real
        self.size, self.modified_ns = real.size, real.modified_ns

    def pread(self, offset: int, length: int) -> bytes:
        """Return bytes from a place."""
        self._files.charge()
        self._files.need_luck(self._path)
        return self._real.pread(offset, length)

    def close(self) -> None:
        """Let go of it."""
        self._real.close()


class OutsideWrite:
    """A file of the program's own, as a process of a host writes it."""

    def __init__(self, files: SimFiles, path: str, real: WriteFile) -> None:
        self._files, self._path, self._real = files, path, real

    def write(self, data: Bytes) -> None:
        """Append."""
        self._files.charge(len(data))
        self._files.need_room(self._path)
        self._files.disk.outside.written(self._path)
        self._real.write(data)

    def pread(self, offset: int, length: int) -> bytes:
        """Return bytes that were written."""
        self._files.charge(length)
        self._files.need_luck(self._path)
        return self._real.pread(offset, length)

    def sync(self) -> None:
        """Make what was written survive a loss of power."""
        self._files.charge()
        self._files.need_room(self._path)
        self._real.sync()
        self._files.disk.outside.synced(self._path)

    def close(self) -> None:
        """Write what is held, and let go."""
        try:
            self._files.charge()
        except BaseException:
            self._real.abandon()
            raise
        self._real.close()

    def abandon(self) -> None:
        """Let go of it; what is held is not written."""
        self._real.abandon()
