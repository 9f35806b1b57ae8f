"""Simulated disks: what lies in the run's folder is in memory and goes with its host; everything else is the real disk.

A process that dies keeps what it wrote, as with any file system; a host that is lost loses all.  The program's input and its
output folders are real: a simulated job reads and writes what a real one would.
"""

from __future__ import annotations

from headrace.ports import Bytes, Files, ReadFile, WriteFile
from headrace.sim.bodies import Mortal

OPERATION_NS = 30_000
BYTE_NS = 1  # a gigabyte a second


class SimDisk:
    """All files of a simulated run, by path."""

    def __init__(self, root: str, real: Files) -> None:
        self.root, self.real = root, real
        self.files: dict[str, bytearray] = {}
        self.folders: set[str] = set()
        self.writes = 0

    def is_ours(self, path: str) -> bool:
        """Whether a path lies in the run's folder."""
        return path == self.root or path.startswith(f"{self.root}/")

    def drop(self, folder: str) -> None:
        """Lose a folder."""
        for path in [path for path in self.files if path.startswith(f"{folder}/")]:
            del self.files[path]
        self.folders = {path for path in self.folders if path != folder and not path.startswith(f"{folder}/")}


class SimFiles:
    """A process's view of the disk; a dead process sees nothing."""

    def __init__(self, disk: SimDisk, process: Mortal | None = None) -> None:
        self._disk, self._process = disk, process

    def charge(self, length: int = 0) -> None:
        """Let the running body owe time for what it does."""
        if self._process is not None:
            self._process.check()
            self._process.charged_ns += OPERATION_NS + length * BYTE_NS

    def open(self, path: str) -> ReadFile:
        """Open an existing file."""
        self.charge()
        if not self._disk.is_ours(path):
            return self._disk.real.open(path)
        if path not in self._disk.files:
            raise FileNotFoundError(2, "no such simulated file", path)
        return SimReadFile(self, self._disk.files[path])

    def create(self, path: str) -> WriteFile:
        """Create a file, or empty it."""
        self.charge()
        if not self._disk.is_ours(path):
            return self._disk.real.create(path)
        if path.rpartition("/")[0] not in self._disk.folders:
            raise FileNotFoundError(2, "no such simulated folder", path)
        content = self._disk.files[path] = bytearray()
        return SimWriteFile(self, content)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name at once."""
        self.charge()
        if not self._disk.is_ours(old):
            self._disk.real.rename(old, new)
            return
        if old not in self._disk.files:
            raise FileNotFoundError(2, "no such simulated file", old)
        self._disk.files[new] = self._disk.files.pop(old)

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        self.charge()
        if self._disk.is_ours(path):
            self._disk.files.pop(path, None)
        else:
            self._disk.real.remove(path)

    def remove_tree(self, path: str) -> None:
        """Remove a folder and all in it, if it is there."""
        self.charge()
        if self._disk.is_ours(path):
            self._disk.drop(path.rstrip("/"))
        else:
            self._disk.real.remove_tree(path)

    def make_dirs(self, path: str) -> None:
        """Make a folder and those it lies in."""
        self.charge()
        if not self._disk.is_ours(path):
            self._disk.real.make_dirs(path)
            return
        while self._disk.is_ours(path):
            self._disk.folders.add(path)
            path = path.rpartition("/")[0]

    def list(self, path: str) -> list[str]:
        """Return the names in a folder, sorted."""
        if not self._disk.is_ours(path):
            return self._disk.real.list(path)
        inside = [p for p in (*self._disk.files, *self._disk.folders) if p.startswith(f"{path}/")]
        return sorted({p.removeprefix(f"{path}/").partition("/")[0] for p in inside})

    def exists(self, path: str) -> bool:
        """Whether there is something of that name."""
        if not self._disk.is_ours(path):
            return self._disk.real.exists(path)
        return path in self._disk.files or path in self._disk.folders

    def sync_dir(self, path: str) -> None:
        """Make the names in a folder survive a loss of power."""
        self.charge()
        if not self._disk.is_ours(path):
            self._disk.real.sync_dir(path)


class SimReadFile:
    """A simulated file open for reading."""

    def __init__(self, files: SimFiles, content: bytearray) -> None:
        self._files, self._content = files, content
        self.size, self.modified_ns = len(content), 0

    def pread(self, offset: int, length: int) -> bytes:
        """Return bytes from a place."""
        data = bytes(self._content[offset : offset + length])
        self._files.charge(len(data))
        return data

    def close(self) -> None:
        """Let go of it."""


class SimWriteFile:
    """A simulated file being written."""

    def __init__(self, files: SimFiles, content: bytearray) -> None:
        self._files, self._content = files, content

    def write(self, data: Bytes) -> None:
        """Append."""
        self._files.charge(len(data))
        self._content += data

    def pread(self, offset: int, length: int) -> bytes:
        """Return bytes that were written."""
        self._files.charge(length)
        return bytes(self._content[offset : offset + length])

    def sync(self) -> None:
        """Make what was written survive a loss of power."""
        self._files.charge()

    def close(self) -> None:
        """Let go of it."""

    def abandon(self) -> None:
        """Let go of it."""
