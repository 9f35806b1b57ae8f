"""Writing a dataset to files, all or nothing.

Each attempt writes its part aside; when all partitions are committed, the parts of the attempts that count are renamed into
place, and `_SUCCESS` is written last.  A folder without it is not whole.
"""

from __future__ import annotations

import os

from headrace.dataset.engine import Engine
from headrace.errors import OutputExists
from headrace.loops.jobs import JobHandle
from headrace.plan.operators import Operator
from headrace.plan.stages import TextSink
from headrace.ports import Files

ASIDE = "_temporary"
SUCCESS = "_SUCCESS"


def save_as_text_file(engine: Engine, source: Operator, path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Write each record's text as a line, one file for each partition.

    Raises:
        OutputExists: there is something at the path already, and it is not to be overwritten.

    """
    folder = os.path.abspath(os.fspath(path))
    files = engine.session.files
    existed = files.exists(folder)
    if existed and not overwrite:
        raise OutputExists(f"{path} exists. Remove it, choose another, or say overwrite=True.")
    if existed and not os.path.isdir(folder):
        raise OutputExists(f"{path} is a file, not a folder. Choose another path.")
    handle: JobHandle | None = None
    try:
        os.makedirs(folder, exist_ok=True)
        handle = engine.start(source, TextSink(folder), "save_as_text_file")
        engine.finish(handle)
        commit(files, folder, handle, source.partitions)
        clear(engine, handle, folder)
    except BaseException:
        clear(engine, handle, folder)
        if not existed:
            files.remove_tree(folder)
        raise


def commit(files: Files, folder: str, handle: JobHandle, partitions: int) -> None:
    """Put the parts that count into place."""
    old = [name for name in files.list(folder) if name != ASIDE]
    for name in sorted(old, key=lambda name: name != SUCCESS):  # the mark of wholeness goes first
        files.remove(f"{folder}/{name}")
    for partition in range(partitions):
        name = f"part-{partition:05d}"
        files.rename(f"{folder}/{ASIDE}/{handle.request.id}/{handle.winners[partition]}/{name}", f"{folder}/{name}")
    files.sync_dir(folder)
    mark = files.create(f"{folder}/{SUCCESS}")
    try:
        mark.sync()
    finally:
        mark.close()
    files.sync_dir(folder)


def clear(engine: Engine, handle: JobHandle | None, folder: str) -> None:
    """Remove what lies aside, as soon as nobody writes there any more: attempts that were called off, copies that lost."""
    try:
        if handle is not None:
            engine.session.wait(handle.quiet)
    finally:
        engine.session.files.remove_tree(f"{folder}/{ASIDE}")
