"""Lineage from first principles: what is known, and everything that follows worked out anew at each question."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from headrace.ids import HostId, JobId, OperatorId, StageId, TaskId, WorkerId
from headrace.plan.stages import Reads, StageSpec
from headrace.protocols.lineage import MapOutput


@dataclass
class NaiveLineage:
    """Facts, and definitions over them."""

    stages: dict[StageId, StageSpec] = field(default_factory=dict)
    outputs: dict[TaskId, MapOutput] = field(default_factory=dict)
    kept: set[tuple[OperatorId, int, WorkerId]] = field(default_factory=set)
    jobs: dict[JobId, tuple[StageId, set[int]]] = field(default_factory=dict)  # result stage, what is not delivered

    # Definitions.

    def is_complete(self, stage: StageId) -> bool:
        return all(TaskId(stage, p) in self.outputs for p in range(self.stages[stage].partitions))

    def is_cached(self, reads: Reads, partition: int) -> bool:
        return any((reads.cut, partition - reads.first) == (operator, p) for operator, p, _ in self.kept)

    def tree(self, task: TaskId) -> Reads:
        segments = self.stages[task.stage].segments
        return next(s.reads for s in segments if s.first <= task.partition < s.stop)

    def reads(self, task: TaskId) -> set[StageId]:
        """The shuffles that a task reads, where it begins from cached partitions as early as it can."""

        def visit(reads: Reads) -> Iterator[StageId]:
            if not self.is_cached(reads, task.partition):
                yield from reads.stages
                for below in reads.below:
                    yield from visit(below)

        return set(visit(self.tree(task)))

    def waits_for(self, task: TaskId) -> set[TaskId]:
        """The missing partitions of the shuffles that a task reads."""
        return {
            TaskId(stage, p)
            for stage in self.reads(task)
            for p in range(self.stages[stage].partitions)
            if TaskId(stage, p) not in self.outputs
        }

    def wanted(self, *jobs: JobId) -> set[TaskId]:
        """What some jobs (or all) want: what they have not got, and whatever that waits for."""
        asking = jobs or tuple(self.jobs)
        waiting = {TaskId(self.jobs[job][0], p) for job in asking for p in self.jobs[job][1]}
        found: set[TaskId] = set()
        while waiting:
            found |= waiting
            waiting = {below for task in waiting for below in self.waits_for(task)} - found
        return found

    def ready(self) -> set[TaskId]:
        return {task for task in self.wanted() if not self.waits_for(task)}

    def parents(self, stage: StageId) -> set[StageId]:
        return {parent for segment in self.stages[stage].segments for parent in below(segment.reads)}

    def ancestors(self, stage: StageId) -> set[StageId]:
        found = {stage}
        while more := {parent for one in found for parent in self.parents(one)} - found:
            found |= more
        return found

    def jobs_of(self, stage: StageId) -> list[JobId]:
        return sorted(job for job, (result, _) in self.jobs.items() if stage in self.ancestors(result))

    # News.

    def lose_host(self, host: HostId) -> None:
        self.outputs = {task: output for task, output in self.outputs.items() if output.host != host}

    def lose_worker(self, worker: WorkerId) -> None:
        self.kept = {key for key in self.kept if key[2] != worker}

    def forget_cached(self, operator: OperatorId, partition: int | None = None) -> None:
        self.kept = {key for key in self.kept if key[0] != operator or partition not in (None, key[1])}

    def not_found(self, task: TaskId, stage: StageId) -> None:
        """Of the cached partitions that would have spared a task this shuffle, none can be there."""
        if stage in self.stages and not self.is_complete(stage) and task in self.ready():
            for reads in trees(self.tree(task)):
                if reads.cut is not None and stage in below(reads):
                    self.forget_cached(reads.cut, task.partition - reads.first)

    def remove(self, stage: StageId) -> None:
        del self.stages[stage]
        self.outputs = {task: output for task, output in self.outputs.items() if task.stage != stage}


def trees(reads: Reads) -> Iterator[Reads]:
    yield reads
    for one in reads.below:
        yield from trees(one)


def below(reads: Reads) -> set[StageId]:
    return {stage for tree in trees(reads) for stage in tree.stages}
