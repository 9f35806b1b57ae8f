"""Simulated disks: what lies in the run's folder is in memory and goes with its host; everything else is the real disk.

A process that dies keeps what it wrote, as with any file system.  A host that loses power keeps what was synced; of the rest
some blocks are there and some are not, in any order, and names may be the new ones or the old.  A host that is lost loses
all.  The program's input and its output folders are real: a simulated job reads and writes what a real one would; what of
them was not synced is noted, for those who check that nothing is announced before.

Source: Pillai et al., "All File Systems Are Not Created Equal" (2014), for what a crash may leave of writes and names.
"""

from __future__ import annotations

from random import Random

from msgspec import Struct, field

from headrace.ports import Files
from headrace.sim.unsynced import Unsynced
from headrace.store.layout import HOME

BLOCK = 4096  # bytes that reach a disk together, as a rule
SECTOR = 512  # bytes that always do


class SimFile:
    """A file, whatever its name.

    Attributes:
        synced: so many bytes from its beginning on survive a loss of power.
        fresh: all changes of its names, by number; None once some of them survive, or took the name of another file.

    """

    __slots__ = ("content", "fresh", "synced")

    def __init__(self) -> None:
        self.content = bytearray()
        self.synced = 0
        self.fresh: list[int] | None = []


class Named(Struct, frozen=True):
    """A change of names that may not have reached the disk: a file came to a name, or left it, or both at once.

    Attributes:
        replaced: what had the new name before.

    """

    file: SimFile
    old: str | None
    new: str | None
    replaced: SimFile | None = None


class Ailing(Struct):
    """What is wrong with the disk of a host, by everything that makes it so.

    Attributes:
        full: how many things take its space.
        slow: how many times longer it takes.
        unreadable: how many of its reads fail.

    """

    full: int = 0
    slow: list[float] = field(default_factory=list)
    unreadable: list[float] = field(default_factory=list)


