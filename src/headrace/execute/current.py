"""What user code inside a task can reach without being handed it: the task itself, its accumulators, broadcast values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field

from headrace.ids import AttemptId, TaskId
from headrace.ports import TaskPort

NO_PROPERTIES: Mapping[str, str] = MappingProxyType({})


class Current(Struct):
    """The attempt that this thread is running.

    Attributes:
        number: which try of its task it is, from 0 on.
        partitions: of its stage.
        properties: local properties of the job.
        folder: where what was shipped lies; empty if nothing was.
        updates: what it has added to accumulators, by their number.

    """

    port: TaskPort
    task: TaskId
    attempt: AttemptId
    number: int = 0
    partitions: int = 1
    properties: Mapping[str, str] = NO_PROPERTIES
    folder: str = ""
    updates: dict[int, Any] = field(default_factory=dict)


_current: ContextVar[Current | None] = ContextVar("headrace_current", default=None)
_process: list[Current | None] | None = None  # what a worker process runs, where there is nothing else in it


def take_process() -> None:
    """Say that all threads of this process belong to the attempt that it runs: those that user code starts, too."""
    global _process
    _process = [None]


def current() -> Current | None:
    """Return the attempt that this thread is running, or works for; None in the user's program."""
    task = _current.get()
    return task if task is not None or _process is None else _process[0]


@contextmanager
def running(task: Current) -> Iterator[None]:
    """Make an attempt this thread's own while the block runs."""
    before = _current.get()
    _current.set(task)
    if _process is not None:
        _process[0] = task
    try:
        yield
    finally:
        _current.set(before)
        if _process is not None:
            _process[0] = None
