"""Files, modules and archives that a context ships to its workers."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from itertools import count
from typing import Any
from urllib.parse import unquote, urlsplit

from headrace.errors import DiskFull, InputError, UsageError
from headrace.execute.shipped import ShippedFiles
from headrace.ids import Digest
from headrace.loops.session import Session
from headrace.plan.functions import digest_of
from headrace.plan.hashing import short
from headrace.runtime.files import full_disk
from headrace.store.shipped import PIECE, Item, Kind, Manifest, digest_of_file, find_modules, pack_folder, put_in_place

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
IMPORTED = (".zip", ".whl", ".egg")


class Shipped:
    """What was shipped so far; put in place in the program's own folder first, which finds out what is wrong with it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._items: dict[str, Item] = {}  # by place
        self.sources: dict[str, list[str]] = {"file": [], "archive": []}
        self._numbers = count(1)
        self._lock = threading.Lock()
        self.listed: Manifest | None = None  # all of it, and the same in bytes, with their digest
        self.manifest: tuple[Digest, bytes] | None = None

    @property
    def folder(self) -> str:
        """The program's own folder."""
        return self._session.depot

    def add(self, path: str, name: str, kind: Kind, *, unpacked: bool) -> None:
        """Ship something.

        Raises:
            UsageError: something else was shipped under that name.
            InputError: it cannot be read, or is an archive that is not to be unpacked.

        """
        with self._lock:
            number = next(self._numbers)
            payload = f"{self.folder}/aside/{number}"
            os.makedirs(f"{self.folder}/aside", mode=0o700, exist_ok=True)
            try:
                _pack(path, payload)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(payload)
                raise
            size, runs = os.path.getsize(payload), bool(os.stat(path).st_mode & 0o100)
            item = Item(name, kind, digest_of_file(payload), size, f"shipped-{number}", unpacked, runs and not unpacked)
            before = self._items.get(item.place)
            if before is not None:
                os.unlink(payload)
                if (before.digest, before.kind) != (item.digest, item.kind):
                    raise UsageError(
                        f"{name!r} was shipped already, with other content: tasks may have read it. Give the new one "
                        "another name, or connect anew."
                    )
                return
            config = self._session.config
            apart = config.hosts > 1 and config.scheme != "sim"
            try:
                if apart:
                    self._session.provide(item.block, _pieces(payload))
                with full_disk(self.folder):
                    put_in_place(item, payload, self.folder, config.data.unpack_bytes)
            except BaseException:
                if apart:
                    self._session.withdraw(item.block)
                raise
            if kind in ("module", "package"):
                _forget_closed()
            self._items[item.place] = item
            find_modules(self.folder, [item])
            items = tuple(self._items.values())
            self.listed = Manifest(self.folder, config.scheme == "sim", config.data.unpack_bytes, items)
            blob = self.listed.dump()
            self.manifest = digest_of(blob), blob

    def close(self) -> None:
        """Nothing of it is to be imported any more."""
        if self._items:
            _closed.add(self.folder)
            sys.path[:] = [path for path in sys.path if not str(path).startswith(f"{self.folder}/")]


_closed: set[str] = set()  # folders of contexts that have ended


