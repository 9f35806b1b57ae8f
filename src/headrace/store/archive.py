"""Where what is kept of runs after their end lies: stories, profiles, and the input of failed attempts."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from headrace.errors import InputError

ENVIRONMENT = "HEADRACE_STORIES"


def folder() -> Path:
    """Return the folder of this user's stories, making it if need be.

    Raises:
        OSError: there is none, and none can be made, or only one that others can write to.

    """
    named = os.environ.get(ENVIRONMENT)
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    for path in filter(None, (named, os.path.join(state, "headrace", "stories"))):
        try:
            os.makedirs(path, mode=0o700, exist_ok=True)
        except OSError:
            continue
        if os.access(path, os.W_OK):
            return Path(path)
    path = os.path.join(tempfile.gettempdir(), f"headrace-{os.getuid()}-stories")
    os.makedirs(path, mode=0o700, exist_ok=True)
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise InputError(f"{path} is not a folder of yours alone. Name another with {ENVIRONMENT}.")
    return Path(path)


def by_age(where: Path, pattern: str) -> list[Path]:
    """List the files of a folder whose names fit, the oldest first; other runs may be removing some meanwhile."""

    def age(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    return sorted(where.glob(pattern), key=age)
