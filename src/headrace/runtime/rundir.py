"""The folder of one run: the owner's alone, gone at the end; what a killed program left goes with the next run.

A run holds a lock on a file in its folder for as long as it lives.  A folder whose lock can be had belongs to nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile

from headrace.errors import DiskFull, UsageError
from headrace.runtime.files import full_disk

LOCK = "lock"
NAME_BYTES = 4  # short, because the paths of sockets must be


def base_folder(directory: str | None) -> str:
    """Return the folder that holds this user's runs, making it if need be.

    Raises:
        UsageError: somebody else owns it, or it cannot be made.
        DiskFull: for lack of space.

    """
    path = os.path.abspath(os.path.join(directory or tempfile.gettempdir(), f"headrace-{os.getuid()}"))
    try:
        with full_disk(path):
            os.makedirs(path, mode=0o700, exist_ok=True)
        status = os.lstat(path)
    except DiskFull:
        raise
    except OSError as error:
        raise UsageError(
            f"temporary data cannot go to {path}: {error.strerror}. Give another folder with dir= in the address."
        ) from error
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or os.path.islink(path):
        raise UsageError(
            f"{path} is not a folder of yours alone. Remove it, or give another folder with dir= in the address."
        )
    return path


class RunFolder:
    """A run's folder and its lock.

    Raises:
        UsageError: as `base_folder` does.

    """

    def __init__(self, directory: str | None = None) -> None:
        base = base_folder(directory)
        sweep(base)
        while True:
            self.name = secrets.token_hex(NAME_BYTES)
            self.path = os.path.join(base, self.name)
            try:
                with full_disk(self.path):
                    os.mkdir(self.path, 0o700)
                    lock = self._take()
            except FileExistsError:
                continue
            if lock is not None:
                break
        self._lock = lock
        self._owner = os.getpid()

    def _take(self) -> int | None:
        """Lock the folder; None if another run's sweep was faster, which takes a folder without a lock for a dead one."""
        path = os.path.join(self.path, LOCK)
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return None
        fcntl.flock(lock, fcntl.LOCK_EX)  # waits for whoever is sweeping
        try:
            if os.path.samestat(os.stat(path), os.fstat(lock)):
                return lock
        except FileNotFoundError:
            pass
        os.close(lock)
        return None

    def remove(self) -> None:
        """Remove the folder and all in it; a forked child of the program must not."""
        if os.getpid() == self._owner and self._lock >= 0:
            clear(self.path)
            os.close(self._lock)
            self._lock = -1


def for_sockets(folder: RunFolder, path_max: int) -> RunFolder:
    """Return where a run's sockets go: its own folder, or one whose name is no longer than `path_max` bytes.

    Raises:
        UsageError: there is none.

    """
    if _fits(folder.path, path_max):
        return folder
    for directory in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 (in a folder of the owner's alone)
        if _fits(os.path.join(directory, f"headrace-{os.getuid()}", folder.name), path_max):
            return RunFolder(directory)
    folder.remove()
    raise UsageError(
        f"{folder.path} has too long a name for sockets, and so has every other temporary folder. Give one with a shorter "
        "name with dir= in the address, or with the environment variable TMPDIR."
    )


def _fits(path: str, path_max: int) -> bool:
    return len(os.fsencode(path)) <= path_max


def sweep(base: str) -> None:
    """Remove the folders of runs whose programs are dead."""
    for name in sorted(os.listdir(base)):
        path = os.path.join(base, name)
        try:
            lock = os.open(os.path.join(path, LOCK), os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            with contextlib.suppress(OSError):  # not empty, so not a run's
                os.rmdir(path)  # whoever is just making it makes another
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            clear(path)
        except BlockingIOError:
            pass  # somebody is at work there
        finally:
            os.close(lock)


def clear(path: str) -> None:
    """Remove a run's folder, its lock last: if we are killed meanwhile, the next run goes on."""
    try:
        entries = list(os.scandir(path))
    except FileNotFoundError:
        return  # somebody else was faster
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        elif entry.name != LOCK:
            with contextlib.suppress(OSError):
                os.unlink(entry.path)
    shutil.rmtree(path, ignore_errors=True)
