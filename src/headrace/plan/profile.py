"""What the jobs and stages of a run took, as measured: enough to plan the same run again elsewhere, and no data.

A profile is kept as JSON lines in the order in which things happened.  Of tasks there may be very many: what they took comes
some thousand at once, in columns, and a column of equal numbers is one number.  Times are nanoseconds; moments are those of
the run's own clock, and `Begun` says when the run began by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate, chain
from operator import sub
from statistics import median
from typing import Any, Generic, TypeVar, cast

import msgspec
from msgspec import Struct, field

from headrace.errors import InputError
from headrace.ids import JobId, StageId
from headrace.plan.flat import FlatSpec, flatten, unflatten, walk
from headrace.plan.stages import StageSpec

FORMAT = 1
LOOP_NS, LOOP_TASKS = 50_000, 1000  # of the program's loop for a task, where fewer tasks than that were measured
PHASES = ("fetch", "compute", "write", "commit")
Column = int | list[int]
Spec = TypeVar("Spec", StageSpec, FlatSpec)  # of a stage, as it is used and as it is kept

# The lines.


class Begun(Struct, frozen=True, tag="run begun", tag_field="what"):
    """The first line.

    Attributes:
        began_ns: the moment that the others are counted from.
        cores: of the machine that the workers were on.

    """

    format: int
    run: str
    version: str
    began_ns: int
    workers: int
    hosts: int
    cores: int
    scheme: str
    memory_bytes: int


class Joined(Struct, frozen=True, tag="worker ready", tag_field="what"):
    """A worker takes tasks; its process was started at another moment."""

    worker: str
    host: str
    launched_ns: int
    at_ns: int


class Submitted(Struct, Generic[Spec], frozen=True, tag="job begun", tag_field="what", omit_defaults=True):
    """An action.

    Attributes:
        stages: those that were new with it.
        wanted: partitions of the last; None: all of them.
        loop_ns: processor time that the program's loop had used.

    """

    job: JobId
    name: str
    at_ns: int
    stages: tuple[Spec, ...]
    wanted: tuple[int, ...] | None = None
    loop_ns: int = 0


class Replanned(Struct, Generic[Spec], frozen=True, tag="planned anew", tag_field="what"):
    """Stages that depend on something else from now on: a dataset in them is kept, or not any more, or was cut off."""

    stages: tuple[Spec, ...]
    at_ns: int


class Tasks(Struct, frozen=True, tag="tasks", tag_field="what", omit_defaults=True):
    """Attempts that count, in the order in which they came to; where a task is named again, its first output was lost.

    Attributes:
        partitions: each as the difference to the one before.
        ran_ns: from the beginning of the body to its report.
        fetch_ns, write_ns, commit_ns: of that; the rest is loading code and computing.
        cached: for some of the partitions, what they left in their worker's keeping: dataset and partition.

    """

    stage: StageId
    partitions: Column
    number: int
    ran_ns: Column
    records: Column = 0
    read_bytes: Column = 0
    written_bytes: Column = 0
    result_bytes: Column = 0
    fetch_ns: Column = 0
    write_ns: Column = 0
    commit_ns: Column = 0
    cached: dict[int, tuple[tuple[int, int], ...]] = {}


class Wasted(Struct, frozen=True, tag="attempts that did not count", tag_field="what"):
    """How many of a stage there were since the last such line, and how long they ran, as far as anybody heard."""

    stage: StageId
    attempts: int
    ran_ns: int


class Ended(Struct, frozen=True, tag="job over", tag_field="what"):
    """A job has ended: "done", or how it failed; and the processor time that the program's loop had used."""

    job: JobId
    state: str
    at_ns: int
    loop_ns: int = 0


class Closed(Struct, frozen=True, tag="run over", tag_field="what"):
    """The last line.  `cut`: there was more than is kept."""

    at_ns: int
    cut: bool = False


Plain = Begun | Joined | Tasks | Wasted | Ended | Closed
Line = Plain | Submitted[StageSpec] | Replanned[StageSpec]
Moment = Submitted[StageSpec] | Replanned[StageSpec] | Ended
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Plain | Submitted[FlatSpec] | Replanned[FlatSpec])


