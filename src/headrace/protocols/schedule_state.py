"""Where the schedule machine (`schedule`) stands: the attempts, jobs and results that have not come to their end."""

from __future__ import annotations

from msgspec import Struct, field

from headrace.ids import AttemptId, HostId, TaskId, WorkerId


class Attempt(Struct):
    """A claim that has not ended.

    Attributes:
        ran_ns, progress, heard_ns: as last heard; 0 before it is known to have begun.
        cancelled_ns: when we asked it to stop.
        doomed: its host's disk is gone, so nothing it writes can be read.

    """

    task: TaskId
    worker: WorkerId
    host: HostId
    copy: bool
    ran_ns: int = 0
    progress: int = 0
    heard_ns: int = 0
    cancelled_ns: int | None = None
    doomed: bool = False


class Job(Struct):
    """An action that has not ended."""

    result_bytes: int = 0
    counted: set[TaskId] = field(default_factory=set)  # tasks whose contributions to accumulators were added


class Delivery(Struct, frozen=True):
    """A committed result on its way to the program."""

    attempt: AttemptId
    size: int