def _forget_closed() -> None:
    """Forget modules that ended contexts had shipped: what has their names now may be other code."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(file, str) and any(file.startswith(f"{folder}/") for folder in _closed):
            del sys.modules[name]


def _pack(path: str, payload: str) -> None:
    """Make one file of what is to be shipped.

    Raises:
        InputError: it cannot be read.
        DiskFull: for lack of space.

    """
    try:
        with full_disk(payload):
            if os.path.isdir(path):
                pack_folder(path, payload)
            else:
                shutil.copyfile(path, payload)
    except DiskFull:
        raise
    except OSError as error:
        raise InputError(
            f"{error.filename or path} cannot be shipped: {error.strerror or error}. Give files that can be read."
        ) from error


def _pieces(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _text(path: Any, method: str) -> str:
    """Take a path."""
    try:
        text = os.fspath(path)
    except TypeError:
        text = b""
    if not isinstance(text, str) or not text:
        raise UsageError(f"{method} needs a path, not {short(path)}.")
    return text


def _local(path: Any, method: str) -> str:
    """Take the path of something to ship."""
    text = _text(path, method)
    parts = urlsplit(text)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        text = unquote(parts.path)
    elif "://" in text:
        raise UsageError(f"{method} ships files of this machine, and cannot fetch {text!r}. Download it first.")
    if not os.path.exists(text):
        raise InputError(f"{text} cannot be shipped: there is no such file.")
    if not os.path.isfile(text) and not os.path.isdir(text):
        raise InputError(f"{text} cannot be shipped: it is neither a file nor a folder.")
    return os.path.abspath(text)


class Shipping:
    """What a context lets its user ship."""

    _shipped: Shipped

    @property
    def files(self) -> ShippedFiles:
        """Where shipped files are, in the program and in tasks.

        >>> _ = (folder / "stop.txt").write_text("the")
        >>> ctx.add_file(folder / "stop.txt")
        >>> open(ctx.files.get("stop.txt")).read()
        'the'
        """
        return ShippedFiles(lambda: self._shipped.folder)

    def add_file(self, path: str | os.PathLike[str], recursive: bool = False) -> None:
        """Ship a file, or a folder, to every worker; tasks find it with `headrace.files.get(name)`.

        Args:
            path: of this machine; the last part of it is the name.
            recursive: a folder may be shipped.

        Raises:
            UsageError: it is a folder and not `recursive`, or something else was shipped under its name.
            InputError: it cannot be read.

        >>> from headrace import files
        >>> _ = (folder / "limits.txt").write_text("10")
        >>> ctx.add_file(folder / "limits.txt")
        >>> ctx.range(2).map(lambda x: x + int(open(files.get("limits.txt")).read())).collect()
        [10, 11]

        """
        found = _local(path, "add_file")
        if os.path.isdir(found) and not recursive:
            raise UsageError(f"{found} is a folder. Ship all that is in it with add_file(path, recursive=True).")
        kind: Kind = "folder" if os.path.isdir(found) else "file"
        self._shipped.add(found, os.path.basename(found), kind, unpacked=kind == "folder")
        if found not in self._shipped.sources["file"]:
            self._shipped.sources["file"].append(found)

    def list_files(self) -> list[str]:
        """Return the paths that `add_file` was given.

        >>> isinstance(ctx.list_files(), list)
        True
        """
        return list(self._shipped.sources["file"])

    def add_module(self, path: str | os.PathLike[str]) -> None:
        """Ship Python code that tasks, and the program from now on, can import.

        Args:
            path: a module (.py), a package's folder, or an archive of some (.zip, .whl, .egg).

        Raises:
            UsageError: it is none of these, or other code was shipped under its name.
            InputError: it cannot be read.

        >>> _ = (folder / "shop_prices.py").write_text("def price(x): return 3 * x")
        >>> ctx.add_module(folder / "shop_prices.py")
        >>> from shop_prices import price
        >>> ctx.range(3).map(price).collect()
        [0, 3, 6]

        """
        found = _local(path, "add_module")
        name = os.path.basename(found)
        if os.path.isdir(found):
            self._shipped.add(found, name, "package", unpacked=True)
        elif name.endswith(".py"):
            self._shipped.add(found, name, "module", unpacked=False)
        elif name.lower().endswith(IMPORTED):
            self._shipped.add(found, name, "module", unpacked=True)
        else:
            raise UsageError(
                f"add_module cannot import from {name!r}. Give a .py, .zip, .whl or .egg, or a package's folder."
            )

    def add_archive(self, path: str | os.PathLike[str]) -> None:
        """Ship an archive, unpacked on every host; tasks find its folder with `headrace.files.get(name)`.

        Absolute names, `..`, devices, links that lead out of it, and archives that grow beyond `unpack=` in the address are
        refused.

        Args:
            path: of a .zip or .tar (also .tar.gz, .tgz, .tar.bz2, .tar.xz), such as ``data.zip``, or ``data.zip#words`` to
                call its folder ``words``.

        Raises:
            UsageError: it is neither, its name is none, or something else was shipped under that.
            InputError: it cannot be read, is damaged, or is refused; nothing of it is kept then.

        >>> import zipfile
        >>> from headrace import files
        >>> with zipfile.ZipFile(folder / "data.zip", "w") as archive:
        ...     archive.writestr("a/b.txt", "mill")
        >>> ctx.add_archive(f"{folder}/data.zip#words")
        >>> ctx.range(1).map(lambda x: open(files.get("words/a/b.txt")).read()).collect()
        ['mill']

        """
        text = _text(path, "add_archive")
        where, hash_, alias = text.rpartition("#") if "#" in text and not os.path.exists(text) else (text, "", "")
        found = _local(where, "add_archive")
        name = alias if hash_ else os.path.basename(found)
        if not name or name in (".", "..") or "/" in name or "\0" in name:
            raise UsageError(f"{name!r} is not the name of a folder. Write data.zip#words.")
        if not os.path.basename(found).lower().endswith(ARCHIVES):
            raise UsageError(f"add_archive cannot unpack {found}. Give one of {', '.join(ARCHIVES)}.")
        self._shipped.add(found, name, "archive", unpacked=True)
        if text not in self._shipped.sources["archive"]:
            self._shipped.sources["archive"].append(text)

    def list_archives(self) -> list[str]:
        """Return what `add_archive` was given.

        >>> isinstance(ctx.list_archives(), list)
        True
        """
        return list(self._shipped.sources["archive"])
