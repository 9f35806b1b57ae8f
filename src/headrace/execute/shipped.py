"""Files that the program shipped, as tasks find them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from headrace.errors import InputError, UsageError
from headrace.execute.current import current


class ShippedFiles:
    """Where files and unpacked archives are that were shipped with `ctx.add_file` and `ctx.add_archive`.

    `headrace.files` is for tasks; `ctx.files` is for the program, and may be used in tasks, too.
    """

    def __init__(self, home: Callable[[], str] | None = None) -> None:
        self._home = home

    def get_root_directory(self) -> str:
        """Return the folder that holds all of them on this machine.

        >>> ctx.files.get_root_directory().endswith("files")
        True
        """
        task = current()
        folder = task.folder if task is not None else self._home() if self._home is not None else ""
        if not folder:
            raise UsageError(
                "headrace.files finds what was shipped before the job began, in tasks only. Call ctx.add_file or "
                "ctx.add_archive before the action; in the program itself, use ctx.files."
            )
        return f"{folder}/files"

    def get(self, name: str) -> str:
        """Return the path of a file, a folder or an unpacked archive on this machine.

        Raises:
            InputError: nothing of that name was shipped.

        >>> _ = (folder / "words.txt").write_text("mill")
        >>> ctx.add_file(folder / "words.txt")
        >>> from headrace import files
        >>> ctx.range(1).map(lambda x: open(files.get("words.txt")).read()).collect()
        ['mill']

        """
        root = self.get_root_directory()
        path = os.path.normpath(f"{root}/{name}")
        if not path.startswith(f"{root}/") or not os.path.exists(path):
            raise InputError(
                f"no file {name!r} was shipped. Ship it with ctx.add_file or ctx.add_archive before the job begins."
            )
        return path

    def __reduce__(self) -> tuple[Any, ...]:
        return _in_task, ()


files = ShippedFiles()


def _in_task() -> ShippedFiles:
    return files
