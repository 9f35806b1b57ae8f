"""A modelled world around the schedule machine and the claim table: workers, hosts, disks, a program.

The two machines are wired as the program's loop wires them: the effects of one are events of the other, in one queue.  The
rest is a model that knows the truth, which processes live and which files can be read, and checks at every step that what
the machines ask for is allowed.  Chance is the caller's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from headrace.config import MS, ScheduleConfig, SpeculateConfig
from headrace.ids import AttemptId, HostId, JobId, OperatorId, StageId, TaskId, WorkerId
from headrace.plan.stages import Reads, StageSpec
from headrace.protocols import claims
from headrace.protocols import schedule_words as words
from headrace.protocols.claims import Claims
from headrace.protocols.lineage import MapOutput
from headrace.protocols.schedule import Schedule
from tests.protocols.catalog import PARTITIONS_MAX, Catalog, Dataset

SCHEDULE = ScheduleConfig(max_failures=3, max_losses=20, result_bytes_max=PARTITIONS_MAX)  # a result is one byte
SPECULATE = SpeculateConfig(after_ns=0, slow_percentile=1.0, slowdown=0.0, cap=1.0)  # copy whatever may be copied
LOSSES = (words.AttemptStarved, words.HostGone, words.WorkerGone, words.CacheEvicted, words.ResultLost)
RESULT_STAGES = 1000  # ids of result stages begin here


# What workers and the program say to each other.


@dataclass(frozen=True)
class Run:
    """With the program's code for the stage, and the places of the outputs that it reads, at the time it was sent."""

    task: TaskId
    attempt: AttemptId
    spec: StageSpec
    tables: dict[StageId, dict[int, MapOutput]]


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


NO_STAGE = StageId(0)

ToWorker: TypeAlias = Run | Stop | GiveBack | Settled | Uncache


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


FromWorker: TypeAlias = Report | Beat | Evicted


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
    interrupted: bool = False
    valid: bool = True
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
    results: dict[int, AttemptId] = field(default_factory=dict)
    counted: dict[TaskId, AttemptId] = field(default_factory=dict)
    ended: str = ""


