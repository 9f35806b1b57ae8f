"""Workers as the program sees them, and what is said of them when they die."""

from __future__ import annotations

import errno
import signal

from msgspec import Struct, field

from headrace.errors import DiskFull
from headrace.ids import AttemptId, HostId, TaskId, WorkerId
from headrace.ports import Exit, Peer

OWN_DOING = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE}
PASSING = {errno.EAGAIN, errno.ENOMEM, errno.ENOSPC, errno.EIO}  # why a start may fail for now


class Member(Struct):
    """A worker as the program sees it."""

    id: WorkerId
    host: HostId
    pid: int = 0
    peer: Peer | None = None
    address: str = ""
    memory_bytes: int = 0
    ready: bool = False
    suspected: bool = False
    held: list[AttemptId] = field(default_factory=list)  # attempts, in the order in which it runs them

    @property
    def running(self) -> AttemptId | None:
        """The attempt that it is at, as far as reports tell."""
        return self.held[0] if self.held else None


def is_own_doing(exit_: Exit) -> bool:
    """Whether a process brought its end upon itself: it exited, or died of a signal that only bugs cause."""
    return exit_.code is not None or exit_.signal in OWN_DOING


def may_pass(error: BaseException) -> bool:
    """Whether a process that could not be started for this reason may be startable soon."""
    return isinstance(error, DiskFull) or getattr(error, "errno", None) in PASSING


def epitaph(worker: WorkerId, pid: int, exit_: Exit, task: TaskId | None) -> str:
    """Say in words how a worker ended: what it did, what the kernel says, what it printed."""
    if exit_.code is not None:
        how = f"exited with status {exit_.code}"
    elif exit_.asked:
        how = "was ended by headrace"
    elif exit_.signal is not None:
        how = f"was ended by {signal_name(exit_.signal)}"
    else:
        how = "ended, nobody can tell how: the program ignores SIGCHLD, or waits for children that are not its own"
    number = f" (pid {pid})" if pid else ""
    where = f" in task {task} ({exit_.phase})" if task is not None else ""
    notes = "".join(f"; {note}" for note in exit_.notes)
    log = "".join(f"\n      | {line}" for line in exit_.log)
    return f"{worker}{number} {how}{where}{notes}{f'; it last printed:{log}' if log else ''}"


def signal_name(number: int) -> str:
    """Name a signal.

    >>> signal_name(9), signal_name(250)
    ('SIGKILL', 'signal 250')
    """
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
