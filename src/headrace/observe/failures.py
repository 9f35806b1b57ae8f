"""Where the input of failed attempts is kept after their run, beside the stories, for `headrace replay`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct

from headrace.errors import InputError, UsageError
from headrace.observe import stories
from headrace.store import archive
from headrace.store.shipped import Item, Manifest, read_manifest
from headrace.version import VERSION

KEPT_RUNS = 20
KEPT_BYTES = 1 << 30  # of all runs together
FAILED, PROGRAM, SHIPPED, MANIFEST = "failed", "program.json", "shipped", "manifest.json"
NAME = re.compile(r"(\d+)-(\d+)-(\d+)\.capsule", re.ASCII)
PROCESS = secrets.token_hex(8)  # this process, for those who ask whether a run was its own


class Kept(Struct, frozen=True, order=True):
    """A saved attempt."""

    attempt: int
    task: str
    path: str


class Surroundings(Struct, frozen=True):
    """The program that a run was of.

    Attributes:
        own: whether it is this very process.
        path: where it looked for modules.
        folder: where it ran.
        shipped: the folder that has what it had shipped; empty if that was nothing.

    """

    own: bool
    path: tuple[str, ...]
    folder: str
    shipped: str = ""


def folder_of(run: str) -> Path:
    """Return the folder of a run's failed attempts; it need not be there."""
    if not re.fullmatch(r"[\w-]+", run):
        raise UsageError(f"{run!r} is not the name of a run. Look for it in what `headrace story` says.")
    return archive.folder() / FAILED / run


class Keeper:
    """Keeps the failed attempts of one run."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._folder: Path | None = None

    def keep(self, name: str, pieces: Iterable[bytes]) -> None:
        """Keep a capsule, the newest of its task only.

        Raises:
            OSError: it cannot be written.

        """
        folder = self._folder or self._begin()
        stage, partition, attempt = name.rpartition("/")[2].split("-")
        aside = folder / f".{stage}-{partition}-{attempt}"
        try:
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                for piece in pieces:
                    file.write(piece)
            os.replace(aside, folder / f"{stage}-{partition}-{attempt}.capsule")
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        of_task = sorted(kept for kept in list_of(folder) if kept.task == f"{stage}.{partition}")
        for older in of_task[:-1]:
            os.unlink(older.path)

    def keep_shipped(self, manifest: Manifest, limit: int) -> None:
        """Keep what the program has shipped, except what takes more than `limit` bytes together with what came before.

        Raises:
            OSError: it cannot be written.

        """
        folder = self._folder or self._begin()
        target, aside = folder / SHIPPED, folder / f".{SHIPPED}-{secrets.token_hex(4)}"  # several jobs may fail at once
        left = limit - _size(target)
        for item in manifest.items:
            source, kept = Path(manifest.home, item.place), target / item.place
            if kept.exists() or (size := _size(source)) > left:
                continue
            left -= size
            kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                if source.is_dir():
                    shutil.copytree(source, aside, symlinks=True)
                else:
                    shutil.copy2(source, aside)
                os.rename(aside, kept)
            except BaseException:
                shutil.rmtree(aside, ignore_errors=True)
                aside.unlink(missing_ok=True)
                raise
        target.mkdir(mode=0o700, exist_ok=True)
        (target / MANIFEST).write_bytes(manifest.dump())

    def has(self, name: str) -> bool:
        """Whether a capsule was kept already."""
        return self._folder is not None and (self._folder / f"{name.rpartition('/')[2]}.capsule").exists()

    def _begin(self) -> Path:
        """Make the run's folder, of the owner alone; a simulated run's may be there, of the same seed before."""
        folder = folder_of(self._run)
        shutil.rmtree(folder, ignore_errors=True)
        for made in (folder.parent, folder):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_own(os.lstat(made), stat.S_IFDIR):
                raise PermissionError(f"{made} is not a folder of yours alone")
        about = {
            "process": PROCESS,
            "version": VERSION,
            "python": sys.version.split()[0],
            "path": sys.path,
            "folder": _here(),
        }
        with open(os.open(folder / PROGRAM, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "w") as file:
            json.dump(about, file)
        self._folder = folder
        _forget_old(folder.parent, folder)
        return folder


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


def _forget_old(where: Path, newest: Path) -> None:
    """Remove the runs that failed longest ago, where there are many or they take much."""
    sized: list[tuple[float, int, Path]] = []
    for folder in where.iterdir():
        with contextlib.suppress(OSError):
            size = _size(folder)
            sized.append((time.time() if folder == newest else folder.stat().st_mtime, size, folder))
    total = 0
    for place, (_, size, folder) in enumerate(sorted(sized, reverse=True)):
        total += size
        if folder != newest and (place >= KEPT_RUNS or total > KEPT_BYTES):
            shutil.rmtree(folder, ignore_errors=True)


def _size(path: Path) -> int:
    """Add up the files of a folder, or take that of a file; nothing if there is none."""
    if path.is_dir():
        return sum(os.lstat(Path(where, name)).st_size for where, _, names in os.walk(path) for name in names)
    return path.stat().st_size if path.exists() else 0


def list_of(folder: Path) -> list[Kept]:
    """List the saved attempts in a run's folder, by number."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for path in folder.iterdir():
            if name := NAME.fullmatch(path.name):
                found.append(Kept(int(name[3]), f"{name[1]}.{name[2]}", str(path)))
    return sorted(found)


