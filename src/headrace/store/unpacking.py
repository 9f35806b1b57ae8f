"""Unpacking archives that may mean harm: nothing lands outside the folder, nothing but files, folders and links within it.

Refused are absolute names, `..`, devices, links that leave the folder or lead through other links, names that come twice,
encrypted entries, and archives that grow beyond what was allowed: in bytes, in entries and the folders that their names
imply, and in what a tar archive says before an entry, which is read into memory.  Files are written first and links made
last, so nothing is ever written through a link; at last the file system is asked where each link leads, for it may take
names to be the same that we do not.  What is refused leaves nothing behind.

Source: the tar data filter of PEP 706, applied besides; the rules for links are stricter than its.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import posixpath
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, Literal, cast

from msgspec import Struct

from headrace.errors import InputError

PIECE = 1 << 20
RATIO_MAX, RATIO_FREE = (
    200,
    64 << 20,
)  # times the archive's own size that it may grow to, once it is beyond so many bytes
ENTRIES_MAX = 200_000  # folders that only the names of others imply are counted, too
DEPTH_MAX = 100  # folders that something lies in: a deeper tree could not be removed by those that walk it
HEAD_MAX = 1 << 20  # bytes of a tar archive between the data of one entry and that of the next
TARGET_MAX = 4095  # bytes of where a link leads
COMPRESSED: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    RuntimeError,
    LookupError,  # what tarfile makes of some headers
)
BAD_NAME = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)


class Entry(Struct, frozen=True):
    """One member of an archive: a folder, a file, a link to `target`, or once more the file `target` that came before."""

    name: str
    kind: Literal["file", "folder", "link", "again"]
    executable: bool = False
    target: str = ""
    data: IO[bytes] | None = None


class Refused(Exception):
    """Why an archive is not unpacked."""


def unpack(path: str, folder: str, bytes_max: int) -> None:
    """Unpack a zip or tar archive, of any compression that the standard library reads, into a new folder.

    Raises:
        InputError: it is no such archive, is damaged, or holds what is refused; the message says what.

    """
    os.makedirs(folder, mode=0o700)
    allowed = min(bytes_max, max(RATIO_FREE, RATIO_MAX * os.path.getsize(path)))
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _write(_of_zip(archive), folder, allowed)
        else:
            with open(path, "rb") as file:
                _write(_of_tar(file, folder), folder, allowed)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        why = _why(error)
        if not why:
            raise
        raise InputError(f"{path} cannot be unpacked: {why}. Nothing of it was kept.") from None


def _why(error: BaseException) -> str:
    """Say what is wrong with the archive; nothing if it is the world that is."""
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, DAMAGED) or (isinstance(error, OSError) and error.errno is None):  # bz2 and gzip say it so
        return f"it is damaged ({error})"
    if isinstance(error, OSError) and error.errno in BAD_NAME:
        return f"it has a name that no file can have here ({error.strerror}): {str(error.filename)[:200]!r}"
    return ""


def _of_zip(archive: zipfile.ZipFile) -> Iterator[Entry]:
    for info in archive.infolist():
        mode = info.external_attr >> 16
        if info.flag_bits & 1:
            raise Refused(f"{info.filename!r} is encrypted")
        if info.is_dir():
            yield Entry(info.filename, "folder")
        elif stat.S_ISLNK(mode):
            with archive.open(info) as data:
                yield Entry(info.filename, "link", target=os.fsdecode(data.read(TARGET_MAX + 1)))
        elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise Refused(f"{info.filename!r} is neither a file nor a folder")
        else:
            with archive.open(info) as data:
                yield Entry(info.filename, "file", bool(mode & 0o100), data=data)


class _Metered:
    """What a tar archive is read from: between entries, no more than HEAD_MAX bytes of it are."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._head = HEAD_MAX
        self._last = b""

    def between(self) -> None:
        """What comes next stands before the data of an entry."""
        self._head = HEAD_MAX

    def data(self) -> None:
        """What comes next is data, which somebody else measures."""
        self._head = -1

    def read(self, size: int = -1) -> bytes:
        """Read some; all of it is never asked for."""
        self._count(size)
        self._last = self._file.read(size)
        return self._last

    def seek(self, place: int) -> int:
        """Go elsewhere: what is compressed is read on the way."""
        self._count(max(0, place - self._file.tell()))
        return self._file.seek(place)

    def _count(self, size: int) -> None:
        if self._head >= 0:
            if not 0 <= size <= self._head:
                raise Refused(f"it says more than {HEAD_MAX:,} bytes about one entry")
            self._head -= size

    def tell(self) -> int:
        """Say where it is."""
        return self._file.tell()

    def end(self) -> None:
        """Read the rest, after the block of zeros that ends an archive: what is compressed has its checksum there.

        Raises:
            Refused: something else is there; tarfile would pass over it in silence.

        """
        while self._last and not self._last.strip(b"\0"):
            if not self.read(tarfile.RECORDSIZE):
                return
        raise Refused("it is damaged (there is no end of it, or something behind that)")


def _of_tar(file: IO[bytes], folder: str) -> Iterator[Entry]:
    start = file.read(max(map(len, COMPRESSED)))
    file.seek(0)
    wrap = next((wrap for magic, wrap in COMPRESSED.items() if start.startswith(magic)), None)
    metered = _Metered(wrap(file) if wrap is not None else file)
    try:
        tar = tarfile.TarFile(fileobj=cast("IO[bytes]", metered))
    except tarfile.TarError:
        raise Refused("it is neither a zip nor a tar archive, or it is damaged at its beginning") from None
    while (member := tar.next()) is not None:
        cast("Any", tar).members.clear()  # it would keep them all
        metered.data()
        yield _of_member(tar, member, folder)
        metered.between()
    metered.end()


