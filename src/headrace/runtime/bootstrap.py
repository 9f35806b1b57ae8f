"""What a worker process is given when it starts: one record, through an inherited pipe, never on the command line."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import msgspec
from msgspec import Struct

from headrace.config import Config
from headrace.version import VERSION


class Bootstrap(Struct, frozen=True):
    """The record.

    Attributes:
        key: the run's key, in hexadecimal digits.
        control: the descriptor of the channel to the program.
        parent: the program's process id; a worker whose parent is another has been orphaned before it began.
        socket: where to listen for peers.
        path, folder, arguments: `sys.path`, the working directory and `sys.argv` of the program.
        python_path: the program's PYTHONPATH, to be restored.

    """

    version: str
    key: str
    worker: str
    host: str
    root: str
    control: int
    parent: int
    socket: str
    path: tuple[str, ...]
    folder: str
    arguments: tuple[str, ...]
    python_path: str | None
    config: Config

    def dump(self) -> bytes:
        """Write it; as `json` does, which takes names of files that are no text."""
        return json.dumps(msgspec.to_builtins(self)).encode()


def read_bootstrap(data: bytes) -> Bootstrap:
    """Read a record.

    Raises:
        SystemExit: the program runs another version of headrace.

    """
    record = json.loads(data)
    version = msgspec.convert(record, _Version).version
    if version != VERSION:
        sys.exit(f"this worker runs headrace {VERSION}, the program {version}; install the same everywhere.")
    return msgspec.convert(record, Bootstrap)


class _Version(Struct, frozen=True):
    version: str


def of_this_program() -> dict[str, Any]:
    """Return what every worker's record takes from this process."""
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        folder = "/"
    return {
        "version": VERSION,
        "parent": os.getpid(),
        "path": tuple(path for path in sys.path if isinstance(path, str)),  # Python passes over others, too
        "folder": folder,
        "arguments": tuple(map(str, sys.argv)),
        "python_path": os.environ.get("PYTHONPATH"),
    }
