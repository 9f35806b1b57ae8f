"""The program's side of verifying: what workers have saved of tasks that were drawn is brought here, for whoever runs it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from headrace.config import SECOND
from headrace.ids import AttemptId, HostId, JobId, TaskId
from headrace.loops.data import BlocksLost, DataPlane
from headrace.loops.freeing import Freeing
from headrace.loops.verifying import Sample
from headrace.ports import Clock, Files
from headrace.protocols.fetch import Block
from headrace.protocols.messages import Report
from headrace.store.layout import HOME, SAMPLED, Layout
from headrace.store.mapoutput import read_range

FETCH_BYTES = 16 << 20  # on its way of one capsule
PIECE = 1 << 20
BRING_NS = 5 * SECOND  # that the end of a job waits for what is still brought from other hosts
LOST = "what it was given was lost with its host"
SILENT = "what it was given did not come in time"


class Drawn(Struct, frozen=True):
    """A task that is to be verified.

    Attributes:
        worker: where it ran; `ran_ns`: for how long.
        output: a digest of what came out of it.
        path: of the file that has what it was given, or `pieces` of what would be in it; `why` there is neither.

    """

    job: JobId
    task: TaskId
    attempt: AttemptId
    worker: str
    ran_ns: int
    output: str
    path: str = ""
    pieces: tuple[bytes, ...] = ()
    why: str = ""


class _Coming(Struct):
    drawn: Drawn
    fetch: str
    until_ns: int


class Samples:
    """What workers have told of tasks that were drawn.

    Args:
        near: hosts whose files may be opened here.
        real: whether they are files of the machine, which others can open.

    Attributes:
        take: is given each task, from within the loop; without it, none is wanted.

    """

    def __init__(
        self,
        clock: Clock,
        files: Files,
        layout: Layout,
        near: frozenset[HostId],
        plane: DataPlane,
        freeing: Freeing,
        *,
        real: bool,
    ) -> None:
        self._clock, self._files, self._layout, self._near = clock, files, layout, near
        self._plane, self._freeing, self._real = plane, freeing, real
        self.take: Callable[[Drawn], None] | None = None
        self._told: dict[JobId, set[TaskId]] = {}  # the tasks that were drawn, of jobs that have not ended
        self._coming: dict[AttemptId, _Coming] = {}
        self._waiting: dict[JobId, Callable[[], None]] = {}

    def reported(self, attempt: AttemptId, task: TaskId, worker: str, host: HostId, report: Report) -> None:
        """An attempt is done whose task was drawn; said again, or of a copy, it is dropped."""
        try:
            sample = msgspec.json.decode(report.sample, type=Sample)
        except msgspec.MsgspecError:
            return
        job = JobId(sample.job)
        told = self._told.setdefault(job, set())
        if self.take is None or task in told:
            if SAMPLED.fullmatch(sample.capsule) and attempt not in self._coming:
                self._freeing.on(host, sample.capsule)
            return
        told.add(task)
        drawn = Drawn(job, task, attempt, worker, report.ran_ns, sample.output, why=sample.why)
        if not SAMPLED.fullmatch(sample.capsule):
            self.take(drawn)
        elif host in self._near:
            self.take(self._here(drawn, self._layout.path(host, sample.capsule)))
        else:
            name = sample.capsule
            fetch = self._plane.gather(
                Block(name, -1, host), FETCH_BYTES, lambda pieces: self._brought(attempt, host, name, pieces)
            )
            self._coming[attempt] = _Coming(drawn, fetch, self._clock.now_ns() + BRING_NS)

    def _here(self, drawn: Drawn, path: str) -> Drawn:
        """Take a capsule that lies where the program may open it away from its worker's host."""
        try:
            if self._real:
                mine = self._layout.path(HOME, f"sampled-{drawn.attempt}")
                self._files.rename(path, mine)
                return replace(drawn, path=mine)
            file = self._files.open(path)
            try:
                pieces = tuple(read_range(file, 0, file.size, PIECE))
            finally:
                file.close()
            self._files.remove(path)
            return replace(drawn, pieces=pieces)
        except OSError as error:
            return replace(drawn, why=f"what it was given cannot be read ({error.strerror or error})")

    def _brought(self, attempt: AttemptId, host: HostId, name: str, pieces: list[bytes] | BlocksLost) -> None:
        coming = self._coming.pop(attempt, None)
        if coming is None:
            return
        self._freeing.on(host, name)
        if isinstance(pieces, BlocksLost):
            self._arrived(replace(coming.drawn, why=LOST))
        else:
            self._arrived(replace(coming.drawn, pieces=tuple(pieces)))

    def _arrived(self, drawn: Drawn) -> None:
        if self.take is not None:
            self.take(drawn)
        if drawn.job in self._waiting and not self._is_coming(drawn.job):
            self._waiting.pop(drawn.job)()

    def _is_coming(self, job: JobId) -> bool:
        return any(coming.drawn.job == job for coming in self._coming.values())

    def when_here(self, job: JobId, then: Callable[[], None]) -> None:
        """Have something happen when all that was saved for a job is here, or its time is up."""
        self._told.pop(job, None)
        if self._is_coming(job):
            self._waiting[job] = then
        else:
            then()

    def forget(self, job: JobId) -> None:
        """A job has failed: nothing of it need be verified."""
        self._told.pop(job, None)

    def tick(self, now_ns: int) -> None:
        """Wait no longer for what is not brought in time."""
        for attempt in [one for one, coming in self._coming.items() if now_ns >= coming.until_ns]:
            self._give_up(attempt)

    def close(self) -> None:
        """Nothing more is brought."""
        for attempt in list(self._coming):
            self._give_up(attempt)

    def _give_up(self, attempt: AttemptId) -> None:
        coming = self._coming.pop(attempt)
        self._plane.end(coming.fetch)
        self._arrived(replace(coming.drawn, why=SILENT))