def encode(line: Line) -> bytes:
    """Write a line, with its end."""
    if isinstance(line, Submitted | Replanned):
        kept = msgspec.structs.replace(cast("Any", line), stages=tuple(map(flatten, line.stages)))
        return _encoder.encode(kept) + b"\n"
    return _encoder.encode(line) + b"\n"


def _decode(text: bytes) -> Line:
    line: Any = _decoder.decode(text)
    if isinstance(line, Submitted | Replanned):
        return cast("Line", msgspec.structs.replace(line, stages=tuple(map(unflatten, line.stages))))
    return cast("Line", line)


def narrow(numbers: list[int]) -> Column:
    """Make a column of numbers.

    >>> narrow([7, 7, 7]), narrow([7, 8])
    (7, [7, 8])
    """
    return numbers[0] if numbers.count(numbers[0]) == len(numbers) else numbers


def differences(numbers: list[int]) -> list[int]:
    """Give each number as the difference to the one before: neighbours are short.

    >>> differences([5, 6, 8]), list(accumulate(differences([5, 6, 8])))
    ([5, 1, 2], [5, 6, 8])
    """
    return list(chain(numbers[:1], map(sub, numbers[1:], numbers)))


# What they come to.

FIELDS = ("ran_ns", "records", "read_bytes", "written_bytes", "result_bytes", "fetch_ns", "write_ns", "commit_ns")


