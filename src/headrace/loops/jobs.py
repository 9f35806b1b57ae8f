"""A job as the program sees it: what is asked of the controller, and the handle through which the answer comes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct, field

from headrace.errors import (
    HeadraceError,
    JobCancelled,
    JobFailed,
    ResultTooLarge,
    TaskFailed,
    TaskLost,
    TaskTimedOut,
    WorkersUnavailable,
    WorldError,
)
from headrace.execute.chunks import loads, split_frames
from headrace.ids import AttemptId, Digest, HostId, JobId, StageId
from headrace.plan.operators import Edge, Operator
from headrace.plan.stages import StageSpec
from headrace.ports import Flag
from headrace.protocols.schedule_words import FailJob
from headrace.store.layout import HOME

MESSAGE_BLOB_BYTES = 1 << 20  # code larger than this goes through the program's store, not through a message


class StageCode(Struct, frozen=True):
    """What a worker is sent for a stage.

    Attributes:
        properties: local properties of the job that brought the stage.
        shipped: which of the blobs lists what was shipped; empty if nothing was.

    """

    spec: StageSpec
    program: Digest
    blobs: tuple[Digest, ...]
    reads: tuple[StageId, ...]
    properties: tuple[tuple[str, str], ...] = ()
    shipped: Digest = Digest("")


class JobRequest(Struct, frozen=True):
    """An action, ready to be run.

    Attributes:
        blobs: all code that it needs, by digest; empty where it is too large for a message and in the program's store.
        keep: what must not be collected while the job runs: each operator of its stages, with its edges as they were when
            the job was planned; the one that it computes comes last.
        task_timeout_ns: how long an attempt may take, 0: as long as it will; None: what the settings say.

    """

    id: JobId
    name: str
    site: str
    stages: tuple[StageCode, ...]
    blobs: dict[Digest, bytes]
    wanted: tuple[int, ...]
    keep: Sequence[tuple[Operator, tuple[Edge, ...]]]
    task_timeout_ns: int | None = None


class FailedAttempt(Struct, frozen=True):
    """The attempt that a job ended with, and what was saved of its input.

    Attributes:
        capsule: the name of the file that has it, empty if it was not saved; `why` says why.
        pieces: what is in that file; empty if the program may open it where it lies, at `path`.

    """

    attempt: AttemptId
    capsule: str
    why: str
    path: str = ""
    pieces: tuple[bytes, ...] = ()


class JobHandle(Struct, weakref=True):
    """A job that was submitted.

    Attributes:
        results: for each delivered partition, its frames, in pieces.
        winners: for each delivered partition, the attempt whose output counts.
        updates: contributions to accumulators, pickled, each to be added once.
        ended: set when the job has finished or failed.
        news: set whenever a partition is delivered, and when the job ends.
        failed: the attempt that it ended with, if it ended with one.
        quiet: set when, after that, no attempt at its result runs any more, so that nobody writes what it was to write.

    """

    request: JobRequest
    ended: Flag
    news: Flag
    quiet: Flag
    results: dict[int, list[bytes]] = field(default_factory=dict)
    winners: dict[int, AttemptId] = field(default_factory=dict)
    updates: list[bytes] = field(default_factory=list)
    failure: HeadraceError | None = None
    failed: FailedAttempt | None = None

    def values(self, partition: int) -> Iterator[Any]:
        """Give the chunks of a delivered partition, and forget them."""
        for frame in split_frames(self.results.pop(partition)):
            yield frame.load()


class Raised(Struct, frozen=True):
    """What an attempt raised, as its report told."""

    what: dict[str, Any]
    pickled: bytes
    worker: str
    host: HostId = HOME

    @property
    def summary(self) -> str:
        """One line."""
        return str(self.what.get("summary", "?"))


def read_raised(error: bytes, pickled: bytes, worker: str, host: HostId = HOME) -> Raised:
    """Read the error of a report."""
    try:
        what = json.loads(error)
    except ValueError:
        what = None
    return Raised(
        what if isinstance(what, dict) else {"summary": "an error that could not be told"}, pickled, worker, host
    )


def failure_of(effect: FailJob, name: str, raised: Raised | None) -> HeadraceError:
    """Build the exception for a failed job: the user's own frames first, then what became of the attempts."""
    job = int(effect.job)
    if effect.kind == "cancelled":
        return JobCancelled(f"job {job} ({name}) was cancelled: {effect.why}", job=job)
    if effect.kind == "too large":
        return ResultTooLarge(
            f"job {job} ({name}) was stopped: {effect.why}. Take or aggregate fewer records, write them with "
            "save_as_text_file, or raise max_result= in the address.",
            job=job,
        )
    if effect.kind == "no workers":
        failed = JobFailed(
            f"job {job} ({name}) cannot run: no worker can be started: {effect.why.rstrip('.')}. Look at what the workers "
            "printed above, and at the memory and process limits.",
            job=job,
        )
        failed.__cause__ = WorkersUnavailable(effect.why)
        return failed
    lines = [f"\n{raised.what['text']}\n"] if raised is not None and raised.what.get("text") else []
    lines.append(f"job {job} ({name}): {effect.why}.")
    lines += [f"  {line}" for line in effect.history[-8:]]
    cause = _cause(raised)
    if effect.kind == "lost":
        advice = "Its worker was killed again and again: look for memory limits, or give each worker more with memory=."
    elif effect.kind == "timed out":
        advice = (
            "Have each task do less, in more partitions; mend the function if it hangs; or give it more time, with "
            "task_timeout= or ctx.set_task_timeout."
        )
    elif raised is None:
        advice = "The function ends or crashes its process: run it alone, or under inline://, to see where."
    elif isinstance(cause, WorldError):
        advice = f"The function is not to blame: do what is said above, and run it again; that was on {raised.worker}."
    else:
        advice = f"Mend the function and run it again; the last error came from {raised.worker}."
    kinds: dict[str, type[JobFailed]] = {"lost": TaskLost, "timed out": TaskTimedOut}
    error = kinds.get(effect.kind, TaskFailed)("\n".join([*lines, advice]), job=job, history=effect.history)
    error.__cause__ = cause
    return error


def _cause(raised: Raised | None) -> BaseException | None:
    """Return what an attempt raised, if it could travel."""
    if raised is None or not raised.pickled:
        return None
    try:
        cause = loads(raised.pickled)
    except Exception:  # a user's __reduce__ may do anything
        return None
    return cause if isinstance(cause, BaseException) else None
