"""The profiles of runs, beside their stories: written while a run goes on, read for simulations of it."""

from __future__ import annotations

import os
from pathlib import Path

from headrace.errors import InputError, UsageError
from headrace.plan.profile import Closed, Line, Profile, encode, parse
from headrace.store.archive import by_age, folder

SUFFIX = ".profile"
BYTES_MAX = 64 << 20  # of one profile: some millions of tasks


class ProfileFile:
    """One run's profile, as it is written."""

    def __init__(self, run: str) -> None:
        try:
            path = folder() / f"{run}{SUFFIX}"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError:  # as with a story: what cannot be written is lost, the run is not
            descriptor = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._bytes = 0
        self._cut = False

    def tell(self, *lines: Line) -> None:
        """Write some lines, if they can be written and there are not too many."""
        data = b"".join(map(encode, lines))
        self._bytes += len(data)
        self._cut = self._cut or self._bytes > BYTES_MAX
        if not self._cut:
            self._write(data)

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except (OSError, ValueError):
            self._cut = True  # half a line may be there: nothing can follow it

    def close(self, now_ns: int) -> None:
        """Nothing more happens."""
        self._write(encode(Closed(now_ns, self._cut)))
        try:
            self._file.close()
        except OSError:
            pass


def find_profile(run: str | None) -> Path:
    """Find a profile by the name of its run, or a path; the latest if neither is given.

    Raises:
        UsageError: there is none.

    """
    if run is not None and os.path.isfile(run):
        return Path(run)
    where = folder()
    found = by_age(where, f"*{SUFFIX}")
    if run is None:
        if not found:
            raise UsageError(f"there is no profile of a run in {where} yet. Run a job first, on local:// or inline://.")
        return found[-1]
    path = where / f"{run}{SUFFIX}"
    if not path.exists():
        if (where / f"{run}.jsonl").exists():
            raise UsageError(f"run {run} has a story and no profile: it was simulated, or is of an older headrace.")
        names = ", ".join(path.stem for path in found[-5:]) or "none"
        raise UsageError(f"there is no profile of run {run!r} in {where}. The latest are: {names}.")
    return path


def read_profile(run: str | os.PathLike[str] | None) -> Profile:
    """Read the profile of a run: by its name or a path; of the latest if neither is given.

    Raises:
        UsageError: there is none.  InputError: the file is none, or of another version.

    """
    path = find_profile(os.fspath(run) if run is not None else None)
    try:
        with open(path, "rb") as file:
            return parse(file, str(path))
    except OSError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