def _of_member(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: str) -> Entry:
    if member.isdir():
        return Entry(member.name, "folder")
    if member.issym():
        return Entry(member.name, "link", target=member.linkname)
    if member.islnk():
        return Entry(member.name, "again", target=member.linkname)
    if not member.isreg():
        raise Refused(f"{member.name!r} is neither a file nor a folder")
    _clean(member.name)
    if hasattr(tarfile, "data_filter"):
        tarfile.data_filter(member, folder)
    return Entry(member.name, "file", bool(member.mode & 0o100), data=tar.extractfile(member))


def _clean(name: str) -> str:
    """Return a member's name as a path below the folder."""
    if not name or name.startswith(("/", "\\")) or "\\" in name or "\0" in name or (len(name) > 1 and name[1] == ":"):
        raise Refused(f"{name!r} is not a name below its folder")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Refused(f"{name!r} leads out of its folder")
    if len(parts) > DEPTH_MAX:
        raise Refused(f"{name[:200]!r} lies more than {DEPTH_MAX} folders deep")
    return "/".join(parts)


class _Target:
    """The folder that an archive is unpacked into, and what has been made in it."""

    def __init__(self, folder: str, allowed: int) -> None:
        self.folder, self.allowed = folder, allowed
        self.made: dict[str, str] = {"": "folder"}  # what each name is
        self.links: dict[str, str] = {}

    def note(self, name: str, kind: str) -> None:
        """Count something that is made."""
        self.made[name] = kind
        if len(self.made) > ENTRIES_MAX:
            raise Refused(f"it has more than {ENTRIES_MAX:,} entries")

    def make_folder(self, name: str) -> None:
        """Make a folder, and those it lies in."""
        missing = []
        while name not in self.made:
            missing.append(name)
            name = posixpath.dirname(name)
        if self.made[name] != "folder":
            raise Refused(f"{name!r} is in the way of another of its entries")
        for one in reversed(missing):
            self.note(one, "folder")
            os.mkdir(f"{self.folder}/{one}", 0o700)

    def add(self, name: str, entry: Entry) -> None:
        """Make a folder or a file; note a link."""
        if entry.kind == "folder":
            self.make_folder(name)
            return
        if name in self.made:
            raise Refused(f"{entry.name!r} comes twice, or is in the way of another of its entries")
        self.make_folder(posixpath.dirname(name))
        self.note(name, entry.kind)
        path = f"{self.folder}/{name}"
        if entry.kind == "link":
            self.links[name] = entry.target
        elif entry.kind == "again":
            source = _clean(entry.target)
            if self.made.get(source) not in ("file", "again"):
                raise Refused(f"{entry.name!r} is a link to nothing in it, or to what is no file")
            with open(f"{self.folder}/{source}", "rb") as data:
                self.allowed -= _copy(data, path, self.allowed, os.fstat(data.fileno()).st_mode & 0o700)
        else:
            assert entry.data is not None
            self.allowed -= _copy(entry.data, path, self.allowed, 0o700 if entry.executable else 0o600)


def _write(entries: Iterator[Entry], folder: str, allowed: int) -> None:
    """Write files and folders, then make the links."""
    target = _Target(folder, allowed)
    for entry in entries:
        if name := _clean(entry.name):  # otherwise it is the folder itself
            try:
                target.add(name, entry)
            except (FileExistsError, NotADirectoryError):  # the file system takes two names for the same
                raise Refused(f"{entry.name!r} is in the way of another of its entries") from None
    for name, leads_to in target.links.items():
        _link(folder, name, leads_to, target.links)
    inside = f"{os.path.realpath(folder)}/"
    for name in target.links:
        if not f"{os.path.realpath(f'{folder}/{name}')}/".startswith(inside):
            raise Refused(f"the link {name!r} leads out of its folder")


def _copy(data: IO[bytes], path: str, allowed: int, mode: int) -> int:
    """Write a file, as long as it does not come to too much; return its size."""
    size = 0
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
        while piece := data.read(PIECE):
            size += len(piece)
            if size > allowed:
                raise Refused("it grows beyond what it may: raise unpack= in the address, if it is not made to do harm")
            file.write(piece)
    return size


def _link(folder: str, name: str, target: str, links: dict[str, str]) -> None:
    """Make a link, if it stays in the folder whatever else is linked."""
    if not target or target.startswith(("/", "\\")) or "\0" in target or len(os.fsencode(target)) > TARGET_MAX:
        raise Refused(f"the link {name!r} leads to {target[:200]!r}")
    where = posixpath.dirname(name).split("/") if "/" in name else []
    for part in target.split("/"):
        if "/".join(where) in links:
            raise Refused(f"the link {name!r} leads through another link")
        if part == "..":
            if not where:
                raise Refused(f"the link {name!r} leads out of its folder, to {target!r}")
            where.pop()
        elif part not in ("", "."):
            where.append(part)
    try:
        os.symlink(target, f"{folder}/{name}")
    except FileExistsError:
        raise Refused(f"the link {name!r} is in the way of another of its entries") from None
