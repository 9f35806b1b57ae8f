"""What the machines of scheduling may ask for, and what must be true when nothing is on its way."""

from __future__ import annotations

from headrace.ids import AttemptId, StageId, TaskId
from headrace.protocols import claims
from headrace.protocols import schedule_words as words
from headrace.protocols.lineage import MapOutput
from headrace.protocols.schedule import Schedule
from tests.protocols.scheduling_facts import SCHEDULE
from tests.protocols.scheduling_parts import Action, has_updates, reads_of
from tests.protocols.scheduling_workers import Workers

LOSSES = (words.AttemptStarved, words.HostGone, words.WorkerGone, words.CacheEvicted, words.ResultLost)


class Judge(Workers):
    """Takes note of what counts for the program, and compares it with the truth."""

    def check_offer(self, offer: claims.Offer) -> None:
        """What is offered could run this moment, as far as anybody knows."""
        lineage, task = self.schedule.lineage, offer.task
        spec = lineage.stage(task.stage)
        assert spec is not None
        for stage in self.known_needs(reads_of(spec, task.partition), task.partition):
            lacking = self.catalog.shuffles[stage].partitions - len(lineage.outputs(stage)[1])
            assert not lacking, f"task {task} is offered while {lacking} partitions of shuffle {stage} are lacking"
        assert self.committed.get(task) not in self.counting(task), f"task {task} is offered while its output counts"

    def check_gang(self, members: tuple[claims.Claimed, ...]) -> None:
        """All tasks of a stage, each on a worker of its own with nothing else to do."""
        stage = members[0].task.stage
        assert [member.task.partition for member in members] == list(range(len(members)))
        assert self.is_barrier(stage)
        spec = self.code.get(stage)
        assert spec is None or len(members) == spec.partitions
        assert len({member.worker for member in members}) == len(members)
        for member in members:
            assert list(self.claims.workers[member.worker].held) == [member.attempt], "it had something else to do"

    def check_launch(self, launch: words.Launch) -> None:
        if self.is_barrier(launch.task.stage):
            assert launch.attempt in self.schedule.gangs[launch.task.stage].members, f"{launch} is of no gang"
        assert launch.worker in self.schedule.workers, "launched on a worker that is known to be dead"
        assert self.tasks[launch.attempt] == launch.task

    def check_counted(self, event: words.OutputCommitted, effects: list[words.Effect]) -> None:
        """Contributions that came with an output that is kept are added, unless they were before or nobody waits."""
        kept = any(isinstance(effect, words.Settle) and effect.kept for effect in effects)
        if kept and event.output.updates:
            asking = [action for action in self.actions.values() if self.waits_for(action, event.task)]
            counted = any(isinstance(effect, words.CountUpdates) for effect in effects)
            before = any(event.task in action.counted for action in self.actions.values())
            assert counted or before or not asking, f"the contributions of {event.task} are dropped"

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
        assert before is None or (before == attempt and self.rebuilt) or action.barrier, (
            f"the result of task {task} came from attempt {before} and again from {attempt}"
        )
        assert self.valid[attempt], f"attempt {attempt} had not read what it should have"
        action.results[task.partition] = attempt

    def finished(self, action: Action) -> None:
        assert not action.ended
        assert set(action.results) == set(action.wanted), f"job {action.job} ended without all it wanted"
        if action.barrier:
            gangs = {self.gangs[attempt] for attempt in action.results.values()}
            assert len(gangs) == 1, f"the results of job {action.job} are of several gangs: {gangs}"
        if has_updates(action.stage):
            for partition in action.wanted:
                assert TaskId(action.stage, partition) in action.counted, f"job {action.job} forgot contributions"
        action.ended = "done"

    def failed(self, effect: words.FailJob) -> None:
        action = self.actions[effect.job]
        assert not action.ended
        action.ended = effect.kind
        if effect.kind in {"failed", "timed out", "lost"}:
            task = effect.task
            assert task is not None
            assert self.asks(action, task), f"job {action.job} fails for task {task}, which it does not need"
            counts, most = (
                (self.failures, SCHEDULE.max_failures)
                if effect.kind in {"failed", "timed out"}
                else (self.losses, SCHEDULE.max_losses)
            )
            blamed = [t for t in counts if t.stage == task.stage] if self.is_barrier(task.stage) else [task]
            number = sum(len(counts.get(one, ())) for one in blamed)
            assert number >= most, f"job {action.job} was given up too early: {effect.why}"
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
        held = self.held()
        assert set(schedule.attempts) - held == set(self.claims.alive)
        assert set(self.gather.gangs) == set(schedule.gangs) or self.rebuilt
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
        late = {(a, w) for a, w in self.unanswered if w in living and a not in held}
        assert not late or self.rebuilt, f"reports without an answer: {late}"
        self.unanswered -= {(a, w) for a, w in self.unanswered if w not in living}
        in_gangs = {offer.task for offers in self.claims.gangs.values() for offer in offers}
        assert schedule.offered.keys() <= self.claims.open.keys() | in_gangs
        for stage in {task.stage for task in self.places()} & self.catalog.barriers:
            outputs = schedule.lineage.outputs(stage)[1]
            gangs = {self.gangs[place.attempt] for place in outputs.values()}
            assert len(gangs) == 1, f"the outputs of stage {stage} are of several gangs: {gangs}"
            assert len(outputs) == self.catalog.shuffles[stage].partitions, f"some outputs of stage {stage} count alone"
        for stage in schedule.lineage.alive():
            for partition in schedule.lineage.ready(stage):
                task = TaskId(stage, partition)
                attempts = [schedule.attempts[a] for a in schedule.by_task.get(task, ())]
                attempted = any(a.cancelled_ns is None or self.has_effects(stage) for a in attempts)
                if self.is_barrier(stage):  # all wait for one that cannot run, or for one that is to stop
                    count = next(len(s.wanted) for s in [schedule.lineage._stages[stage]])
                    attempted |= len(schedule.lineage.ready(stage)) < count
                    attempted |= any(other.stage == stage for other in schedule.by_task)
                attempted |= self.may_rest(task)
                assert attempted or task in schedule.offered or task in schedule.delivering, f"{task} is forgotten"

    def may_rest(self, task: TaskId) -> bool:
        """Whether it may wait: its time is not up, and too few could be given it but on hosts where it has failed."""
        schedule, blamed = self.schedule, self.schedule._blamed(task)
        bad = schedule.troubles.hosts(blamed)
        usable = [host for worker, host in schedule.workers.items() if worker not in schedule.suspects]
        spec = schedule.lineage.stage(task.stage)
        needed = spec.partitions if spec is not None and spec.barrier else 1
        is_time = schedule.resting.get(blamed, 0) <= schedule.ticked_ns
        return not is_time and sum(host not in bad for host in usable) < needed


