"""What user code inside a task can reach without being handed it: the task itself, its accumulators, broadcast values."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import Struct, field

from headrace.ids import AttemptId, TaskId
from headrace.ports import TaskPort


class Current(Struct):
    """The attempt that this thread is running.

    Attributes:
        updates: what it has added to accumulators, by their number.

    """

    port: TaskPort
    task: TaskId
    attempt: AttemptId
    updates: dict[int, Any] = field(default_factory=dict)


_local = threading.local()


def current() -> Current | None:
    """Return the attempt that this thread is running; None in the user's program."""
    return getattr(_local, "task", None)


@contextmanager
def running(task: Current) -> Iterator[None]:
    """Make an attempt this thread's own while the block runs."""
    before = current()
    _local.task = task
    try:
        yield
    finally:
        _local.task = before
