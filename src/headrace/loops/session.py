"""What the doors see of a run, wherever it takes place: jobs go in, and waiting for them works."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from msgspec import Struct

from headrace.config import Config
from headrace.ids import Digest, HostId, JobId, OperatorId, RunId, StageId, WorkerId
from headrace.loops.controller import Controller
from headrace.loops.jobs import JobHandle, JobRequest, StageCode
from headrace.plan.levels import StorageLevel
from headrace.ports import Files, Flag


class WorkerInfo(Struct, frozen=True):
    """A worker, as of the moment of asking.

    Attributes:
        state: "starting", "idle", "running" or "suspected".
        task: what it runs, such as ``3.5``, or None.
        memory: resident and anonymous, in bytes, when last heard.

    """

    id: WorkerId
    pid: int
    host: HostId
    state: str
    task: str | None
    memory: int


class Session(Protocol):
    """One run."""

    run: RunId
    config: Config
    files: Files
    depot: str  # the program's own folder of what is shipped
    controller: Controller

    def now_ns(self) -> int:
        """Return the time of the world that the run is in."""
        ...

    def about(self) -> dict[str, Any]:
        """Return what its story should begin with, beside the settings."""
        ...

    def summary(self) -> dict[str, Any]:
        """Return what its story should end with, beside the totals."""
        ...

    def submit(self, request: JobRequest) -> JobHandle:
        """Have a job run."""
        ...

    def wait(self, flag: Flag) -> None:
        """Sleep until something has happened; the program blocks here, and below, and nowhere else."""
        ...

    def wait_until(self, flag: Flag, until_ns: int) -> bool:
        """Sleep until something has happened, or `now_ns` has come so far; return whether it has happened."""
        ...

    def cancel(self, job: JobId, because: str) -> None:
        """Have a job end."""
        ...

    def provide(self, name: str, pieces: Iterable[bytes]) -> None:
        """Put a block into the program's own store."""
        ...

    def withdraw(self, name: str) -> None:
        """Remove a block from the program's own store, and from the workers' memories."""
        ...

    def unload(self, name: str) -> None:
        """Have the workers let go of a block of the program's own store; they read it again when they need it."""
        ...

    def replan(self, codes: tuple[StageCode, ...], blobs: dict[Digest, bytes]) -> None:
        """Have stages run other code from now on, as far as they are alive."""
        ...

    def release(self, stage: StageId) -> None:
        """No dataset refers to a shuffle any more."""
        ...

    def forget(self, operator: OperatorId | None, names: tuple[str, ...] = ()) -> None:
        """Nothing refers any more to a dataset that is kept, or to blocks of the program's own store.

        As `release`, it is called whenever garbage is collected, in any thread.
        """
        ...

    def kept(self, operator: OperatorId, partitions: int) -> frozenset[int]:
        """Return which partitions of a dataset some worker keeps."""
        ...

    def keep(self, operator: OperatorId, level: StorageLevel) -> None:
        """A dataset is to be kept by the workers."""
        ...

    def uncache(self, operator: OperatorId) -> None:
        """A dataset is not to be kept any more."""
        ...

    def share_main(self, digest: Digest, blob: bytes) -> None:
        """Have classes of `__main__` installed wherever a job runs."""
        ...

    def finished(self) -> frozenset[StageId]:
        """Return the shuffles that are complete."""
        ...

    def workers(self) -> tuple[WorkerInfo, ...]:
        """Return the workers that live."""
        ...

    def kill_worker(self, worker: WorkerId) -> None:
        """End a worker's process, as a disaster would."""
        ...

    def kill_host(self, host: HostId) -> None:
        """Lose a host with its disk, as a disaster would."""
        ...

    def close(self) -> None:
        """End the run: no process and no temporary file is left."""
        ...


def kept_of(controller: Controller, operator: OperatorId, partitions: int) -> frozenset[int]:
    """List the partitions of a dataset that some worker keeps, from any thread."""
    keepers = controller.scheduler.lineage.keepers
    return frozenset(partition for partition in range(partitions) if keepers(operator, partition))


def snapshot(controller: Controller) -> tuple[WorkerInfo, ...]:
    """List the workers that live, from any thread."""
    found = []
    for member in list(controller.members.values()):
        pid = controller.ports.place.pid(member.id)
        if pid is None:
            continue
        attempt = controller.scheduler.attempts.get(member.running) if member.running else None
        if member.suspected:
            state = "suspected"
        elif not member.ready:
            state = "starting"
        else:
            state = "running" if attempt is not None else "idle"
        task = str(attempt.task) if attempt is not None else None
        found.append(WorkerInfo(member.id, pid, member.host, state, task, member.memory_bytes))
    return tuple(found)
