"""Where the schedule machine (`schedule`) stands: the attempts, jobs and results that have not come to their end."""

from __future__ import annotations

from msgspec import Struct, field

from headrace.config import ScheduleConfig, SpeculateConfig
from headrace.ids import AttemptId, HostId, JobId, StageId, TaskId, WorkerId
from headrace.protocols.lineage import Lineage
from headrace.protocols.schedule_words import Cancel, Effect, OutputCommitted
from headrace.protocols.trouble import WHOLE, Troubles


class Attempt(Struct):
    """A claim that has not ended.

    Attributes:
        ran_ns, progress, heard_ns: as last heard; 0 before it is known to have begun.
        cancelled_ns: when we asked it to stop.
        doomed: its host's disk is gone, or its gang is called off, so nothing it writes can be used.
        overdue: in words, how far it has exceeded its time; and what it was doing then, as far as that was heard.

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
    overdue: str = ""
    doing: str = ""
    claimed_ns: int = 0


class Job(Struct):
    """An action that has not ended."""

    task_timeout_ns: int = 0
    result_bytes: int = 0
    counted: set[TaskId] = field(default_factory=set)  # tasks whose contributions to accumulators were added


class Gang(Struct):
    """The attempts at a barrier stage that run at once, one for each partition, none of which is called off.

    Attributes:
        done: those that have ended well; they count when all have.
        met, waiting: how often they have met, and who waits for the others, as last heard.

    """

    members: tuple[AttemptId, ...]
    done: dict[AttemptId, OutputCommitted] = field(default_factory=dict)
    met: int = 0
    waiting: tuple[AttemptId, ...] = ()


class Delivery(Struct, frozen=True):
    """A committed result on its way to the program."""

    attempt: AttemptId
    size: int


class State:
    """What a schedule machine knows of a run, and how to look things up in it."""

    def __init__(self, config: ScheduleConfig, speculate: SpeculateConfig) -> None:
        self.config, self.speculate = config, speculate
        self.lineage = Lineage()
        self.jobs: dict[JobId, Job] = {}
        self.workers: dict[WorkerId, HostId] = {}
        self.suspects: set[WorkerId] = set()
        self.lost_hosts: set[HostId] = set()
        self.resting: dict[TaskId, int] = {}  # until when: what would fail again on the only hosts that could have it
        self.offered: dict[TaskId, bool] = {}  # whether as a copy
        self.attempts: dict[AttemptId, Attempt] = {}
        self.by_task: dict[TaskId, list[AttemptId]] = {}
        self.gangs: dict[StageId, Gang] = {}
        self.together: dict[StageId, tuple[AttemptId, ...]] = {}  # whose results were the latest to count, of a gang
        self.troubles = Troubles(config)
        self.finished_ns: dict[StageId, list[int]] = {}  # how long finished attempts took, ascending
        self.releasing: set[StageId] = set()
        self.delivering: dict[TaskId, Delivery] = {}
        self.reopened: dict[TaskId, AttemptId] = {}  # tasks not committed since the output of an attempt was lost
        self.discarded: set[AttemptId] = set()  # since the last tick, of those that the claim table had let commit
        self.no_workers: str | None = None
        self.moved_ns = 0  # when anything last got further
        self.stall_told_ns = self.ticked_ns = 0
        self.freed_ns: dict[WorkerId, int] = {}  # when an attempt of a worker was last over

    # Looking.

    def _running_of(self, stage: StageId) -> bool:
        return any(state.task.stage == stage for state in self.attempts.values())

    def _is_attempted(self, task: TaskId) -> bool:
        """Whether some attempt may still bring what is needed, or has effects that none may run beside."""
        attempts = self.by_task.get(task, ())
        if attempts and self._has_effects(task):
            return True
        return any(
            self.attempts[attempt].cancelled_ns is None and not self.attempts[attempt].doomed for attempt in attempts
        )

    def _in_gang(self, stage: StageId, attempt: AttemptId) -> bool:
        return stage in self.gangs and attempt in self.gangs[stage].members

    def _is_done(self, attempt: AttemptId) -> bool:
        """Whether an attempt has ended well and waits for the others of its gang."""
        return any(attempt in gang.done for gang in self.gangs.values())

    def _is_barrier(self, stage: StageId) -> bool:
        spec = self.lineage.stage(stage)
        return spec is not None and spec.barrier

    def _blamed(self, task: TaskId) -> TaskId:
        """What troubles are counted for: of a barrier stage for all tasks together, because all run again."""
        return TaskId(task.stage, WHOLE) if self._is_barrier(task.stage) else task

    def _has_effects(self, task: TaskId) -> bool:
        spec = self.lineage.stage(task.stage)
        return spec is not None and spec.has_effects

    # Letting go.

    def _forget(self, attempt: AttemptId) -> None:
        state = self.attempts.pop(attempt)
        if state.worker in self.workers:
            self.freed_ns[state.worker] = self.moved_ns
        others = self.by_task[state.task]
        others.remove(attempt)
        if not others:
            del self.by_task[state.task]

    def _stop(self, attempt: AttemptId, because: str, now_ns: int) -> list[Effect]:
        state = self.attempts[attempt]
        if state.cancelled_ns is not None:
            return []
        state.cancelled_ns = now_ns
        return [Cancel(attempt, state.worker, because)]
