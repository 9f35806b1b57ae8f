"""Unpacking archives that may mean harm: nothing lands outside the folder, nothing but files, folders and links within it.

Refused are absolute names, `..`, devices, links that leave the folder or lead through other links, names that come twice,
encrypted entries, and archives that grow beyond what was allowed.  Files are written first and links made last, so nothing
is ever written through a link.  What is refused leaves nothing behind.

Source: the tar data filter of PEP 706, applied besides; the rules for links are stricter than its.
"""

from __future__ import annotations

import lzma
import os
import posixpath
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from msgspec import Struct

from headrace.errors import InputError

PIECE = 1 << 20
RATIO_MAX, RATIO_FREE = (
    200,
    64 << 20,
)  # times the archive's own size that it may grow to, once it is beyond so many bytes
ENTRIES_MAX = 200_000
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError, RuntimeError)


class Entry(Struct, frozen=True):
    """One member of an archive: a folder, a link to `target`, or a file."""

    name: str
    kind: str  # "file", "folder" or "link"
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
        elif tarfile.is_tarfile(path):
            with tarfile.open(path) as tar:
                _write(_of_tar(tar, folder), folder, allowed)
        else:
            raise Refused("it is neither a zip nor a tar archive")
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, DAMAGED):
            why = f"it is damaged ({error})"
        elif isinstance(error, Refused):
            why = str(error)
        else:
            raise
        raise InputError(f"{path} cannot be unpacked: {why}. Nothing of it was kept.") from None


def _of_zip(archive: zipfile.ZipFile) -> Iterator[Entry]:
    for info in archive.infolist():
        mode = info.external_attr >> 16
        if info.flag_bits & 1:
            raise Refused(f"{info.filename!r} is encrypted")
        if info.is_dir():
            yield Entry(info.filename, "folder")
        elif stat.S_ISLNK(mode):
            with archive.open(info) as data:
                yield Entry(info.filename, "link", target=data.read(4096).decode(errors="replace"))
        elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise Refused(f"{info.filename!r} is neither a file nor a folder")
        else:
            with archive.open(info) as data:
                yield Entry(info.filename, "file", bool(mode & 0o100), data=data)


def _of_tar(tar: tarfile.TarFile, folder: str) -> Iterator[Entry]:
    for member in tar:
        if member.isdir():
            yield Entry(member.name, "folder")
            continue
        if member.issym():
            yield Entry(member.name, "link", target=member.linkname)
            continue
        if not (member.isreg() or member.islnk()):
            raise Refused(f"{member.name!r} is neither a file nor a folder")
        _clean(member.name)
        if member.islnk():
            _clean(member.linkname)
        if hasattr(tarfile, "data_filter"):
            tarfile.data_filter(member, folder)
        try:
            data = tar.extractfile(member)  # of a hard link: what it is a link to
        except KeyError:
            raise Refused(f"{member.name!r} is a link to nothing in it") from None
        if data is None:
            raise Refused(f"{member.name!r} is a link to what is no file")
        with data:
            yield Entry(member.name, "file", bool(member.mode & 0o100), data=data)


def _clean(name: str) -> str:
    """Return a member's name as a path below the folder."""
    if not name or name.startswith(("/", "\\")) or "\\" in name or "\0" in name or (len(name) > 1 and name[1] == ":"):
        raise Refused(f"{name!r} is not a name below its folder")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Refused(f"{name!r} leads out of its folder")
    return "/".join(parts)


def _write(entries: Iterator[Entry], folder: str, allowed: int) -> None:
    """Write files and folders, then make the links."""
    links: dict[str, str] = {}
    files: set[str] = set()
    for number, entry in enumerate(entries):
        if number >= ENTRIES_MAX:
            raise Refused(f"it has more than {ENTRIES_MAX:,} entries")
        name = _clean(entry.name)
        if not name:
            continue  # the folder itself
        if name in files or name in links:
            raise Refused(f"{entry.name!r} comes twice")
        path = f"{folder}/{name}"
        if entry.kind == "link":
            links[name] = entry.target
            continue
        try:
            if entry.kind == "folder":
                os.makedirs(path, mode=0o700, exist_ok=True)
                continue
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            files.add(name)
            assert entry.data is not None
            allowed -= _copy(entry.data, path, allowed, 0o700 if entry.executable else 0o600)
        except (FileExistsError, NotADirectoryError):
            raise Refused(f"{entry.name!r} is in the way of another of its entries") from None
    for name, target in links.items():
        _link(folder, name, target, links)


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
    if not target or target.startswith(("/", "\\")) or "\0" in target:
        raise Refused(f"the link {name!r} leads to {target!r}")
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
    for depth in range(1, len(name.split("/"))):
        if "/".join(name.split("/")[:depth]) in links:
            raise Refused(f"{name!r} lies below a link")
    path = f"{folder}/{name}"
    if os.path.lexists(path):
        raise Refused(f"the link {name!r} is in the way of another of its entries")
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    os.symlink(target, path)
