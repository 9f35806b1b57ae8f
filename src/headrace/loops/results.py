"""What comes back to the program: reports until they are settled, results, what was added up, and how jobs end."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from headrace.config import MS, DataConfig
from headrace.execute.chunks import Corrupt, split_frames
from headrace.ids import AttemptId, HostId, JobId, StageId
from headrace.loops.data import BlocksLost, DataPlane
from headrace.loops.jobs import FailedAttempt, JobHandle, Raised, failure_of
from headrace.loops.samples import Samples
from headrace.ports import Clock, Files
from headrace.protocols import schedule_words as words
from headrace.protocols.fetch import Block
from headrace.protocols.messages import Report
from headrace.store.layout import CAPSULE, Layout, result_name
from headrace.store.mapoutput import read_range

FETCH_BYTES = 16 << 20  # on its way of one result
BRING_NS = 5000 * MS  # that a job's failure waits for the input of an attempt, which only `headrace replay` needs
LOST = "it was lost with its host. Run the job again"
LEFT_BEHIND = "the context was closed before its host had sent it. Run the job again"
SILENT = f"its host did not send it within {BRING_NS // 1000 // MS} s. Run the job again"
LEFT_NOTHING = "it went with its process, before its input could be saved. Look at what it printed"


class _Bringing(Struct):
    """A job that has failed, but for the input of an attempt that is still brought from another host."""

    handle: JobHandle
    attempt: AttemptId
    fetch: str
    until_ns: int


class Results:
    """The jobs that are waited for, and what their attempts brought.

    Args:
        near: hosts whose files may be opened here; results of others are pulled.
        schedule: tells the schedule machine what became of a result.
        free: has a host forget a block that was read.
        samples: tasks that are to be verified; the end of a job waits for what was saved of them.

    """

    def __init__(
        self,
        clock: Clock,
        files: Files,
        layout: Layout,
        data: DataConfig,
        near: frozenset[HostId],
        plane: DataPlane,
        schedule: Callable[[words.Event], None],
        free: Callable[[HostId, str], None],
        samples: Samples,
    ) -> None:
        self._clock, self._files, self._layout, self._data, self._near = clock, files, layout, data, near
        self._plane, self._schedule, self._free, self._samples = plane, schedule, free, samples
        self._handles: dict[JobId, JobHandle] = {}
        self._ending: list[JobHandle] = []  # of jobs that have ended, some of whose attempts perhaps have not
        self._reports: dict[
            AttemptId, tuple[Report, HostId]
        ] = {}  # those that wait for a verdict, and whence they came
        self._errors: dict[AttemptId, Raised] = {}
        self._bringing: dict[JobId, _Bringing] = {}
        self._closed = False

    @property
    def jobs(self) -> list[JobId]:
        """The jobs that have not ended."""
        return sorted(self._handles)

    def expect(self, handle: JobHandle) -> None:
        """A job begins; its handle tells what becomes of it."""
        self._handles[handle.request.id] = handle

    # What attempts report.

    def reported(self, attempt: AttemptId, report: Report, host: HostId) -> None:
        """An attempt is done, if its output counts."""
        self._reports.setdefault(attempt, (report, host))

    def raised(self, attempt: AttemptId, raised: Raised) -> None:
        """An attempt has failed."""
        self._errors[attempt] = raised

    def settled(self, attempt: AttemptId) -> None:
        """It is decided whether an attempt's output counts."""
        self._reports.pop(attempt, None)

    # What counts.

    def deliver(self, effect: words.Deliver) -> None:
        """Bring a result to the job that waits for it."""
        handle = self._handles.get(effect.job)
        if handle is None:
            return
        report, host = self._reports[effect.attempt]
        handle.winners[effect.task.partition] = effect.attempt
        if effect.inline:
            handle.results[effect.task.partition] = [report.result] if report.result else []
            handle.news.set()
        elif host in self._near:
            self._delivered(effect, host, self._read(self._layout.path(host, result_name(effect.attempt))))
        else:
            block = Block(result_name(effect.attempt), -1, host)
            self._plane.gather(block, FETCH_BYTES, lambda pieces: self._delivered(effect, host, pieces))

    def _read(self, path: str) -> list[bytes] | BlocksLost:
        try:
            file = self._files.open(path)
            try:
                return list(read_range(file, 0, file.size, self._data.piece_bytes))
            finally:
                file.close()
        except OSError as error:
            return BlocksLost((0,), f"{path}: {error}")

    def _delivered(self, effect: words.Deliver, host: HostId, pieces: list[bytes] | BlocksLost) -> None:
        now = self._clock.now_ns()
        if not isinstance(pieces, BlocksLost) and not _is_sound(pieces):
            pieces = BlocksLost((0,), f"{result_name(effect.attempt)} on host {host} is damaged")
        if isinstance(pieces, BlocksLost):
            self._schedule(words.ResultLost(effect.task, effect.attempt, pieces.why, now))
            self._free(host, result_name(effect.attempt))  # it may be there, where it cannot be read for now
            return
        handle = self._handles.get(effect.job)
        if handle is not None:
            handle.results[effect.task.partition] = pieces
            handle.news.set()
        self._schedule(words.ResultDelivered(effect.task, effect.attempt, now))
        self._free(host, result_name(effect.attempt))

    def count_updates(self, effect: words.CountUpdates) -> None:
        """Keep an attempt's contributions to accumulators for the job that adds them up."""
        handle = self._handles.get(effect.job)
        if handle is not None:
            handle.updates.append(self._reports[effect.attempt][0].updates)

    # How jobs end.

    def finish(self, effect: words.FinishJob) -> None:
        """A job has all that it wants."""
        handle = self._handles.pop(effect.job, None)
        if handle is not None:
            self._samples.when_here(effect.job, lambda: self._conclude(handle))

    def fail(self, effect: words.FailJob) -> None:
        """A job will not get what it wants."""
        handle = self._handles.pop(effect.job, None)
        if handle is not None:
            self._samples.forget(effect.job)
            raised = self._errors.get(effect.last) if effect.last is not None else None
            handle.failure = failure_of(effect, handle.request.name, raised)
            if effect.last is None:
                self._conclude(handle)
            elif raised is None:
                handle.failed = FailedAttempt(effect.last, "", LEFT_NOTHING)
                self._conclude(handle)
            else:
                self._bring_input(handle, effect.last, raised)

    def _bring_input(self, handle: JobHandle, attempt: AttemptId, raised: Raised) -> None:
        """End a failed job when what was saved of its last attempt's input is where the program can have it."""
        name = str(raised.what.get("capsule", ""))
        if not CAPSULE.fullmatch(name):
            handle.failed = FailedAttempt(attempt, "", str(raised.what.get("unsaved", "")))
            self._conclude(handle)
        elif raised.host in self._near:
            handle.failed = FailedAttempt(attempt, name, "", self._layout.path(raised.host, name))
            self._conclude(handle)
        elif self._closed:
            handle.failed = FailedAttempt(attempt, "", LEFT_BEHIND)
            self._conclude(handle)
        else:
            job = handle.request.id

            def brought(pieces: list[bytes] | BlocksLost) -> None:
                if isinstance(pieces, BlocksLost):
                    self._brought(job, FailedAttempt(attempt, "", LOST))
                else:
                    self._brought(job, FailedAttempt(attempt, name, "", pieces=tuple(pieces)))

            fetch = self._plane.gather(Block(name, -1, raised.host), FETCH_BYTES, brought)
            self._bringing[job] = _Bringing(handle, attempt, fetch, self._clock.now_ns() + BRING_NS)

    def _brought(self, job: JobId, failed: FailedAttempt) -> None:
        bringing = self._bringing.pop(job, None)
        if bringing is not None:
            bringing.handle.failed = failed
            self._conclude(bringing.handle)

    def _give_up(self, job: JobId, why: str) -> None:
        bringing = self._bringing[job]
        self._plane.end(bringing.fetch)
        self._brought(job, FailedAttempt(bringing.attempt, "", why))

    def tick(self, now_ns: int) -> None:
        """Wait no longer for what is not brought in time."""
        for job in [job for job, bringing in self._bringing.items() if now_ns >= bringing.until_ns]:
            self._give_up(job, SILENT)
        self._samples.tick(now_ns)

    def close(self) -> None:
        """Nothing more is brought."""
        self._closed = True
        for job in list(self._bringing):
            self._give_up(job, LEFT_BEHIND)
        self._samples.close()

    def _conclude(self, handle: JobHandle) -> None:
        self._ending.append(handle)
        if not self._handles:
            self._errors.clear()  # nobody is left to be told
        handle.ended.set()
        handle.news.set()

    def rest(self, stages: Callable[[], Iterable[StageId]]) -> None:
        """Say of jobs that have ended that none of their attempts runs any more, once that is so.

        Args:
            stages: tells which stages have attempts that run; asked only where a job has ended.

        """
        if not self._ending:
            return
        busy = set(stages())
        for handle in [handle for handle in self._ending if handle.request.stages[-1].spec.id not in busy]:
            self._ending.remove(handle)
            handle.quiet.set()


def _is_sound(pieces: list[bytes]) -> bool:
    """Whether a result is what was written: while it can still be computed again."""
    try:
        for _ in split_frames(pieces):
            pass
    except Corrupt:
        return False
    return True
