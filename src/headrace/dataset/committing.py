"""How the parts of a job's output come into place: renamed by the program, `_SUCCESS` last."""

from __future__ import annotations

import os

from headrace.errors import OutputError
from headrace.loops.jobs import JobHandle
from headrace.ports import Files

ASIDE = "_temporary"
SUCCESS = "_SUCCESS"


def commit(files: Files, folder: str, aside: str, handle: JobHandle, names: list[str], *, mine: bool) -> None:
    """Put the parts that count into place.

    Args:
        names: of the parts, by partition.
        mine: the folder is new, and to be empty again if this fails.

    """
    parts = {name: f"{aside}/{handle.request.id}/{handle.winners[p]}" for p, name in enumerate(names)}
    if not all(files.exists(f"{where}/{part}") for part, where in parts.items()):
        raise OutputError(
            f"another job wrote {folder} meanwhile, and its output is there. Give each job a folder of its own."
        )
    for name in sorted(files.list(folder), key=lambda name: name != SUCCESS):  # the mark of wholeness goes first
        if name != ASIDE and not os.path.isdir(f"{folder}/{name}"):
            files.remove(f"{folder}/{name}")
    try:
        for part, where in parts.items():
            files.rename(f"{where}/{part}", f"{folder}/{part}")
        files.sync_dir(folder)
        mark = files.create(f"{folder}/{SUCCESS}")
        try:
            mark.sync()
        finally:
            mark.close()
        files.sync_dir(folder)
    except BaseException:
        if mine:
            for part in (SUCCESS, *parts):
                files.remove(f"{folder}/{part}")
        raise
    files.remove_tree(f"{folder}/{ASIDE}")  # also what killed programs left
