"""Files, modules and archives that the program ships to its workers: one folder of a host holds them, put in place at once.

::

    <folder>/files/<name>      files, folders and unpacked archives: what `files.get(name)` finds
    <folder>/modules/<name>    modules and packages, and folders of what was in a .zip, .whl or .egg
    <folder>/aside/            what is on its way

The program's own folder serves all workers that share its machine; a virtual host has its own, and pulls each thing once.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec
from msgspec import Struct

from headrace.errors import WorldError
from headrace.ports import Bytes

Kind = Literal["file", "folder", "archive", "module", "package"]
PIECE = 1 << 20


class Item(Struct, frozen=True):
    """Something that is shipped.

    Attributes:
        kind: "folder" is a folder of files, "package" one to import from; both travel as a tar archive, which "archive" is
            by itself.  "wheel" in the name of a module that is an archive is unpacked, too.
        block: what it is called in the program's store.
        executable: whether it is a file that its owner may run.

    """

    name: str
    kind: Kind
    digest: str
    size: int
    block: str
    unpacked: bool = False
    executable: bool = False

    @property
    def place(self) -> str:
        """Where it lies below the folder."""
        return f"{'modules' if self.kind in ('module', 'package') else 'files'}/{self.name}"


class Manifest(Struct, frozen=True):
    """All that is shipped so far.

    Attributes:
        home: the program's own folder.
        everywhere: whether that is every worker's, too: in a simulated world.
        unpack_bytes: what one archive may come to.

    """

    home: str
    everywhere: bool
    unpack_bytes: int
    items: tuple[Item, ...]

    def dump(self) -> bytes:
        """Write it."""
        return msgspec.json.encode(self)


def read_manifest(data: Bytes) -> Manifest:
    """Read what `dump` wrote."""
    return msgspec.json.decode(data, type=Manifest)


def put_in_place(item: Item, payload: str, folder: str, unpack_bytes: int) -> None:
    """Put something where it is found, at once, from the file that it travelled as; that file is gone afterwards.

    Raises:
        InputError: it is an archive that is not to be unpacked.

    """
    path = f"{folder}/{item.place}"
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    if not item.unpacked:
        os.chmod(payload, 0o700 if item.executable else 0o600)
        os.rename(payload, path)
        return
    aside = f"{payload}.unpacked"
    try:
        from headrace.store.unpacking import unpack  # archives of all kinds: heavy, and few programs need it

        unpack(payload, aside, unpack_bytes)
        if not os.path.exists(path):
            os.rename(aside, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        os.unlink(payload)


def digest_of_file(path: str) -> str:
    """Name a file by its content."""
    state = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            state.update(piece)
    return state.hexdigest()


def pack_folder(source: str, target: str) -> None:
    """Pack a folder into a tar archive that is the same for the same content.

    Raises:
        OSError: it cannot be read, or a link in it leads back to a folder that the link lies in.

    """
    import tarfile

    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for where, folders, names in os.walk(source, followlinks=True):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            here = f"{os.path.realpath(where)}/"
            for name in folders:
                if here.startswith(f"{os.path.realpath(os.path.join(where, name))}/"):
                    raise OSError(errno.ELOOP, "this link leads back to where it lies", os.path.join(where, name))
            for name in sorted((*folders, *names)):
                path = os.path.join(where, name)
                info = tar.gettarinfo(path, os.path.relpath(path, source))
                if os.path.islink(path):  # what it leads to travels, as it would with `cp -L`
                    info = tar.gettarinfo(os.path.realpath(path), os.path.relpath(path, source))
                if info is None or not (info.isfile() or info.isdir() or info.islnk()):
                    continue  # a socket, a device
                info.type = tarfile.DIRTYPE if os.path.isdir(path) else tarfile.REGTYPE
                info.size = 0 if os.path.isdir(path) else os.path.getsize(path)
                info.mtime = info.uid = info.gid = 0
                info.uname = info.gname = info.linkname = ""
                info.mode = 0o755 if info.mode & 0o100 else 0o644
                if os.path.isdir(path):
                    tar.addfile(info)
                else:
                    with open(path, "rb") as file:
                        tar.addfile(info, file)


class Depot:
    """What one worker has of it.

    Args:
        own: the folder of this worker's host.

    """

    def __init__(self, own: str, *, shares_home: bool) -> None:
        self._own, self._shares_home = own, shares_home
        self._seen: set[str] = set()
        self.folder = ""

    def install(self, name: str, data: Bytes, read: Callable[[str], Iterable[Bytes]], mark: str) -> None:
        """Have all that a manifest lists, and modules found; a manifest that was seen costs nothing.

        Args:
            name: of the manifest.
            read: gives a block of the program's store, in pieces.
            mark: no other process puts it into the names of files.

        """
        if name in self._seen:
            return
        manifest = read_manifest(data)
        at_home = self._shares_home or manifest.everywhere
        self.folder = manifest.home if at_home else self._own
        if not at_home:
            for item in manifest.items:
                self._pull(item, manifest.unpack_bytes, read, mark)
        find_modules(self.folder, manifest.items)
        self._seen.add(name)

    def _pull(self, item: Item, unpack_bytes: int, read: Callable[[str], Iterable[Bytes]], mark: str) -> None:
        if os.path.exists(f"{self._own}/{item.place}"):
            return
        os.makedirs(f"{self._own}/aside", mode=0o700, exist_ok=True)
        lock = os.open(f"{self._own}/aside/{item.block}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another worker of this host is pulling it, or dies and lets go
            if not os.path.exists(f"{self._own}/{item.place}"):
                self._pull_alone(item, unpack_bytes, read, f"{self._own}/aside/{item.block}.{mark}")
        finally:
            os.close(lock)

    def _pull_alone(self, item: Item, unpack_bytes: int, read: Callable[[str], Iterable[Bytes]], aside: str) -> None:
        try:
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                for piece in read(item.block):
                    file.write(piece)
            if os.path.getsize(aside) != item.size or digest_of_file(aside) != item.digest:
                raise WorldError(
                    f"{item.name} has not arrived here as it was sent. It is sent again with the next attempt."
                )
            put_in_place(item, aside, self._own, unpack_bytes)
        finally:
            if os.path.exists(aside):
                os.unlink(aside)


def find_modules(folder: str, items: Iterable[Item]) -> None:
    """Put what is to be imported on this process's path, behind the script's own folder."""
    wanted = [
        f"{folder}/{item.place}" if item.kind == "module" and item.unpacked else f"{folder}/modules"
        for item in items
        if item.kind in ("module", "package")
    ]
    for path in dict.fromkeys(wanted):
        if path not in sys.path:
            sys.path.insert(min(1, len(sys.path)), path)
    if wanted:
        importlib.invalidate_caches()
