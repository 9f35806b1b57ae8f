"""What tests hand to workers to see what happens there; found by name, so that workers share it with nobody."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Loaded:
    """Writes a line wherever it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return load, (self.path,)


def load(path: Path) -> Loaded:
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    return Loaded(path)


def loads(path: Path) -> list[int]:
    """List the processes that unpickled it."""
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def once(path: Path, records: Iterator[Any]) -> Iterator[Any]:
    """Pass records on; the first time, wait behind the first for the worker to be killed."""
    for number, record in enumerate(records):
        yield record
        if number == 0 and not path.exists():
            path.touch()
            time.sleep(60)