class SchedulingWorld:
    """Everything around the two machines.  Methods are things that may happen; none of them draws."""

    make_schedule: Callable[[ScheduleConfig, SpeculateConfig], Schedule] = Schedule
    make_claims: Callable[[], Claims] = Claims

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.schedule = type(self).make_schedule(SCHEDULE, SPECULATE)
        self.claims = type(self).make_claims()
        self.queue: deque[tuple[str, words.Event | claims.Event, bool]] = deque()  # the last: asked for by a machine
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

    # The loop.

    def tell(self, event: words.Event) -> None:
        self.queue.append(("schedule", event, False))

    def tell_claims(self, event: claims.Event) -> None:
        self.queue.append(("claims", event, False))

    def loop(self, steps: int = 1_000_000) -> None:
        """Run the loop, perhaps not to its end."""
        while self.queue and steps:
            steps -= 1
            machine, event, _ = self.queue.popleft()
            if machine == "schedule":
                assert not isinstance(event, claims.Event)
                self.decide(event)
            else:
                assert isinstance(event, claims.Event)
                if isinstance(event, claims.Suspected):
                    self.silent.add(event.worker)
                elif isinstance(event, claims.Trusted):
                    self.silent.discard(event.worker)
                for answer in self.claims.step(event):
                    self.pass_on(answer)
        if not self.queue:
            self.flush()
            self.check_at_rest()

    def decide(self, event: words.Event) -> None:
        """The schedule machine takes an event; what it forgets of outputs must be what it was told is lost."""
        if self.schedule.must_be_journaled(event):
            self.journal.append(event)
        before = self.places() if isinstance(event, LOSSES) else {}
        effects = self.schedule.step(event)
        if before:
            after = self.places()
            gone = {task for task in before if task not in after and self.is_alive(task.stage)}
            named = {task for task in _justified(event, before) if self.is_alive(task.stage)}
            assert gone == named, f"{event} took {sorted(gone)}"
        if isinstance(event, words.OutputCommitted):
            self.check_counted(event, effects)
        for effect in effects:
            self.perform(effect)

    def check_counted(self, event: words.OutputCommitted, effects: list[words.Effect]) -> None:
        """Contributions that came with an output that is kept are added, unless they were before or nobody waits."""
        kept = any(isinstance(effect, words.Settle) and effect.kept for effect in effects)
        if kept and event.output.updates:
            asking = [action for action in self.actions.values() if self.waits_for(action, event.task)]
            counted = any(isinstance(effect, words.CountUpdates) for effect in effects)
            before = any(event.task in action.counted for action in self.actions.values())
            assert counted or before or not asking, f"the contributions of {event.task} are dropped"

    def places(self) -> dict[TaskId, MapOutput]:
        """All map outputs that count."""
        lineage = self.schedule.lineage
        return {
            TaskId(stage, partition): place
            for stage in lineage.alive()
            for partition, place in lineage.outputs(stage)[1].items()
        }

    def is_alive(self, stage: StageId) -> bool:
        return self.schedule.lineage.stage(stage) is not None

    def flush(self) -> None:
        for settle in self.settlements:
            self.send(settle.worker, Settled(settle.attempt, settle.kept))
        self.settlements.clear()
        for launch in self.runs:
            code = self.code.get(launch.task.stage)
            if code is not None:
                lineage = self.schedule.lineage
                reads = {read for segment in code.segments for read in _stages_of(segment.reads)}
                tables = {read: dict(lineage.outputs(read)[1]) for read in sorted(reads) if lineage.stage(read)}
                self.send(launch.worker, Run(launch.task, launch.attempt, code, tables))
        self.runs.clear()

    def send(self, worker: WorkerId, message: ToWorker) -> None:
        process = self.processes.get(worker)
        if process is not None and process.alive and not process.buried:
            process.inbox.append(message)

    def pass_on(self, answer: claims.Effect) -> None:
        match answer:
            case claims.Claimed(task=task, attempt=attempt, worker=worker, copy=copy):
                assert attempt not in self.tasks, "an attempt was named twice"
                assert worker not in self.silent, f"{worker} is given a task, though it has fallen silent"
                self.tasks[attempt], self.workers[attempt] = task, worker
                if copy:
                    others = [a for a, t in self.tasks.items() if t == task and a != attempt]
                    held = self.claims.workers[worker].held
                    assert not any(other in held for other in others), "a copy beside its original"
                    assert not self.has_effects(task.stage), f"task {task} has effects, and was copied"
                self.tell(words.AttemptClaimed(task, attempt, worker, answer.host, copy, answer.now_ns))
            case claims.Committed(task=task, attempt=attempt):
                before = self.committed.get(task)
                over = self.schedule.lineage.stage(task.stage) is None
                assert before is None or over or before in self.reported_lost or self.is_buried(before), (
                    f"task {task} was committed by {attempt} while the output of {before} counts"
                )
                self.committed[task] = attempt
                self.tell(
                    words.OutputCommitted(task, attempt, answer.worker, answer.output, answer.ran_ns, answer.now_ns)
                )
            case claims.Kept(attempt=attempt, worker=worker):
                self.tell(words.OutputKept(attempt, worker))
            case claims.Refused(attempt=attempt, worker=worker):
                self.tell(words.OutputRefused(attempt, worker, self.now_ns))
            case claims.TakeBack(worker=worker, attempts=attempts):
                self.send(worker, GiveBack(attempts))

    def is_buried(self, attempt: AttemptId) -> bool:
        """Whether an attempt's worker was told to be gone; commits that come later do not count."""
        process = self.processes[self.workers[attempt]]
        return process.buried or process.host in self.told_hosts

    def perform(self, effect: words.Effect) -> None:
        match effect:
            case words.MakeOffers(offers=offers):
                for offer in offers:
                    self.check_offer(offer)
                self.ask(claims.Offered(offers, self.now_ns))
            case words.WithdrawOffers(tasks=tasks):
                self.ask(claims.Withdrawn(tasks))
            case words.Reopen():
                self.ask(self.reopened(effect))
            case words.EndStage(stage=stage):
                self.ask(claims.StageOver(stage))
                self.code.pop(stage, None)
            case words.Launch():
                self.check_launch(effect)
                self.runs.append(effect)
            case words.Cancel(attempt=attempt, worker=worker):
                self.send(worker, Stop(attempt))
            case words.KillWorker(worker=worker):
                if self.processes[worker].alive:
                    self.kill(worker, blame="nobody")
            case words.Settle():
                self.settle(effect)
            case words.Deliver():
                self.deliver(effect)
            case words.CountUpdates(job=job, attempt=attempt):
                task, action = self.tasks[attempt], self.actions[job]
                assert attempt in self.reports, "the contributions were dropped before they were counted"
                assert not action.ended
                assert task not in action.counted, f"job {job} counts task {task} twice"
                assert self.committed.get(task) == attempt, f"job {job} counts attempt {attempt}, which was refused"
                assert self.reports[attempt].updates
                action.counted[task] = attempt
            case words.FinishJob(job=job):
                self.finished(self.actions[job])
            case words.FailJob():
                self.failed(effect)
            case words.FreeShuffle(stage=stage):
                self.free(stage)
            case words.Stalled() | words.Note():
                pass  # for people

    def reopened(self, effect: words.Reopen) -> claims.Reopened:
        return claims.Reopened(effect.task, effect.attempt)

    def ask(self, event: claims.Event) -> None:
        self.queue.append(("claims", event, True))

    # What is allowed.

    def has_effects(self, stage: StageId) -> bool:
        return any(action.stage == stage and action.has_effects for action in self.actions.values())

    def check_offer(self, offer: claims.Offer) -> None:
        """What is offered could run this moment, as far as anybody knows."""
        lineage, task = self.schedule.lineage, offer.task
        spec = lineage.stage(task.stage)
        assert spec is not None
        for stage in self.known_needs(_reads_of(spec, task.partition), task.partition):
            lacking = self.catalog.shuffles[stage].partitions - len(lineage.outputs(stage)[1])
            assert not lacking, f"task {task} is offered while {lacking} partitions of shuffle {stage} are lacking"
        assert self.committed.get(task) not in self.counting(task), f"task {task} is offered while its output counts"

    def known_needs(self, reads: Reads, partition: int) -> list[StageId]:
        if reads.cut is not None and self.schedule.lineage.keepers(reads.cut, partition - reads.first):
            return []
        return [*reads.stages, *(s for below in reads.below for s in self.known_needs(below, partition))]

    def counting(self, task: TaskId) -> set[AttemptId | None]:
        """The attempt whose output stands for a task, if there is one."""
        place = self.schedule.lineage.outputs(task.stage)[1].get(task.partition)
        return {place.attempt} if place is not None else set()

    def check_launch(self, launch: words.Launch) -> None:
        assert launch.worker in self.schedule.workers, "launched on a worker that is known to be dead"
        assert self.tasks[launch.attempt] == launch.task

    def settle(self, effect: words.Settle) -> None:
        task = self.tasks[effect.attempt]
        if not effect.kept:
            outputs = self.schedule.lineage.outputs(task.stage)[1] if self.schedule.lineage.stage(task.stage) else {}
            counts = outputs.get(task.partition)
            assert counts is None or counts.attempt != effect.attempt, f"{effect} is told of an output that counts"
            delivery = self.schedule.delivering.get(task)
            assert delivery is None or delivery.attempt != effect.attempt, f"{effect} is told of a result that counts"
        self.unanswered.discard((effect.attempt, effect.worker))
        self.reports.pop(effect.attempt, None)
        self.settlements.append(effect)

    def asks(self, action: Action, task: TaskId) -> bool:
        """Whether a job's result is made of a task's output, or is it."""
        return task.stage == action.stage or task.stage in self.catalog.closure(action.dataset)

    def waits_for(self, action: Action, task: TaskId) -> bool:
        return action.job in self.schedule.jobs and not action.ended and self.asks(action, task)

    def deliver(self, effect: words.Deliver) -> None:
        action = self.actions[effect.job]
        assert not action.ended, f"{effect} comes after the end of its job"
        assert effect.task.stage == action.stage
        assert effect.task.partition in action.wanted
        if effect.inline:
            assert effect.attempt in self.reports, "the result was dropped before it was delivered"
            self.accept(action, effect.task, effect.attempt)
        else:
            self.delivering.append(effect)

    def accept(self, action: Action, task: TaskId, attempt: AttemptId) -> None:
        before = action.results.get(task.partition)
        assert before is None or (before == attempt and self.rebuilt), (
            f"the result of task {task} came from attempt {before} and again from {attempt}"
        )
        assert self.valid[attempt], f"attempt {attempt} had not read what it should have"
        action.results[task.partition] = attempt

    def finished(self, action: Action) -> None:
        assert not action.ended
        assert set(action.results) == set(action.wanted), f"job {action.job} ended without all it wanted"
        if has_updates(action.stage):
            for partition in action.wanted:
                assert TaskId(action.stage, partition) in action.counted, f"job {action.job} forgot contributions"
        action.ended = "done"

    def failed(self, effect: words.FailJob) -> None:
        action = self.actions[effect.job]
        assert not action.ended
        action.ended = effect.kind
        if effect.kind in {"failed", "lost"}:
            task = effect.task
            assert task is not None
            assert self.asks(action, task), f"job {action.job} fails for task {task}, which it does not need"
            counts, most = (
                (self.failures, SCHEDULE.max_failures)
                if effect.kind == "failed"
                else (self.losses, SCHEDULE.max_losses)
            )
            assert len(counts.get(task, ())) >= most, f"job {action.job} was given up too early: {effect.why}"
        else:
            assert effect.kind == "cancelled", effect

    def free(self, stage: StageId) -> None:
        assert stage in self.released
        assert stage not in self.freed, f"shuffle {stage} is freed twice"
        for action in self.actions.values():
            if not action.ended and action.job in self.schedule.jobs:
                assert stage not in self.catalog.closure(action.dataset), f"job {action.job} needs shuffle {stage}"
        self.freed.add(stage)
        for attempt in [a for a, file in self.files.items() if self.tasks[a].stage == stage]:
            del self.files[attempt]

    def check_at_rest(self) -> None:
        """When nothing is on its way between the two machines, they agree, and nothing is forgotten."""
        schedule = self.schedule
        assert set(schedule.attempts) == set(self.claims.alive)
        living = {worker for worker, process in self.processes.items() if not process.buried}
        assert set(schedule.workers) == set(self.claims.workers) == living
        for attempt, state in schedule.attempts.items():
            assert state.worker in schedule.workers
            assert attempt in schedule.by_task[state.task]
            waiting = any(self.waits_for(action, state.task) for action in self.actions.values())
            assert waiting or state.cancelled_ns is not None, f"attempt {attempt} runs for nobody"
        for job, action in self.actions.items():
            assert action.ended or job in schedule.jobs, f"job {job} is forgotten"
            assert action.ended or job not in self.cancelled, f"job {job} goes on though it was cancelled"
        for task, place in self.places().items():
            assert place.host not in schedule.lost_hosts | self.told_hosts, f"the output of {task} is on a lost disk"
        for key, keepers in schedule.lineage._cached.items():
            assert keepers <= set(schedule.workers), f"{key} is kept by workers that are gone"
        late = {(a, w) for a, w in self.unanswered if w in living}
        assert not late or self.rebuilt, f"reports without an answer: {late}"
        self.unanswered -= {(a, w) for a, w in self.unanswered if w not in living}
        assert schedule.offered.keys() <= self.claims.open.keys()
        for stage in schedule.lineage.alive():
            for partition in schedule.lineage.ready(stage):
                task = TaskId(stage, partition)
                attempts = [schedule.attempts[a] for a in schedule.by_task.get(task, ())]
                attempted = any(a.cancelled_ns is None or self.has_effects(stage) for a in attempts)
                assert attempted or task in schedule.offered or task in schedule.delivering, f"{task} is forgotten"

    # The program.

    def submit(self, dataset: Dataset, wanted: Iterable[int], *, has_effects: bool, inline: bool) -> None:
        job = JobId(len(self.actions) + 1)
        stage = StageId(RESULT_STAGES + job)
        action = Action(job, dataset, stage, tuple(sorted(set(wanted))), has_effects, inline)
        self.actions[job] = action
        specs = [self.catalog.spec(parent, self.kept) for parent in self.catalog.closure(dataset)]
        segments = dataset.segments(self.kept)
        specs.append(StageSpec(stage, f"result {stage}", dataset.partitions, False, segments, has_effects))
        for spec in specs:
            self.code[spec.id] = spec
        self.tell(words.JobSubmitted(job, tuple(specs), action.wanted, self.now_ns))

    def cancel(self, job: JobId) -> None:
        self.cancelled.add(job)
        self.tell(words.JobCancelled(job, "somebody said so", self.now_ns))

    def usable(self) -> list[Dataset]:
        return [d for d in self.catalog.datasets if not self.released & set(self.catalog.closure(d))]

    def releasable(self) -> list[StageId]:
        """Shuffles that no other unreleased one is made of."""
        alive = [stage for stage in self.catalog.shuffles if stage not in self.released]
        used = {parent for stage in alive for parent in self.catalog.shuffles[stage].stages()}
        return [stage for stage in alive if stage not in used]

    def release(self, stage: StageId) -> None:
        self.released.add(stage)
        self.tell(words.ShuffleReleased(stage))

    def keep(self, operator: OperatorId) -> None:
        self.kept |= {operator}

    def unkeep(self, operator: OperatorId) -> None:
        self.kept -= {operator}
        self.tell(words.DatasetUncached(operator))
        for worker in self.living():
            self.send(worker, Uncache(operator))

    def bring(self, effect: words.Deliver) -> None:
        """A result that was not inline reaches the program, or cannot."""
        self.delivering.remove(effect)
        action, file = self.actions[effect.job], self.files.pop(effect.attempt, None)
        if file is None or file.broken or file.host in self.dead_hosts:
            self.reported_lost.add(effect.attempt)
            self.losses.setdefault(effect.task, set()).add(effect.attempt)
            self.tell(words.ResultLost(effect.task, effect.attempt, "it is not there", self.now_ns))
            return
        if not action.ended:
            self.accept(action, effect.task, effect.attempt)
        self.tell(words.ResultDelivered(effect.task, effect.attempt, self.now_ns))

    def hear(self, process: Process, *, twice: bool = False) -> None:
        """A frame from a worker comes."""
        message = process.outbox[0] if twice else process.outbox.popleft()
        if process.buried:
            return
        now = self.now_ns
        match message:
            case Report(attempt=attempt):
                self.unanswered.add((attempt, process.id))
                self.reported(process, message)
            case Beat(attempt=attempt, ran_ns=ran_ns, progress=progress):
                self.tell(words.AttemptProgressed(attempt, ran_ns, progress, now))
            case Evicted(operator=operator, partition=partition):
                self.tell(words.CacheEvicted(process.id, operator, partition))

    def reported(self, process: Process, report: Report) -> None:
        now, attempt, task, worker = self.now_ns, report.attempt, report.task, process.id
        if report.outcome == "done":
            spec = self.schedule.lineage.stage(task.stage)
            where = MapOutput(process.host, attempt) if spec is not None and spec.is_map else None
            cached = tuple(key for key in report.cached if key[0] in self.kept)
            for operator, _ in report.cached:
                if operator not in self.kept:
                    self.send(worker, Uncache(operator))
            output = claims.Output(where, 1, report.inline, updates=report.updates, cached=cached)
            self.reports.setdefault(attempt, report)
            self.tell_claims(claims.CommitAsked(task, attempt, worker, output, 5 * MS, now))
            return
        self.tell_claims(claims.Ended(attempt, now))
        if report.outcome == "failed":
            self.tell(words.AttemptFailed(attempt, worker, "it raised", now))
        elif report.outcome == "starved":
            self.reported_lost.update(by for _, by in report.lost)
            self.tell(words.AttemptStarved(attempt, worker, report.lost_stage, report.lost, "it starved", now))
        else:
            self.tell(words.AttemptStopped(attempt, worker, now))

    # Workers.

    def living(self) -> list[WorkerId]:
        return [worker for worker, process in self.processes.items() if process.alive]

    def hosts(self) -> list[HostId]:
        return sorted({p.host for p in self.processes.values() if p.host not in self.dead_hosts})

    def join(self, host: HostId | None = None) -> None:
        if host is None:
            self.named_hosts += 1
            host = HostId(f"h{self.named_hosts}")
        self.named_workers += 1
        worker = WorkerId(f"w{self.named_workers}")
        self.processes[worker] = Process(worker, host)
        self.tell(words.WorkerJoined(worker, host, self.now_ns))
        self.tell_claims(claims.Joined(worker, host, self.now_ns))

    def kill(self, worker: WorkerId, blame: str) -> None:
        """A process ends; nobody knows yet."""
        process = self.processes[worker]
        process.alive = False
        process.inbox.clear()
        if process.running is not None and blame != "nobody":
            attempt = process.running.run.attempt
            task = self.tasks[attempt]
            if blame == "culprit":
                process.culprit = attempt
                self.failures.setdefault(task, set()).add(attempt)
            else:
                process.victim = attempt
                self.losses.setdefault(task, set()).add(attempt)
        process.running = None

    def bury(self, worker: WorkerId) -> None:
        """The death of a process is noticed; what it had said and was not heard yet is lost."""
        process = self.processes[worker]
        process.buried = True
        process.outbox.clear()
        self.tell_claims(claims.Left(worker))
        self.tell(words.WorkerGone(worker, "it died", process.culprit, process.victim, self.now_ns))

    def destroy(self, host: HostId) -> None:
        """A host is lost, with its disk and its workers; nobody knows yet."""
        self.dead_hosts.add(host)
        for process in self.processes.values():
            if process.host == host and process.alive:
                self.kill(process.id, blame="victim")

    def lose_host(self, host: HostId) -> None:
        """The loss of a host is noticed."""
        self.told_hosts.add(host)
        self.reported_lost.update(a for a, file in self.files.items() if file.host == host)
        self.tell(words.HostGone(host, self.now_ns))

    def receive(self, process: Process, *, twice: bool = False) -> None:
        """A frame comes to a worker."""
        message = process.inbox[0] if twice else process.inbox.popleft()
        match message:
            case Run(attempt=attempt):
                running = process.running.run.attempt if process.running is not None else None
                if attempt not in process.over and attempt not in process.waiting and attempt != running:
                    process.waiting[attempt] = message
            case Stop(attempt=attempt):
                if process.running is not None and process.running.run.attempt == attempt:
                    process.running.interrupted = True
                elif attempt not in process.over:
                    self.give_back(process, attempt)
            case GiveBack(attempts=attempts):
                for attempt in attempts:
                    if attempt in process.waiting:
                        self.give_back(process, attempt)
            case Settled(attempt=attempt, kept=kept):
                if process.unsettled.pop(attempt, None) is not None and not kept:
                    self.files.pop(attempt, None)
            case Uncache(operator=operator):
                for key in [key for key in process.cache if key[0] == operator]:
                    del process.cache[key]

    def give_back(self, process: Process, attempt: AttemptId) -> None:
        process.waiting.pop(attempt, None)
        self.report(process, Report(attempt, self.tasks[attempt], "stopped"))

    def report(self, process: Process, report: Report) -> None:
        process.over.add(report.attempt)
        process.unsettled[report.attempt] = report
        process.outbox.append(report)

    def report_again(self, process: Process) -> None:
        process.outbox.extend(process.unsettled.values())

    def beat(self, process: Process) -> None:
        if process.running is not None:
            process.running.progress = min(999, process.running.progress + 100)
            process.outbox.append(Beat(process.running.run.attempt, self.now_ns, process.running.progress))

    def work(self, process: Process, outcome: str = "done", *, fresh: bool = True, one: bool = False) -> None:
        """A worker gets on: begins an attempt, or reads its input, or ends it.

        Args:
            fresh: it has heard the latest places of its input, not only those of when it was asked to run.
            one: of several broken inputs it notices the first.

        """
        body = process.running
        if body is None:
            for attempt in process.waiting:
                self.begin(process, process.waiting.pop(attempt))
                return
        elif body.interrupted and outcome != "done":  # it may have ended just before it would have noticed
            self.end(process, Report(body.run.attempt, body.run.task, "stopped"))
        elif not body.finished_reading:
            self.read(process, body, fresh=fresh, one=one)
        elif body.starved is not None:
            stage, lost = body.starved
            self.losses.setdefault(body.run.task, set()).add(body.run.attempt)
            self.end(process, Report(body.run.attempt, body.run.task, "starved", lost_stage=stage, lost=lost))
        elif outcome == "fail":
            self.failures.setdefault(body.run.task, set()).add(body.run.attempt)
            self.end(process, Report(body.run.attempt, body.run.task, "failed"))
        else:
            self.finish(process, body)

    def begin(self, process: Process, run: Run) -> None:
        process.running = Body(run)
        for other in self.processes.values():
            if other is not process and other.running is not None and other.running.run.task == run.task:
                assert not run.spec.has_effects, f"task {run.task} has effects, and runs twice at once"
        assert run.attempt not in self.valid, f"attempt {run.attempt} runs twice"

    def end(self, process: Process, report: Report) -> None:
        process.running = None
        self.report(process, report)

    def finish(self, process: Process, body: Body) -> None:
        task, spec = body.run.task, body.run.spec
        self.valid[body.run.attempt] = body.valid
        cached = []
        for reads in _trees_of(_reads_of(spec, task.partition)):
            if reads.cut is not None:
                cached.append((reads.cut, task.partition - reads.first))
        process.cache.update(dict.fromkeys(cached))
        inline = not spec.is_map and next(a.inline for a in self.actions.values() if a.stage == task.stage)
        if not inline:
            self.files[body.run.attempt] = File(process.host, process.id)
        report = Report(body.run.attempt, task, "done", inline, has_updates(task.stage), tuple(cached))
        self.end(process, report)

    def read(self, process: Process, body: Body, *, fresh: bool, one: bool) -> None:
        """Read all input, as the program's code for the stage says; note what is missing."""
        task, spec = body.run.task, body.run.spec
        body.finished_reading = True
        for stage in self.needed(process, _reads_of(spec, task.partition), task.partition):
            places = body.run.tables.get(stage, {})
            if fresh and self.schedule.lineage.stage(stage) is not None:
                places = self.schedule.lineage.outputs(stage)[1]
            count = self.catalog.shuffles[stage].partitions
            absent = tuple((p, AttemptId(0)) for p in range(count) if p not in places)
            unreadable = tuple((p, places[p].attempt) for p in sorted(places) if not self.is_readable(places[p]))
            lost = absent or (unreadable[:1] if one else unreadable)
            if lost:
                body.starved = (stage, lost)
                return
            for p, place in places.items():
                assert self.tasks[place.attempt] == TaskId(stage, p), f"{place} is said to be partition {p} of {stage}"
                body.valid &= self.valid[place.attempt]

    def needed(self, process: Process, reads: Reads, partition: int) -> list[StageId]:
        if reads.cut is not None:
            key = (reads.cut, partition - reads.first)
            keepers = self.schedule.lineage.keepers(*key)
            if any(key in self.processes[w].cache and self.processes[w].alive for w in (process.id, *keepers)):
                return []
        return [*reads.stages, *(s for below in reads.below for s in self.needed(process, below, partition))]

    def is_readable(self, place: MapOutput) -> bool:
        file = self.files.get(place.attempt)
        return file is not None and not file.broken and file.host not in self.dead_hosts

    def suspect(self, worker: WorkerId) -> None:
        self.tell(words.WorkerSuspected(worker))
        self.tell_claims(claims.Suspected(worker))

    def trust(self, worker: WorkerId) -> None:
        self.tell(words.WorkerTrusted(worker))
        self.tell_claims(claims.Trusted(worker, self.now_ns))

    def evict(self, process: Process, key: tuple[OperatorId, int]) -> None:
        del process.cache[key]
        process.outbox.append(Evicted(*key))

    # Time, and a new machine.

    def tick(self, elapsed_ns: int) -> None:
        self.now_ns += elapsed_ns
        self.tell_claims(claims.Ticked(self.now_ns))
        self.tell(words.Ticked(self.now_ns))

    def rebuild(self) -> None:
        """The schedule machine is made anew from its journal; what it had asked for and was not done yet is lost."""
        self.rebuilt += 1
        before = _essence(self.schedule)
        self.schedule = type(self).make_schedule(SCHEDULE, SPECULATE)
        for event in self.journal:
            self.schedule.step(event)
        assert _essence(self.schedule) == before, "its journal is not enough to rebuild it from"
        self.queue = deque(item for item in self.queue if not item[2])
        self.runs.clear()
        self.settlements.clear()
        self.unanswered.clear()
        self.tell(words.Rebuilt(self.now_ns))

    # A kind world.

    def turn_kind(self) -> None:
        """From now on nothing goes wrong, and what has gone wrong is noticed."""
        self.kind = True
        for process in self.processes.values():
            process.stalled = False
            if process.alive:
                self.trust(process.id)
        for host in sorted(self.dead_hosts - self.told_hosts):
            self.lose_host(host)
        for process in self.processes.values():
            if not process.alive and not process.buried:
                self.bury(process.id)
        while len(self.living()) < 2:
            self.join()
        self.loop()

    def kind_round(self) -> None:
        """Everything is delivered, everybody gets on, some time passes."""
        self.tick(300 * MS)
        self.loop()
        for process in list(self.processes.values()):
            if not process.alive and not process.buried:
                self.bury(process.id)  # it had to be killed
                self.join()
        for process in list(self.processes.values()):
            if not process.alive or process.stalled:
                continue
            while process.inbox:
                self.receive(process)
            for _ in range(3):
                self.work(process, "stop" if process.running is not None and process.running.interrupted else "done")
            if process.unsettled:
                self.report_again(process)
            while process.outbox:
                self.hear(process)
        for effect in list(self.delivering):
            self.bring(effect)
        self.loop()

    def check_nothing_is_left(self) -> None:
        """After the last job: no attempt, no offer; and after the last release, nothing at all."""
        schedule, table = self.schedule, self.claims
        assert not schedule.attempts
        assert not schedule.by_task
        assert not schedule.offered
        assert not schedule.delivering
        assert not schedule.jobs
        assert not table.alive
        for process in self.processes.values():
            assert not process.alive or not (process.waiting or process.running or process.unsettled)
        while stages := self.releasable():
            self.release(stages[0])
        self.kind_round()
        assert not schedule.lineage.alive()
        assert not schedule.releasing
        assert not schedule.finished_ns
        assert not schedule.troubles._of
        assert not schedule.reopened
        assert not schedule.lineage._cut_by
        if not self.rebuilt:  # a request to forget may have been lost
            assert not table.open
            assert not table.closed
            assert not table.paces
            assert not self.reports
            left = [attempt for attempt, file in self.files.items() if self.processes[file.writer].alive]
            assert not left, f"outputs of attempts {left} are left"


