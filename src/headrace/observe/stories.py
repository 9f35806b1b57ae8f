"""Where stories are kept after their run, and how they are read out."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from headrace.config import Config, as_lines
from headrace.errors import UsageError
from headrace.observe.prose import is_simulated, prose
from headrace.store.archive import by_age, folder
from headrace.store.profiles import SUFFIX

STORIES = "*.jsonl"
KEPT = 50  # stories of this user; older ones go


class StoryFile:
    """One run's story, as it is written."""

    def __init__(self, run: str) -> None:
        try:
            path = folder() / f"{run}.jsonl"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError:  # a disk that is full, or that nothing can be written to, loses the story, not the run
            descriptor = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        else:
            _forget_old(path.parent)
        self._file: IO[str] = os.fdopen(descriptor, "w", encoding="utf-8", buffering=1)

    def tell(self, line: dict[str, Any]) -> None:
        """Write a line, if it can be written."""
        try:
            self._file.write(json.dumps(line) + "\n")
        except (OSError, ValueError):
            pass

    def close(self) -> None:
        """Nothing more happens."""
        try:
            self._file.close()
        except OSError:
            pass


def _forget_old(where: Path) -> None:
    for path in by_age(where, STORIES)[:-KEPT]:
        for one in (path.with_suffix(SUFFIX), path):
            with contextlib.suppress(OSError):
                one.unlink()


def find(run: str | None) -> Path:
    """Find a story by the name of its run, or a path; the latest if neither is given.

    Raises:
        UsageError: there is none.

    """
    if run is not None and os.path.isfile(run):
        return Path(run)
    where = folder()
    if run is None:
        stories = by_age(where, STORIES)
        if not stories:
            raise UsageError(f"there is no story in {where} yet. Run a job first.")
        return stories[-1]
    path = where / f"{run}.jsonl"
    if not path.exists():
        names = ", ".join(found.stem for found in by_age(where, STORIES)[-5:]) or "none"
        raise UsageError(f"there is no story of run {run!r} in {where}. The latest are: {names}.")
    return path


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Give a story's lines; a last line that was cut off is left out.

    Raises:
        UsageError: the file is no story.

    """
    found = False
    with open(path, encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict) and isinstance(line.get("what"), str) and isinstance(line.get("t"), float | int):
                found = True
                yield line
    if not found:
        raise UsageError(f"{path} is not the story of a run, or it is empty. Name a run, or a file in {folder()}.")


def tell_all(lines: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Say a story in words: that of a simulated run as prose, that of another line by line."""
    whole = list(lines)
    yield from prose(whole) if is_simulated(whole) else map(tell, whole)


def tell(line: dict[str, Any]) -> str:
    """Say a line in words.

    >>> tell({"t": 1.5, "what": "copy", "task": "2.7", "attempt": 9, "why": "attempt 9 on w1 is slow for its stage"})
    '   1.500 s  copy: task 2.7, attempt 9: attempt 9 on w1 is slow for its stage'
    """
    named = [f"{name} {line[name]}" for name in ("job", "stage", "task", "attempt", "worker", "host") if name in line]
    if "name" in line:
        named.append(f"({line['name']})")
    why = line.get("why") or line.get("how") or ""
    if "settings" in line:
        line = {**line, "settings": _chosen(line["settings"])}
    rest = {
        key: value
        for key, value in line.items()
        if key not in {"t", "what", "name", "why", "how", "job", "stage", "task", "attempt", "worker", "host"}
    }
    said = ", ".join([*named, *(f"{key}: {_short(value)}" for key, value in rest.items())])
    parts = [part for part in (said, why) if part]
    return f"{line.get('t', 0):8.3f} s  {line.get('what', '?')}{': ' if parts else ''}{': '.join(parts)}"


def _chosen(settings: list[str]) -> list[str]:
    """Leave out the settings that are what they usually are."""
    usual = set(as_lines(Config()))
    return [setting for setting in settings if setting not in usual] or ["as usual"]


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {inner}" for key, inner in value.items() if inner)
    return str(value)
