"""What a worker saves of an attempt that failed: all that it was given, for `headrace replay`; and of some that did not.

While an attempt runs, its port only notes what it asks for.  When the attempt has failed, everything is read once more,
which gives the same; so attempts that go well cost nothing.  Those that fail are told all the same, and soon: what is saved
is bounded in bytes and in time.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from headrace.ids import AttemptId, Digest, OperatorId, TaskId
from headrace.loops.body import BodyPort, Machinery
from headrace.loops.noting import MEETINGS_BYTES_MAX, Asked
from headrace.ports import Bytes, Files
from headrace.store.capsules import PIECE, CacheAsked, CapsuleWriter, FileRead, Index, PartsRead, Place, TooLarge
from headrace.store.layout import CODE, capsule_name, sampled_name
from headrace.store.mapoutput import read_range

Add = Callable[[Iterable[Bytes]], Place]  # puts data into a capsule
SECONDS = 5  # that saving may take: who waits for the job waits for it


class Attempted(Struct, frozen=True):
    """An attempt that failed, and why; or one that is `done`, and is to be verified."""

    job: int
    task: TaskId
    attempt: AttemptId
    worker: str
    number: int
    properties: tuple[tuple[str, str], ...]
    program: Digest
    code: tuple[Digest, ...]
    main: tuple[Digest, ...]
    summary: str
    text: str
    done: bool = False


class Saved(Struct, frozen=True):
    """What became of an attempt's input: the name of its capsule, or why there is none."""

    name: str = ""
    size: int = 0
    why: str = ""


class _Late(Exception):
    """Saving has taken too long, or is not wanted any more."""


class Saving:
    """The capsules of one worker: together, they take no more than was allowed; older ones give way."""

    def __init__(self, shared: Machinery, now_ns: Callable[[], int]) -> None:
        self._shared, self._now = shared, now_ns
        self._limit = shared.data.capsule_bytes
        self._kept: OrderedDict[TaskId, tuple[str, int]] = OrderedDict()
        self._busy: tuple[BodyPort, int] | None = None  # with what an attempt was given, and until when

    def tick(self) -> None:
        """Have a body that waits for blocks go on, when it has waited long enough; called by the loop."""
        busy = self._busy
        if busy is not None and self._is_late(*busy):
            busy[0].hurry()

    def _is_late(self, port: BodyPort, until_ns: int) -> bool:
        return port.cancelled or self._now() >= until_ns

    def save(self, attempted: Attempted, port: BodyPort, code: Callable[[Digest], Bytes]) -> Saved:
        """Save an attempt's input; whatever prevents it, the failure itself is told all the same."""
        if not self._limit:
            return Saved(why="capsule=0 in the address says so")
        busy = self._busy = port, self._now() + SECONDS * 1_000_000_000
        read = port.read_bytes, port.progress
        try:
            return self._save(attempted, port, code)
        except TooLarge:
            return Saved(why=f"it takes more than {self._limit:,} bytes. Raise capsule= in the address")
        except Exception as error:
            if self._is_late(*busy):
                return Saved(why=f"it could not be read once more within {SECONDS} s. Run the job again")
            return Saved(why=f"it could not be read or written once more ({error}). Look at that first")
        finally:
            self._busy = None
            port.read_bytes, port.progress = read  # the attempt's own

    def _save(self, attempted: Attempted, port: BodyPort, code: Callable[[Digest], Bytes]) -> Saved:
        files, shared = self._shared.files, self._shared
        asked, port.asked = port.asked, Asked()
        task = attempted.task
        name = (sampled_name if attempted.done else capsule_name)(task.stage, task.partition, attempted.attempt)
        path, aside = shared.layout.path(shared.host, name), f"{shared.own}/{attempted.attempt}.capsule"
        writer = CapsuleWriter(files, aside, self._limit)
        try:
            writer.finish(_index(attempted, port, code, asked, lambda pieces: writer.add(self._in_time(pieces))))
            files.make_dirs(path.rpartition("/")[0])
            files.rename(aside, path)
        except BaseException:
            writer.abandon()
            raise
        if attempted.done:  # the program takes it, soon
            return Saved(name, writer.size)
        self._forget(task)
        self._kept[task] = name, writer.size
        while sum(size for _, size in self._kept.values()) > self._limit and len(self._kept) > 1:
            self._forget(next(iter(self._kept)))
        return Saved(name, writer.size)

    def _in_time(self, pieces: Iterable[Bytes]) -> Iterator[Bytes]:
        assert self._busy is not None
        for piece in pieces:
            if self._is_late(*self._busy):
                raise _Late
            yield piece

    def _forget(self, task: TaskId) -> None:
        name, _ = self._kept.pop(task, ("", 0))
        if name:
            self._shared.files.remove(self._shared.layout.path(self._shared.host, name))


def _index(attempted: Attempted, port: BodyPort, code: Callable[[Digest], Bytes], asked: Asked, add: Add) -> Index:
    """Copy everything into a capsule, and say what it is."""
    task = attempted.task
    if asked.meetings_bytes > MEETINGS_BYTES_MAX:
        raise TooLarge
    return Index(
        attempted.job,
        task.stage,
        task.partition,
        attempted.attempt,
        attempted.worker,
        attempted.summary,
        attempted.text,
        port.task_bytes,
        attempted.program,
        attempted.number,
        attempted.properties,
        {digest: add([code(digest)]) for digest in dict.fromkeys((*attempted.code, attempted.program))},
        attempted.main,
        tuple(
            PartsRead(
                stage,
                partition,
                tuple(
                    (source.partition, source.attempt, add(pieces)) for source, pieces in port.parts(stage, partition)
                ),
            )
            for stage, partition in asked.parts
        ),
        {name: add(port.provided(name)) for name in asked.blocks if not name.startswith(CODE)},
        tuple(
            CacheAsked(operator, partition, add(_still(port, operator, partition)) if found else None)
            for operator, partition, found in asked.cached
        ),
        tuple((member.worker, member.host) for member in port.gang),
        tuple(asked.meetings),
        tuple(_whole(port.files, path, add) for path in asked.files),
    )


def _whole(files: Files, path: str, add: Add) -> FileRead:
    """Copy one of the run's own files: a checkpoint that lies with it."""
    file = files.open(path)
    try:
        return FileRead(os.fsencode(path), file.modified_ns, add(read_range(file, 0, file.size, PIECE)))
    finally:
        file.close()


def _still(port: BodyPort, operator: OperatorId, partition: int) -> Iterable[Bytes]:
    """Read a cached partition again."""
    pieces = port.cached(operator, partition)
    if pieces is None:
        raise LookupError("a cached partition that it read is not kept any more")
    return pieces