def has_updates(stage: StageId) -> bool:
    return stage % 2 == 1


def _justified(event: words.Event, before: dict[TaskId, MapOutput]) -> list[TaskId]:
    """Which outputs an event takes away, and no others."""
    match event:
        case words.AttemptStarved(stage=stage, lost=lost):
            named = {(TaskId(stage, partition), by) for partition, by in lost}
            return [task for task, place in before.items() if (task, place.attempt) in named]
        case words.HostGone(host=host):
            return [task for task, place in before.items() if place.host == host]
        case _:
            return []


def _reads_of(spec: StageSpec, partition: int) -> Reads:
    return next(segment.reads for segment in spec.segments if segment.first <= partition < segment.stop)


def _trees_of(reads: Reads) -> Iterable[Reads]:
    yield reads
    for below in reads.below:
        yield from _trees_of(below)


def _stages_of(reads: Reads) -> Iterable[StageId]:
    for tree in _trees_of(reads):
        yield from tree.stages


def _essence(schedule: Schedule) -> object:
    """What must be the same in a machine rebuilt from its journal."""
    lineage = schedule.lineage
    return (
        schedule.jobs,
        schedule.workers,
        schedule.suspects,
        {a: (s.task, s.worker, s.host, s.copy, s.cancelled_ns is None, s.doomed) for a, s in schedule.attempts.items()},
        schedule.by_task,
        schedule.delivering,
        schedule.releasing,
        schedule.finished_ns,
        schedule.lost_hosts,
        schedule.reopened,
        schedule.troubles._of,
        lineage._cached,
        [(s, lineage.ready(s), lineage.waiting(s), lineage.outputs(s)) for s in lineage.alive()],
    )
