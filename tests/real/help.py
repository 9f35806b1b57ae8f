"""What the tests of real processes share: waiting for conditions, looking at processes, running programs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from headrace.observe.stories import find, read

T = TypeVar("T")
MARK = "HEADRACE_TEST_MARK"  # everything that a program starts inherits it, so that nothing can hide
PATIENCE = 60.0  # seconds: far more than anything takes, for machines that are busy


def until(look: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """Wait until a look returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.005)


def told(run: str) -> list[dict[str, Any]]:
    """Return the lines of a run's story."""
    return list(read(find(run)))


def lines_of(run: str, what: str) -> list[dict[str, Any]]:
    """Return the lines of one kind of a run's story."""
    return [line for line in told(run) if line["what"] == what]


def process_state(pid: int) -> str:
    """Return the kernel's letter for what a process is doing; "" if it is gone or only waits to be buried."""
    try:
        letter = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
    return "" if letter in "ZX" else letter


def command(pid: int) -> list[str]:
    """Return the command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def marked(mark: str) -> set[int]:
    """Return the processes that live and whose environment has a mark."""
    wanted = f"{MARK}={mark}".encode()
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                environment = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if wanted in environment and process_state(int(entry)):
                found.add(int(entry))
    return found


def children(pid: int | None = None) -> set[int]:
    """Return the direct children of a process, dead ones that nobody has buried too."""
    wanted = os.getpid() if pid is None else pid
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == wanted:
                found.add(int(entry))
    return found


def run_folders(lair: Path) -> list[Path]:
    """Return the folders of the runs below a `dir=`."""
    return sorted(path for path in lair.glob("headrace-*/*") if path.is_dir())


def files_under(folder: Path) -> list[str]:
    """Return all files under a folder, which may vanish meanwhile."""
    return sorted(os.path.join(path, name) for path, _, names in os.walk(folder) for name in names)


class Program:
    """A Python program in a process of its own; whatever it starts can be found by its mark.

    Args:
        lair: where its runs keep their temporary data.
        url: what `connect()` takes in it, without `dir=`.

    """

    def __init__(
        self,
        arguments: list[str],
        lair: Path,
        url: str = "local://?workers=2",
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        text: str | None = None,
    ) -> None:
        self.mark, self.lair = uuid.uuid4().hex, lair
        joint = "&" if "?" in url else "?"
        environment = {
            **os.environ,
            MARK: self.mark,
            "HEADRACE_URL": f"{url}{joint}dir={lair}",
            "PYTHONFAULTHANDLER": "1",
            **(env or {}),
        }
        self.process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE if text is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=cwd,
            bufsize=0,  # or lines that came together with the one that was read would be lost to `communicate`
            start_new_session=True,
        )
        self._text = text.encode() if text is not None else None
        self.out = self.err = ""

    @classmethod
    def script(cls, source: str, lair: Path, *arguments: str, url: str = "local://?workers=2", **more: Any) -> Program:
        """Write a script and start it."""
        path = write(lair, "script.py", source)
        return cls([sys.executable, str(path), *arguments], lair, url, **more)

    def line(self) -> str:
        """Wait for the next line that it prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode().rstrip("\n")
        self.out += f"{line}\n"
        if not line and self.process.poll() is not None:
            self.end()
            raise AssertionError(f"it ended with {self.process.returncode}: {self.out}\n{self.err}")
        return line

    def wait_for(self, line: str) -> None:
        """Wait until it prints a line."""
        while self.line() != line:
            pass

    def send(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self, seconds: float = PATIENCE) -> int:
        """Wait for its end; return its exit status."""
        try:
            out, err = self.process.communicate(self._text, timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # faulthandler says where it hangs
            out, err = self.process.communicate()
            raise AssertionError(f"it hangs: {out.decode()}\n{err.decode()}") from None
        self.out, self.err = self.out + out.decode(errors="replace"), err.decode(errors="replace")
        return self.process.returncode

    def ok(self) -> str:
        """Wait for a good end; return what it printed."""
        status = self.end()
        assert status == 0, f"exit status {status}\n{self.out}\n{self.err}"
        return self.out

    def left(self) -> set[int]:
        """Return the processes of it that live."""
        return marked(self.mark)

    def leaves_no_process(self) -> None:
        """Check that nothing of it is left after a moment."""
        until(lambda: not self.left(), f"of {self.mark} there are still {[command(pid) for pid in self.left()]}")

    def leaves_nothing(self) -> None:
        """Check that neither process nor file is left."""
        self.leaves_no_process()
        assert run_folders(self.lair) == []


def write(folder: Path, name: str, source: str) -> Path:
    """Write a file of source code."""
    path = folder / name
    path.write_text(textwrap.dedent(source))
    return path


def files_below(folder: str | os.PathLike[str]) -> list[str]:
    """List the files in a folder and all below it; others may remove some while they are being listed."""
    return [os.path.join(here, name) for here, _, names in os.walk(folder) for name in names]