class StageProfile(Struct):
    """A stage: a number for each partition in each column, zeros for those that did not run.

    Attributes:
        spec: as it was when it was submitted.
        cached: what tasks left in their worker's keeping, by partition.
        wasted, wasted_ns: attempts that did not count, outputs that were lost among them.

    """

    spec: StageSpec
    ran_ns: list[int]
    records: list[int]
    read_bytes: list[int]
    written_bytes: list[int]
    result_bytes: list[int]
    fetch_ns: list[int]
    write_ns: list[int]
    commit_ns: list[int]
    cached: dict[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    wasted: int = 0
    wasted_ns: int = 0

    @classmethod
    def empty(cls, spec: StageSpec) -> StageProfile:
        """Make one of which no task has run."""
        columns: dict[str, Any] = {name: [0] * spec.partitions for name in FIELDS}
        return cls(spec, **columns)

    @property
    def name(self) -> str:
        """What it was called."""
        return self.spec.name

    @property
    def reads(self) -> tuple[StageId, ...]:
        """The shuffles that it reads."""
        return shuffles_of(self.spec)

    @property
    def tasks(self) -> int:
        """How many of its tasks ran."""
        return sum(ran > 0 for ran in self.ran_ns)

    @property
    def work_ns(self) -> int:
        """What its tasks took beside waiting for blocks, together."""
        return sum(self.ran_ns) - sum(self.fetch_ns)

    @property
    def record_ns(self) -> float:
        """What a record took, on average, beside waiting for blocks; a task, where there were no records."""
        return self.work_ns / max(1, sum(self.records), self.tasks)


class JobProfile(Struct):
    """An action.

    Attributes:
        at_ns, ended_ns: since the run began; `ended_ns` is None where the run ended first.
        stages: those that were new with it.

    """

    id: JobId
    name: str
    at_ns: int
    wanted: tuple[int, ...]
    stages: tuple[StageId, ...]
    ended_ns: int | None = None
    state: str = "running"


class Profile(Struct):
    """A run, read.

    Attributes:
        moments: what the program did, in order, in moments since the run began.
        closed: whether the run came to its end; `cut` says whether there was more than is kept.

    """

    begun: Begun
    joined: list[Joined] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    stages: dict[StageId, StageProfile] = field(default_factory=dict)
    jobs: dict[JobId, JobProfile] = field(default_factory=dict)
    closed: bool = False
    cut: bool = False

    @property
    def took_ns(self) -> int:
        """From the beginning of the run to the end of its last job."""
        return max((job.ended_ns for job in self.jobs.values() if job.ended_ns is not None), default=0)

    @property
    def tasks(self) -> int:
        """How many tasks ran."""
        return sum(stage.tasks for stage in self.stages.values())

    @property
    def startup_ns(self) -> int:
        """How long a worker took from its start until it was ready: the median; 0 where none was started."""
        return int(median(worker.at_ns - worker.launched_ns for worker in self.joined)) if self.joined else 0

    @property
    def loop_ns(self) -> int:
        """Processor time of the program's loop for each task; of few, what it does besides would prevail."""
        used = [moment.loop_ns for moment in self.moments if not isinstance(moment, Replanned)]
        return (used[-1] - used[0]) // self.tasks if used and self.tasks >= LOOP_TASKS else LOOP_NS


def shuffles_of(spec: StageSpec) -> tuple[StageId, ...]:
    """List the shuffles that a stage reads, each once."""
    found: dict[StageId, None] = {}
    for reads in walk(segment.reads for segment in spec.segments):
        found.update(dict.fromkeys(reads.stages))
    return tuple(found)


def parse(lines: Iterable[bytes], name: str) -> Profile:
    """Read a profile; a last line that was cut off is left out.

    Raises:
        InputError: it is none, or of a version that is not known here.

    """
    found = _lines(lines, name)
    begun = next(found, None)
    if not isinstance(begun, Begun):
        raise InputError(f"{name} is not the profile of a run, or it is empty. Name a run, as `headrace story` does.")
    if begun.format != FORMAT:
        raise InputError(f"{name} has format {begun.format}, and format {FORMAT} is read here. Run the program again.")
    profile = Profile(begun)
    for line in found:
        _add(profile, line)
    return profile


def _lines(lines: Iterable[bytes], name: str) -> Iterator[Line]:
    bad: msgspec.MsgspecError | UnicodeDecodeError | None = None
    for number, text in enumerate(lines, start=1):
        if bad is not None:
            raise InputError(f"{name} is not the profile of a run: line {number - 1} is none of its lines: {bad}.")
        try:
            line = _decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            bad = error
            continue
        yield line


def _add(profile: Profile, line: Line) -> None:
    began = profile.begun.began_ns
    match line:
        case Joined(launched_ns=launched, at_ns=at):
            profile.joined.append(msgspec.structs.replace(line, launched_ns=launched - began, at_ns=at - began))
        case Submitted(job=job, stages=stages, at_ns=at):
            wanted = tuple(range(stages[-1].partitions)) if line.wanted is None else line.wanted
            line = msgspec.structs.replace(line, at_ns=at - began, wanted=wanted)
            profile.moments.append(line)
            profile.jobs[job] = JobProfile(job, line.name, line.at_ns, wanted, tuple(spec.id for spec in stages))
            for spec in stages:
                profile.stages.setdefault(spec.id, StageProfile.empty(spec))
        case Replanned(at_ns=at):
            profile.moments.append(msgspec.structs.replace(line, at_ns=at - began))
        case Ended(job=job, state=state, at_ns=at):
            profile.moments.append(msgspec.structs.replace(line, at_ns=at - began))
            profile.jobs[job].ended_ns, profile.jobs[job].state = at - began, state
        case Tasks():
            _scatter(profile.stages[line.stage], line)
        case Wasted(stage=stage, attempts=attempts, ran_ns=ran):
            profile.stages[stage].wasted += attempts
            profile.stages[stage].wasted_ns += ran
        case Closed(cut=cut):
            profile.closed, profile.cut = True, cut
        case Begun():
            pass  # a second one changes nothing


def _scatter(stage: StageProfile, tasks: Tasks) -> None:
    def wide(column: Column) -> list[int]:
        return [column] * tasks.number if isinstance(column, int) else column

    partitions = list(accumulate(wide(tasks.partitions)))
    for partition, ran in zip(partitions, wide(tasks.ran_ns), strict=True):
        if stage.ran_ns[partition]:
            stage.wasted += 1
            stage.wasted_ns += stage.ran_ns[partition]
        stage.ran_ns[partition] = ran
    for name in FIELDS[1:]:
        column: list[int] = getattr(stage, name)
        for partition, number in zip(partitions, wide(getattr(tasks, name)), strict=True):
            column[partition] = number
    stage.cached.update(tasks.cached)
