"""How a child's end is noticed and taken: without taking its number first, where the system can do that.

Until its status is taken, a dead child's number is nobody else's: time enough to end the process group that bears it.
Systems without `waitid` give number and status back at once; there, the number is a stranger's only if it is used again
within microseconds.
"""

from __future__ import annotations

import os
import subprocess

CAN_PEEK = hasattr(os, "waitid")


def pidfd(pid: int) -> int:
    """Open what becomes readable when a process ends; -1 where there is no such thing."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def wait(process: subprocess.Popen[bytes]) -> None:
    """Return once a child has ended."""
    if not CAN_PEEK:
        process.wait()
        return
    try:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:
        pass  # somebody else's `wait` has taken its status


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a child has ended, as of this moment."""
    if not CAN_PEEK:
        return process.poll() is not None
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def take(process: subprocess.Popen[bytes]) -> tuple[int | None, int | None]:
    """Take a dead child's status: exit code or signal; neither if somebody else's `wait` has taken it."""
    if not CAN_PEEK:
        status = process.wait()
        return (status, None) if status >= 0 else (None, -status)
    try:
        found = os.waitid(os.P_PID, process.pid, os.WEXITED)
    except ChildProcessError:
        found = None
    if found is None:
        process.returncode = 0
        return None, None
    if found.si_code == os.CLD_EXITED:
        process.returncode = found.si_status
        return found.si_status, None
    process.returncode = -found.si_status
    return None, found.si_status