class SimDisk:
    """All files of a simulated run, by path; the folder below the root says on which host they are.

    Attributes:
        ailing: what is wrong with which host's disk.
        outside: what of the program's own files a loss of power may undo.

    """

    def __init__(self, root: str, real: Files, chance: Random | None = None) -> None:
        self.root, self.real = root, real
        self.files: dict[str, SimFile] = {}
        self.folders: set[str] = set()
        self.ailing: dict[str, Ailing] = {}
        self.outside = Unsynced()
        self.chance = chance or Random(0)
        self._journals: dict[str, dict[int, Named]] = {}  # by host: changes of names since they were synced
        self._changes = 0

    def is_ours(self, path: str) -> bool:
        """Whether a path lies in the run's folder."""
        return path == self.root or path.startswith(f"{self.root}/")

    def host_of(self, path: str) -> str:
        """Return the host that one of our paths lies on."""
        return path[len(self.root) + 1 :].partition("/")[0]

    def unsynced(self, folder: str) -> list[str]:
        """List what of the program's own files in a folder would not survive a loss of power, in words."""
        return self.outside.below(folder, self.real.exists)

    # Names.

    def create(self, path: str) -> SimFile:
        """Make a file, or empty the one that is there."""
        file = self.files.get(path)
        if file is None:
            file = self.files[path] = SimFile()
            self._note(Named(file, None, path))
        else:
            file.content.clear()
            file.synced = 0
        return file

    def rename(self, old: str, new: str) -> None:
        """Move a file to another name."""
        file = self.files.pop(old)
        replaced = self.files.get(new)
        self.files[new] = file
        self._note(Named(file, old, new, replaced))
        if replaced is not None:
            file.fresh = replaced.fresh = None

    def remove(self, path: str) -> None:
        """Take a file's name away."""
        file = self.files.pop(path, None)
        if file is None:
            return
        if file.fresh is None:
            self._note(Named(file, path, None))
            return
        journal = self._journals[self.host_of(path)]  # as if it had never been
        for number in file.fresh:
            journal.pop(number, None)

    def _note(self, change: Named) -> None:
        self._changes += 1
        path = change.new or change.old
        assert path is not None
        self._journals.setdefault(self.host_of(path), {})[self._changes] = change
        if change.file.fresh is not None:
            change.file.fresh.append(self._changes)

    def sync_names(self, folder: str) -> None:
        """Have the names in a folder survive."""
        journal = self._journals.get(self.host_of(folder), {})
        for number, change in list(journal.items()):
            if folder in (_folder(change.old), _folder(change.new)):
                del journal[number]
                change.file.fresh = None

    def make_folder(self, path: str) -> None:
        """Make a folder and those it lies in."""
        while self.is_ours(path):
            self.folders.add(path)
            path = path.rpartition("/")[0]

    def drop(self, folder: str) -> None:
        """Remove a folder with all that is in it."""
        for path in [path for path in self.files if path.startswith(f"{folder}/")]:
            self.remove(path)
        self.folders = {path for path in self.folders if path != folder and not path.startswith(f"{folder}/")}

    # What goes wrong.

    def ails(self, host: str) -> Ailing:
        """Return what is wrong with a host's disk, to be changed."""
        return self.ailing.setdefault(host, Ailing())

    def heal(self) -> None:
        """Let all disks work; what is lost or corrupt stays so."""
        self.ailing.clear()

    def lose(self, host: str) -> None:
        """Lose a host's disk."""
        self.drop(f"{self.root}/{host}")
        self._journals.pop(host, None)

    def lose_power(self, host: str) -> None:
        """Lose what a host has not synced, in part: whatever the disk had come to write by itself is there."""
        assert host != HOME, "the program is there"
        self._undo_names(host)
        for path in sorted(path for path in self.files if self.host_of(path) == host):
            tear(self.files[path], self.chance)
        for folder in sorted((path for path in self.folders if self.host_of(path) == host), reverse=True):
            empty = not any(path.startswith(f"{folder}/") for path in (*self.files, *self.folders))
            if empty and self.chance.random() < 0.5:
                self.folders.discard(folder)

    def _undo_names(self, host: str) -> None:
        """Have some changes of names not happen; each by itself happens as a whole or not at all."""
        journal = list(self._journals.pop(host, {}).values())
        names = {path: file for path, file in self.files.items() if self.host_of(path) == host}
        for change in reversed(journal):  # back to what was synced
            if change.new is not None and names.get(change.new) is change.file:
                del names[change.new]
            if change.new is not None and change.replaced is not None:
                names[change.new] = change.replaced
            if change.old is not None:
                names[change.old] = change.file
        likely = self.chance.choice((0.0, 0.5, 0.9, 1.0))
        for change in journal:
            if self.chance.random() >= likely:
                continue
            if change.old is not None and names.get(change.old) is change.file:
                del names[change.old]
            if change.new is not None:
                names[change.new] = change.file
        for path in [path for path in self.files if self.host_of(path) == host]:
            del self.files[path]
        for path, file in names.items():
            file.fresh = None
            self.files[path] = file


def _folder(path: str | None) -> str | None:
    return path.rpartition("/")[0] if path is not None else None


def tear(file: SimFile, chance: Random) -> None:
    """Leave of what was written and not synced what a loss of power may leave: some blocks, whole or in part.

    >>> file = SimFile()
    >>> file.content += bytes(range(1, 101)) * 200
    >>> file.synced = 5000
    >>> tear(file, Random(1))
    >>> bytes(file.content[:5000]) == (bytes(range(1, 101)) * 200)[:5000]
    True

    """
    whole = len(file.content)
    if file.synced >= whole:
        return
    end = whole if chance.random() < 0.5 else chance.randrange(file.synced, whole + 1)
    del file.content[end:]
    likely = chance.choice((0.0, 0.5, 0.9, 1.0))
    for start in range(file.synced // BLOCK * BLOCK, end, BLOCK):
        first, stop = max(start, file.synced), min(start + BLOCK, end)
        if chance.random() < likely:
            continue
        if chance.random() < 0.5:  # torn: its first sectors were written
            first = min(stop, max(first, start + SECTOR * chance.randrange(BLOCK // SECTOR + 1)))
        file.content[first:stop] = bytes(stop - first)
    file.synced = end
