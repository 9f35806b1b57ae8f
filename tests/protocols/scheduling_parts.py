"""What there is in the modelled world of scheduling, and what workers and the program say to each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from headrace.ids import AttemptId, HostId, JobId, OperatorId, StageId, TaskId, WorkerId
from headrace.plan.stages import Reads, StageSpec
from headrace.protocols.lineage import MapOutput
from tests.protocols.catalog import Dataset

# What workers and the program say to each other.


@dataclass(frozen=True)
class Run:
    """With the program's code for the stage, and the places of the outputs that it reads, at the time it was sent."""

    task: TaskId
    attempt: AttemptId
    spec: StageSpec
    tables: dict[StageId, dict[int, MapOutput]]
    gang: tuple[AttemptId, ...] = ()


@dataclass(frozen=True)
class Stop:
    attempt: AttemptId


@dataclass(frozen=True)
class GiveBack:
    attempts: tuple[AttemptId, ...]


@dataclass(frozen=True)
class Settled:
    attempt: AttemptId
    kept: bool


@dataclass(frozen=True)
class Uncache:
    operator: OperatorId


@dataclass(frozen=True)
class Met:
    """All tasks of a barrier stage have come."""

    attempt: AttemptId


NO_STAGE = StageId(0)

ToWorker: TypeAlias = Run | Stop | GiveBack | Settled | Uncache | Met


@dataclass(frozen=True)
class Report:
    attempt: AttemptId
    task: TaskId
    outcome: str
    inline: bool = True
    updates: bool = False
    cached: tuple[tuple[OperatorId, int], ...] = ()
    lost_stage: StageId = NO_STAGE
    lost: tuple[tuple[int, AttemptId], ...] = ()


@dataclass(frozen=True)
class Beat:
    attempt: AttemptId
    ran_ns: int
    progress: int


@dataclass(frozen=True)
class Evicted:
    operator: OperatorId
    partition: int


@dataclass(frozen=True)
class Replicated:
    """A worker has made a copy of what another keeps."""

    operator: OperatorId
    partition: int


@dataclass(frozen=True)
class Meets:
    """A task of a barrier stage waits for the others."""

    attempt: AttemptId


FromWorker: TypeAlias = Report | Beat | Evicted | Replicated | Meets


# What there is.


@dataclass
class File:
    """The output of an attempt on a disk."""

    host: HostId
    writer: WorkerId
    broken: bool = False


@dataclass
class Body:
    """A running attempt."""

    run: Run
    began_ns: int
    interrupted: bool = False
    valid: bool = True
    met: bool = False
    finished_reading: bool = False
    starved: tuple[StageId, tuple[tuple[int, AttemptId], ...]] | None = None
    progress: int = 0


@dataclass
class Process:
    """A worker as it is, whatever the program believes."""

    id: WorkerId
    host: HostId
    alive: bool = True
    buried: bool = False
    stalled: bool = False
    inbox: deque[ToWorker] = field(default_factory=deque)
    outbox: deque[FromWorker] = field(default_factory=deque)
    waiting: dict[AttemptId, Run] = field(default_factory=dict)
    running: Body | None = None
    over: set[AttemptId] = field(default_factory=set)
    unsettled: dict[AttemptId, Report] = field(default_factory=dict)
    cache: dict[tuple[OperatorId, int], None] = field(default_factory=dict)
    culprit: AttemptId | None = None
    victim: AttemptId | None = None


@dataclass
class Action:
    """A job as the program sees it."""

    job: JobId
    dataset: Dataset
    stage: StageId
    wanted: tuple[int, ...]
    has_effects: bool
    inline: bool
    barrier: bool = False
    results: dict[int, AttemptId] = field(default_factory=dict)
    counted: dict[TaskId, AttemptId] = field(default_factory=dict)
    ended: str = ""


# Looking things up.


def has_updates(stage: StageId) -> bool:
    return stage % 2 == 1


def reads_of(spec: StageSpec, partition: int) -> Reads:
    return next(segment.reads for segment in spec.segments if segment.first <= partition < segment.stop)


def trees_of(reads: Reads) -> Iterable[Reads]:
    yield reads
    for below in reads.below:
        yield from trees_of(below)


def stages_of(reads: Reads) -> Iterable[StageId]:
    for tree in trees_of(reads):
        yield from tree.stages