def justified(event: words.Event, before: dict[TaskId, MapOutput], barriers: set[StageId]) -> list[TaskId]:
    """Which outputs an event takes away, and no others; those of a barrier stage go together."""
    gone = _named(event, before)
    together = {task.stage for task in gone} & barriers
    return gone + [task for task in before if task.stage in together and task not in gone]


def _named(event: words.Event, before: dict[TaskId, MapOutput]) -> list[TaskId]:
    match event:
        case words.AttemptStarved(stage=stage, lost=lost):
            named = {(TaskId(stage, partition), by) for partition, by in lost}
            return [task for task, place in before.items() if (task, place.attempt) in named]
        case words.HostGone(host=host):
            return [task for task, place in before.items() if place.host == host]
        case _:
            return []


def essence(schedule: Schedule) -> object:
    """What must be the same in a machine rebuilt from its journal."""
    lineage = schedule.lineage
    return (
        schedule.jobs,
        schedule.workers,
        schedule.suspects,
        {a: (s.task, s.worker, s.host, s.copy, s.cancelled_ns is None, s.doomed) for a, s in schedule.attempts.items()},
        schedule.by_task,
        {stage: (gang.members, gang.done) for stage, gang in schedule.gangs.items()},
        schedule.together,
        schedule.delivering,
        schedule.releasing,
        schedule.finished_ns,
        schedule.lost_hosts,
        schedule.reopened,
        schedule.troubles._of,
        lineage._cached,
        [(s, lineage.ready(s), lineage.waiting(s), lineage.outputs(s)) for s in lineage.alive()],
    )
