"""A copy of the program's folder for its runs to write in, so that runs beside each other do not meet.

Folders are made and files copied, the large ones linked.  What a run leaves there is looked at, and taken away again before
the next.  A folder with too much in it is linked as a whole: what is written there is written to the real one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator

from headrace.campaign.words import Written
from headrace.errors import UsageError

ENTRIES_MAX = 5000
COPY_BYTES = 1 << 20  # a larger file is linked
COPIED_BYTES = 64 << 20  # of all files together
TEXT_BYTES = 64 << 10  # of a file that is brought to be looked at
TEXTS_BYTES = 1 << 20  # of all those
LEFT_OUT = frozenset({"__pycache__", ".headrace"})
OWN = "headrace-simulate-"  # what the folders of campaigns begin with: they may be where the program is
Mark = tuple[int, int, int]  # the kind of a file, its size, and when it was last changed


class Mirror:
    """The copy of one folder.

    Attributes:
        linked: folders that are shared with the real one, because there is too much in them.

    """

    def __init__(self, real: str, path: str) -> None:
        self.real, self.path = real, path
        self.linked: list[str] = []
        self._here: dict[str, Mark] = {}  # what belongs here, by its path within
        self._behind: dict[str, Mark] = {}  # the real files behind links
        self._copied = 0
        os.makedirs(path)
        self._fill("")

    def _fill(self, start: str) -> None:
        folders = [start]
        for folder in folders:  # grows: the upper ones first
            names = sorted(name for name in os.listdir(os.path.join(self.real, folder)) if not is_left_out(name))
            if not folder and len(names) > ENTRIES_MAX:
                raise UsageError(
                    f"{self.real} has {len(names):,} entries: too many to copy for each run. Run the program in a folder "
                    "of its own."
                )
            for name in names:
                inner = os.path.join(folder, name)
                if self._is_folder(inner):
                    if self._is_small(inner):
                        os.mkdir(os.path.join(self.path, inner))
                        folders.append(inner)
                    else:
                        self.linked.append(inner)
                        os.symlink(os.path.join(self.real, inner), os.path.join(self.path, inner))
                else:
                    self._bring(inner)
                self._here[inner] = mark(os.path.join(self.path, inner))

    def _is_folder(self, inner: str) -> bool:
        path = os.path.join(self.real, inner)
        return os.path.isdir(path) and not os.path.islink(path)

    def _is_small(self, inner: str) -> bool:
        """Whether a folder is to be copied: no tool's own, and not more in it than there may be."""
        path = os.path.join(self.real, inner)
        if os.path.basename(inner).startswith(".") or os.path.exists(os.path.join(path, "pyvenv.cfg")):
            return False
        try:
            with os.scandir(path) as entries:
                number = sum(1 for _ in entries)
        except OSError:
            return False
        return len(self._here) + number <= ENTRIES_MAX

    def _bring(self, inner: str) -> None:
        """Copy a file, or link what is too large."""
        real, here = os.path.join(self.real, inner), os.path.join(self.path, inner)
        status = os.lstat(real)
        small = status.st_size <= COPY_BYTES and self._copied + status.st_size <= COPIED_BYTES
        if stat.S_ISREG(status.st_mode) and small:
            try:
                shutil.copy2(real, here)
            except OSError:  # that cannot be read: the program may not want to
                pass
            else:
                self._copied += status.st_size
                return
        os.symlink(real, here)
        if stat.S_ISREG(status.st_mode):
            self._behind[inner] = mark(real)

    # After a run.

    def written(self, *, texts: bool, plain: Callable[[bytes], bytes]) -> tuple[dict[str, Written], tuple[str, ...]]:
        """Say which files are new or other than before, and which are gone.

        Args:
            texts: bring what is in them, too, as far as that is little.
            plain: takes out of what is in them what differs from run to run in any case.

        """
        found: dict[str, Written] = {}
        seen: set[str] = set()
        left = TEXTS_BYTES if texts else 0
        for inner, now in self._walk():
            seen.add(inner)
            if self._here.get(inner) == now or stat.S_ISDIR(now[0]):
                continue
            found[inner] = self._look(inner, left, plain)
            left -= len(found[inner].text or "")
        return dict(sorted(found.items())), tuple(sorted(set(self._here) - seen))

    def touched(self) -> tuple[str, ...]:
        """Say which real files were changed through links."""
        changed = tuple(inner for inner, then in self._behind.items() if mark(os.path.join(self.real, inner)) != then)
        for inner in changed:
            self._behind[inner] = mark(os.path.join(self.real, inner))
        return changed

    def restore(self) -> None:
        """Take away what a run has left, and bring back what it has changed."""
        for inner, now in list(self._walk()):
            if self._here.get(inner) != now:
                path = os.path.join(self.path, inner)
                if stat.S_ISDIR(now[0]) and inner not in self._here:
                    shutil.rmtree(path, ignore_errors=True)
                elif not stat.S_ISDIR(now[0]):
                    with contextlib.suppress(FileNotFoundError):  # went with its folder
                        os.unlink(path)
        for inner, then in self._here.items():  # folders come before what is in them
            if mark(os.path.join(self.path, inner)) != then:
                self._again(inner, then)

    def _again(self, inner: str, then: Mark) -> None:
        path = os.path.join(self.path, inner)
        if stat.S_ISDIR(then[0]):
            os.mkdir(path)
        elif stat.S_ISLNK(then[0]):
            os.symlink(os.path.join(self.real, inner), path)
        else:
            self._copied -= then[1]
            self._bring(inner)
            self._here[inner] = mark(path)

    def _walk(self) -> Iterator[tuple[str, Mark]]:
        folders = [""]
        while folders:
            folder = folders.pop()
            try:
                names = sorted(os.listdir(os.path.join(self.path, folder)))
            except OSError:
                continue
            for name in names:
                if is_left_out(name):
                    continue
                inner = os.path.join(folder, name)
                now = mark(os.path.join(self.path, inner))
                yield inner, now
                if stat.S_ISDIR(now[0]):
                    folders.append(inner)

    def _look(self, inner: str, left: int, plain: Callable[[bytes], bytes]) -> Written:
        path = os.path.join(self.path, inner)
        if os.path.islink(path):
            return Written(f"link to {os.readlink(path).replace(self.path, self.real)}", 0)
        try:
            with open(path, "rb") as file:
                data = plain(file.read())
        except OSError as error:
            return Written(f"unreadable: {error.strerror}", 0)
        text = None
        if len(data) <= min(TEXT_BYTES, left):
            with contextlib.suppress(UnicodeDecodeError):
                text = data.decode()
        return Written(hashlib.blake2b(data, digest_size=16).hexdigest(), len(data), text)


def is_left_out(name: str) -> bool:
    """Whether something in a folder is none of the program's business."""
    return name in LEFT_OUT or name.startswith(OWN)


def mark(path: str) -> Mark:
    """Return by what a file is seen to have changed; a folder only by whether it is there."""
    try:
        status = os.lstat(path)
    except OSError:
        return (0, 0, 0)
    if stat.S_ISDIR(status.st_mode):
        return (stat.S_IFDIR, 0, 0)
    return (stat.S_IFMT(status.st_mode), status.st_size, status.st_mtime_ns)