def latest() -> str:
    """Return the run that kept a failed attempt last.

    Raises:
        UsageError: none did.

    """
    where = archive.folder() / FAILED
    runs = sorted(where.iterdir(), key=lambda path: path.stat().st_mtime) if where.is_dir() else []
    if not runs:
        raise UsageError(f"no failed attempt was saved in {where}. Run a job that fails first.")
    return runs[-1].name


def find(run: str, attempt: int) -> str:
    """Return the path of a saved attempt.

    Raises:
        UsageError: it was not saved, or somebody else may have written it.

    """
    folder = folder_of(run)
    kept = list_of(folder)
    for one in kept:
        if one.attempt == attempt:
            _check_owners(folder)
            _check_owner(one.path)
            return one.path
    those = ", ".join(f"{one.attempt} (task {one.task})" for one in kept) or "none"
    raise UsageError(
        f"the input of attempt {attempt} of run {run} was not saved{_lost(run, attempt)}. Look among those that were: "
        f"{those}."
    )


def _lost(run: str, attempt: int) -> str:
    """Say why there is nothing of an attempt, if the story knows."""
    try:
        for line in stories.read(stories.find(run)):
            if line.get("attempt") == attempt and line["what"] in ("attempt lost", "worker lost"):
                return ": it was lost with its process, and left nothing"
    except (UsageError, OSError):
        pass
    return ": of each task the newest that failed is, where it leaves time for it"


def surroundings(run: str) -> Surroundings:
    """Return what is known of a run's program.

    Raises:
        InputError: it cannot be read.

    """
    path = folder_of(run) / PROGRAM
    try:
        _check_owners(path.parent)
        _check_owner(str(path))
        about: Any = json.loads(path.read_text())
        shipped = path.parent / SHIPPED
        return Surroundings(
            about["process"] == PROCESS,
            tuple(map(str, about["path"])),
            str(about["folder"]),
            str(shipped) if (shipped / MANIFEST).exists() else "",
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, UsageError):
            raise
        raise InputError(f"{path} is missing or damaged ({error}). Run the job again to have it anew.") from error


def shipped_items(folder: str) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Return what was shipped by a program and is kept in such a folder, and what was shipped and is not.

    Raises:
        InputError: the list cannot be read.

    """
    try:
        items = read_manifest(Path(folder, MANIFEST).read_bytes()).items
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}/{MANIFEST} is missing or damaged ({error}). Run the job again.") from error
    kept = tuple(item for item in items if Path(folder, item.place).exists())
    return kept, tuple(item for item in items if item not in kept)


def _check_owner(path: str, kind: int = stat.S_IFREG) -> None:
    """Refuse what somebody else may have written: replaying it runs what it says."""
    if not _is_own(os.lstat(path), kind):
        word = "file" if kind == stat.S_IFREG else "folder"
        raise UsageError(
            f"{path} is not a {word} of yours alone, and replaying it would run what is in it. Look who wrote it."
        )


def _check_owners(folder: Path) -> None:
    """Refuse a run's folder where others may put another file, or another folder, in the place of what is looked at."""
    for path in (folder.parent.parent.resolve(), folder.parent, folder):  # the user may have put a link to the first
        _check_owner(str(path), stat.S_IFDIR)


def _is_own(status: os.stat_result, kind: int) -> bool:
    return stat.S_IFMT(status.st_mode) == kind and status.st_uid == os.getuid() and not status.st_mode & 0o022
