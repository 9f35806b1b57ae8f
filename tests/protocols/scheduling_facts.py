"""What is true in the modelled world of scheduling, whatever the machines believe."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from headrace.config import ScheduleConfig, SpeculateConfig
from headrace.ids import AttemptId, HostId, JobId, OperatorId, StageId, TaskId, WorkerId
from headrace.plan.stages import Reads, StageSpec
from headrace.protocols import claims, gather
from headrace.protocols import schedule_words as words
from headrace.protocols.claims import Claims
from headrace.protocols.gather import Gather
from headrace.protocols.lineage import MapOutput
from headrace.protocols.schedule import Schedule
from tests.protocols.catalog import PARTITIONS_MAX, Catalog, Dataset
from tests.protocols.scheduling_parts import Action, File, Process, Report, ToWorker

SCHEDULE = ScheduleConfig(max_failures=3, max_losses=20, result_bytes_max=PARTITIONS_MAX)  # a result is one byte
SPECULATE = SpeculateConfig(after_ns=0, slow_percentile=1.0, slowdown=0.0, cap=1.0)  # copy whatever may be copied


class Facts:
    """The two machines, the queue between them, and everything around them."""

    make_schedule: Callable[[ScheduleConfig, SpeculateConfig], Schedule] = Schedule
    make_claims: Callable[[], Claims] = Claims

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.schedule = type(self).make_schedule(SCHEDULE, SPECULATE)
        self.claims = type(self).make_claims()
        self.gather = Gather()
        self.queue: deque[tuple[str, words.Event | claims.Event | gather.Event, bool]] = (
            deque()
        )  # the last: asked for by a machine
        self.runs: list[words.Launch] = []  # gathered, to be sent when the queue is empty
        self.settlements: list[words.Settle] = []
        self.journal: list[words.Event] = []
        self.now_ns = 1
        self.named_workers = self.named_hosts = 0
        self.kind = False
        self.rebuilt = 0

        self.processes: dict[WorkerId, Process] = {}
        self.files: dict[AttemptId, File] = {}
        self.valid: dict[AttemptId, bool] = {}  # attempts that ended well, and whether they had read what they should
        self.tasks: dict[AttemptId, TaskId] = {}  # every attempt that was ever claimed
        self.workers: dict[AttemptId, WorkerId] = {}  # by whom
        self.gangs: dict[AttemptId, tuple[AttemptId, ...]] = {}  # who was to run at once
        self.dead_hosts: set[HostId] = set()
        self.told_hosts: set[HostId] = set()
        self.silent: set[WorkerId] = set()  # suspected, as the claim table was told
        self.reported_lost: set[AttemptId] = set()  # whose outputs the schedule was told are gone

        self.actions: dict[JobId, Action] = {}
        self.cancelled: set[JobId] = set()
        self.kept: frozenset[OperatorId] = frozenset()
        self.code: dict[StageId, StageSpec] = {}
        self.released: set[StageId] = set()
        self.freed: set[StageId] = set()
        self.reports: dict[AttemptId, Report] = {}  # the program holds them until they are settled
        self.unanswered: set[tuple[AttemptId, WorkerId]] = set()
        self.delivering: list[words.Deliver] = []
        self.committed: dict[TaskId, AttemptId] = {}
        self.failures: dict[TaskId, set[AttemptId]] = {}
        self.losses: dict[TaskId, set[AttemptId]] = {}

    def tell(self, event: words.Event) -> None:
        self.queue.append(("schedule", event, False))

    def tell_claims(self, event: claims.Event) -> None:
        self.queue.append(("claims", event, False))

    def ask(self, event: claims.Event) -> None:
        self.queue.append(("claims", event, True))

    def tell_gather(self, event: gather.Event) -> None:
        self.queue.append(("gather", event, False))

    def send(self, worker: WorkerId, message: ToWorker) -> None:
        process = self.processes.get(worker)
        if process is not None and process.alive and not process.buried:
            process.inbox.append(message)

    # Looking.

    def places(self) -> dict[TaskId, MapOutput]:
        """All map outputs that count."""
        lineage = self.schedule.lineage
        return {
            TaskId(stage, partition): place
            for stage in lineage.alive()
            for partition, place in lineage.outputs(stage)[1].items()
        }

    def counting(self, task: TaskId) -> set[AttemptId | None]:
        """The attempt whose output stands for a task, if there is one."""
        place = self.schedule.lineage.outputs(task.stage)[1].get(task.partition)
        return {place.attempt} if place is not None else set()

    def is_alive(self, stage: StageId) -> bool:
        return self.schedule.lineage.stage(stage) is not None

    def is_buried(self, attempt: AttemptId) -> bool:
        """Whether an attempt's worker was told to be gone; commits that come later do not count."""
        process = self.processes[self.workers[attempt]]
        return process.buried or process.host in self.told_hosts

    def is_readable(self, place: MapOutput) -> bool:
        file = self.files.get(place.attempt)
        return file is not None and not file.broken and file.host not in self.dead_hosts

    def living(self) -> list[WorkerId]:
        return [worker for worker, process in self.processes.items() if process.alive]

    def hosts(self) -> list[HostId]:
        return sorted({p.host for p in self.processes.values() if p.host not in self.dead_hosts})

    def has_effects(self, stage: StageId) -> bool:
        return any(action.stage == stage and action.has_effects for action in self.actions.values())

    def is_barrier(self, stage: StageId) -> bool:
        return stage in self.catalog.barriers or any(a.stage == stage and a.barrier for a in self.actions.values())

    def held(self) -> set[AttemptId]:
        """Attempts that have ended well and wait for the others of their gang."""
        return {attempt for gang in self.schedule.gangs.values() for attempt in gang.done}

    def asks(self, action: Action, task: TaskId) -> bool:
        """Whether a job's result is made of a task's output, or is it."""
        return task.stage == action.stage or task.stage in self.catalog.closure(action.dataset)

    def waits_for(self, action: Action, task: TaskId) -> bool:
        return action.job in self.schedule.jobs and not action.ended and self.asks(action, task)

    def known_needs(self, reads: Reads, partition: int) -> list[StageId]:
        if reads.cut is not None and self.schedule.lineage.keepers(reads.cut, partition - reads.first):
            return []
        return [*reads.stages, *(s for below in reads.below for s in self.known_needs(below, partition))]

    def usable(self) -> list[Dataset]:
        return [d for d in self.catalog.datasets if not self.released & set(self.catalog.closure(d))]

    def releasable(self) -> list[StageId]:
        """Shuffles that no other unreleased one is made of."""
        alive = [stage for stage in self.catalog.shuffles if stage not in self.released]
        used = {parent for stage in alive for parent in self.catalog.shuffles[stage].stages()}
        return [stage for stage in alive if stage not in used]
