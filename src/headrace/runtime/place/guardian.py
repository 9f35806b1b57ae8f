"""Ends what workers have started, should the program die without having done so.

The kernel ends the workers themselves with their program, at once, whatever they are doing; but not what user code has
started in their process groups.  For that a shell waits at the end of a pipe, whose other end closes however the program
dies, and is told which groups there are.
"""

from __future__ import annotations

import contextlib
import subprocess

SHELL = "/bin/sh"
SCRIPT = """
while read -r change group; do
    others=
    for known in $groups; do
        [ "$known" = "$group" ] || others="$others $known"
    done
    groups=$others
    [ "$change" = begun ] && groups="$groups $group"
done
for group in $groups; do
    kill -9 "-$group" 2>/dev/null
done
"""


class Guardian:
    """Started with the first group; without a shell there is none."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def begun(self, group: int) -> None:
        """There is one more process group."""
        if self._process is None:
            with contextlib.suppress(OSError):
                self._process = subprocess.Popen(
                    [SHELL, "-c", SCRIPT, "headrace-guardian"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    bufsize=0,
                    cwd="/",
                    process_group=0,
                )
        self._tell("begun", group)

    def ended(self, group: int) -> None:
        """A group has been ended; its number may become somebody else's."""
        self._tell("ended", group)

    def _tell(self, change: str, group: int) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):  # somebody has killed it
                self._process.stdin.write(f"{change} {group}\n".encode())

    def dismiss(self) -> None:
        """There is nothing left to guard."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None
