"""Writing a dataset to files, all or nothing.

Each attempt writes its part aside; when all partitions are committed, the parts of the attempts that count are renamed into
place, and `_SUCCESS` is written last.  A folder without it is not whole.  Of two writers that may both overwrite a folder
the first to finish wins, and the other is told.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.dataset.committing import ASIDE, SUCCESS, commit
from headrace.dataset.engine import Engine
from headrace.errors import OutputError, OutputExists, UsageError
from headrace.execute.formats.codecs import check_codec
from headrace.execute.formats.writing import writer_of
from headrace.loops.jobs import JobHandle
from headrace.plan.formats import Format
from headrace.plan.operators import Operator
from headrace.plan.stages import FileSink

__all__ = ["ASIDE", "SUCCESS", "clear", "commit", "save"]


def save(
    engine: Engine,
    source: Operator,
    name: str,
    path: str | os.PathLike[str],
    format: Format,
    compression: str | None,
    *,
    overwrite: bool,
) -> None:
    """Write the records in a format, one file for each partition.

    Args:
        name: of the action.

    Raises:
        OutputExists: there is something at the path already, and it is not to be overwritten.
        OutputError: the folder cannot be made, or another job wrote it meanwhile.

    """
    check_codec(compression)
    asked = _text(path, name)
    folder = os.path.abspath(asked)
    made = _make(folder, asked, overwrite=overwrite)
    aside = f"{folder}/{ASIDE}/{engine.session.run}"  # two programs may number their jobs alike
    suffix = writer_of(format, compression).suffix
    names = [f"part-{p:05d}{suffix}" for p in range(source.partitions)]
    handle: JobHandle | None = None
    try:
        handle = engine.start(source, FileSink(aside, format, compression), name)
        engine.finish(handle)
        for path in made:  # its own name is to survive a loss of power, too
            with contextlib.suppress(PermissionError):  # to look into the folder above
                engine.session.files.sync_dir(os.path.dirname(path))
        with _locked(folder):
            commit(engine.session.files, folder, aside, handle, names, mine=bool(made))
    finally:
        clear(engine, handle, aside, made)


def _text(path: str | os.PathLike[str], name: str) -> str:
    try:
        text = os.fspath(path)
    except TypeError as error:
        raise UsageError(f"{name}: {error}. Give it a path.") from None
    if not isinstance(text, str) or not text:
        raise UsageError(f"{name} cannot write to {text!r}. Give it a path, as text.")
    return text


def _make(folder: str, name: str, *, overwrite: bool) -> list[str]:
    """Make a folder; return what was made, itself first, then those above it."""
    missing = [folder]
    while not os.path.lexists(above := os.path.dirname(missing[-1])):
        missing.append(above)
    made: list[str] = []
    try:
        for path in reversed(missing):
            os.mkdir(path)
            made.insert(0, path)
    except FileExistsError:
        if path != folder:  # somebody else is making the same folders
            return _make(folder, name, overwrite=overwrite)
        if not overwrite:
            raise OutputExists(f"{name} exists. Remove it, choose another, or say overwrite=True.") from None
        if not os.path.isdir(folder):
            raise OutputExists(f"{name} is a file, not a folder. Choose another path.") from None
        if inner := [one for one in sorted(os.listdir(folder)) if one != ASIDE and os.path.isdir(f"{folder}/{one}")]:
            raise OutputExists(
                f"{name} has folders in it, such as {inner[0]}, so it is not an earlier output. Choose another "
                "path, or remove it yourself."
            ) from None
    except OSError as error:
        _unmake(made)
        raise OutputError(f"{name} cannot be made: {error.strerror}. Choose a folder that you may write to.") from error
    return made


def _unmake(made: list[str]) -> None:
    for path in made:
        with contextlib.suppress(OSError):  # not empty: somebody else uses it
            os.rmdir(path)


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Keep other writers of a folder waiting while the block runs."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def clear(engine: Engine, handle: JobHandle | None, aside: str, made: list[str]) -> None:
    """Remove what lies aside, as soon as nobody writes there any more: attempts that were called off, copies that lost."""
    try:
        if handle is not None:
            engine.session.wait(handle.quiet)
    finally:
        if handle is not None:
            engine.session.files.remove_tree(f"{aside}/{handle.request.id}")
        _unmake([aside, os.path.dirname(aside), *made])
