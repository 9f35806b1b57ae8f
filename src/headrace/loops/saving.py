"""What a worker saves of an attempt that failed: all that it was given, for `headrace replay`.

While an attempt runs, its port only notes what it asks for.  When the attempt has failed, everything is read once more,
which gives the same; so attempts that go well cost nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from msgspec import Struct

from headrace.ids import AttemptId, Digest, OperatorId, TaskId
from headrace.loops.body import BodyPort, Machinery
from headrace.loops.noting import MEETINGS_BYTES_MAX, Asked
from headrace.ports import Bytes, Files
from headrace.store.capsules import PIECE, CacheAsked, CapsuleWriter, FileRead, Index, PartsRead, TooLarge
from headrace.store.layout import capsule_name
from headrace.store.mapoutput import read_range

CODE = "blob-"  # what blocks of the program's store that hold code are called


class Attempted(Struct, frozen=True):
    """An attempt that failed, and why."""

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


class Saved(Struct, frozen=True):
    """What became of an attempt's input: the name of its capsule, or why there is none."""

    name: str = ""
    size: int = 0
    why: str = ""


class Saving:
    """The capsules of one worker: together, they take no more than was allowed; older ones give way."""

    def __init__(self, shared: Machinery) -> None:
        self._shared = shared
        self._limit = shared.data.capsule_bytes
        self._kept: OrderedDict[TaskId, tuple[str, int]] = OrderedDict()

    def save(self, attempted: Attempted, port: BodyPort, code: Callable[[Digest], Bytes]) -> Saved:
        """Save an attempt's input; whatever prevents it, the failure itself is told all the same."""
        if not self._limit:
            return Saved(why="capsule=0 in the address says so")
        try:
            return self._save(attempted, port, code)
        except TooLarge:
            return Saved(why=f"it takes more than {self._limit:,} bytes. Raise capsule= in the address")
        except Exception as error:
            return Saved(why=f"it could not be read or written once more ({error}). Look at that first")

    def _save(self, attempted: Attempted, port: BodyPort, code: Callable[[Digest], Bytes]) -> Saved:
        files, shared = self._shared.files, self._shared
        asked, port.asked = port.asked, Asked()
        writer = CapsuleWriter(files, f"{shared.own}/{attempted.attempt}.capsule", self._limit)
        try:
            writer.finish(_index(attempted, port, code, asked, writer))
        except BaseException:
            writer.abandon()
            raise
        task = attempted.task
        name = capsule_name(task.stage, task.partition, attempted.attempt)
        path = shared.layout.path(shared.host, name)
        files.make_dirs(path.rpartition("/")[0])
        files.rename(f"{shared.own}/{attempted.attempt}.capsule", path)
        self._forget(task)
        self._kept[task] = name, writer.size
        while sum(size for _, size in self._kept.values()) > self._limit and len(self._kept) > 1:
            self._forget(next(iter(self._kept)))
        return Saved(name, writer.size)

    def _forget(self, task: TaskId) -> None:
        name, _ = self._kept.pop(task, ("", 0))
        if name:
            self._shared.files.remove(self._shared.layout.path(self._shared.host, name))


def _index(
    attempted: Attempted, port: BodyPort, code: Callable[[Digest], Bytes], asked: Asked, writer: CapsuleWriter
) -> Index:
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
        {digest: writer.add([code(digest)]) for digest in dict.fromkeys((*attempted.code, attempted.program))},
        attempted.main,
        tuple(
            PartsRead(
                stage,
                partition,
                tuple(
                    (source.partition, source.attempt, writer.add(pieces))
                    for source, pieces in port.parts(stage, partition)
                ),
            )
            for stage, partition in dict.fromkeys(asked.parts)
        ),
        {name: writer.add(port.provided(name)) for name in dict.fromkeys(asked.blocks) if not name.startswith(CODE)},
        tuple(
            CacheAsked(operator, partition, writer.add(_still(port, operator, partition)) if found else None)
            for operator, partition, found in asked.cached
        ),
        tuple((member.worker, member.host) for member in port.gang),
        tuple(asked.meetings),
        tuple(_whole(port.files, path, writer) for path in dict.fromkeys(asked.files)),
    )


def _whole(files: Files, path: str, writer: CapsuleWriter) -> FileRead:
    """Copy one of the run's own files: a checkpoint that lies with it."""
    file = files.open(path)
    try:
        return FileRead(path, file.modified_ns, writer.add(read_range(file, 0, file.size, PIECE)))
    finally:
        file.close()


def _still(port: BodyPort, operator: OperatorId, partition: int) -> Iterable[Bytes]:
    """Read a cached partition again."""
    pieces = port.cached(operator, partition)
    if pieces is None:
        raise LookupError("a cached partition that it read is not kept any more")
    return pieces
