"""Which partitions must be computed, for whom, and what they wait for.

Part of the schedule machine, and as pure: what it is told about outputs stored and lost, it answers with tasks that are
needed and tasks that must be held back.  A lost output is computed again only while somebody still needs it; what nobody
asks for any more is not.

Source: Zaharia et al., "Resilient Distributed Datasets" (2012), sections 2.3 and 5.1.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter

from msgspec import Struct, field
from msgspec.structs import replace

from headrace.ids import AttemptId, HostId, JobId, OperatorId, StageId, TaskId, WorkerId
from headrace.plan.stages import Reads, StageSpec


class MapOutput(Struct, frozen=True):
    """Where one partition of a shuffle lies, and which attempt wrote it."""

    host: HostId
    attempt: AttemptId


class Change(Struct, frozen=True):
    """What follows from a piece of news.

    Attributes:
        need: tasks that can run and should; some may be known already.
        hold: tasks that were needed and must wait, because their input is being computed again.
        drop: tasks that nobody needs any more.
        lost: map tasks whose output is gone, needed or not, with the attempts that had written it.

    """

    need: tuple[TaskId, ...] = ()
    hold: tuple[TaskId, ...] = ()
    drop: tuple[TaskId, ...] = ()
    lost: tuple[tuple[TaskId, AttemptId], ...] = ()


class _Stage(Struct):
    spec: StageSpec
    outputs: dict[int, MapOutput] = field(default_factory=dict)  # of a map stage
    version: int = 0  # of those outputs; grows with every change
    wanted: set[int] = field(default_factory=set)  # partitions that somebody waits for
    ready: set[int] = field(default_factory=set)  # those of them that can run
    readers: set[StageId] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        return len(self.outputs) == self.spec.partitions


class Lineage:
    """All stages that are alive, and who wants what of them."""

    def __init__(self) -> None:
        self._stages: dict[StageId, _Stage] = {}
        self._jobs: dict[JobId, tuple[StageId, set[int]]] = {}  # result stage, partitions not delivered yet
        self._cached: dict[tuple[OperatorId, int], set[WorkerId]] = {}
        self._cut_by: dict[OperatorId, set[StageId]] = {}  # stages that may begin from a cached dataset

    # What is asked.

    def submit(self, job: JobId, stages: Iterable[StageSpec], wanted: Iterable[int]) -> Change:
        """Add a job: its stages, parents first, the result stage last, and the result partitions it wants."""
        result = StageId(-1)
        changed = False
        for spec in stages:
            if spec.id not in self._stages:
                self._stages[spec.id] = _Stage(spec)
                self._link(spec)
            else:
                changed = self._replan(spec) or changed
            result = spec.id
        self._jobs[job] = (result, set(wanted))
        return self._anew() if changed else self._want([(result, p) for p in sorted(self._jobs[job][1])])

    def replan(self, stages: Iterable[StageSpec]) -> Change:
        """Datasets in some stages are kept, or not any more, or are not made any more of what they were made of."""
        changed = [self._replan(spec) for spec in stages if spec.id in self._stages]
        return self._anew() if any(changed) else Change()

    def end(self, job: JobId) -> Change:
        """Forget a job that finished, failed or was cancelled, and whatever only it wanted."""
        if job not in self._jobs:
            return Change()
        result, _ = self._jobs.pop(job)
        change = self._anew()
        self._remove(result)
        return change

    def free(self, stage: StageId) -> bool:
        """Forget a shuffle that no dataset refers to; False while a stage still reads it."""
        found = self._stages.get(stage)
        if found is None or found.readers or found.wanted:
            return False
        self._remove(stage)
        return True

    def uncache(self, operator: OperatorId) -> Change:
        """Forget where a dataset is cached."""
        for key in [key for key in self._cached if key[0] == operator]:
            del self._cached[key]
        return self._recheck(self._cutting(operator))

    # What is told.

    def stored(self, task: TaskId, output: MapOutput) -> Change:
        """A map output was committed."""
        stage = self._stages.get(task.stage)
        if stage is None or not stage.spec.is_map:
            return Change()
        held = task.partition in stage.wanted and task.partition not in stage.ready
        stage.outputs[task.partition] = output
        stage.version += 1
        stage.wanted.discard(task.partition)
        stage.ready.discard(task.partition)
        if held:  # an attempt from before a loss got through: what it would have waited for may not be needed now
            return self._anew()
        if not stage.complete:
            return Change()
        need: list[TaskId] = []
        for reader in sorted(stage.readers):
            need += self._wake(self._stages[reader], self._stages[reader].wanted)
        return Change(need=tuple(need))

    def delivered(self, job: JobId, partition: int) -> Change:
        """The program has a result partition."""
        result, missing = self._jobs[job]
        stage = self._stages[result]
        held = partition not in stage.ready
        missing.discard(partition)
        stage.wanted.discard(partition)
        stage.ready.discard(partition)
        return self._anew() if held else Change()

    def redo(self, job: JobId) -> Change:
        """The program must have all partitions of a barrier stage again: those that it has go with one that is lost."""
        result = self._jobs[job][0]
        missing = set(range(self._stages[result].spec.partitions))
        self._jobs[job] = (result, missing)
        self._want([(result, p) for p in sorted(missing)])
        return Change(need=tuple(_tasks(self._stages[result], sorted(self._stages[result].ready))))

    def cached(self, operator: OperatorId, partition: int, worker: WorkerId) -> Change:
        """A worker keeps a cached partition; tasks that had waited for what it was made of may run now."""
        self._cached.setdefault((operator, partition), set()).add(worker)
        need: list[TaskId] = []
        for stage in self._cutting(operator):
            need += self._wake(stage, stage.wanted & _begun_from(stage.spec, operator, partition))
        return self._anew() if need else Change()  # anew: what they had waited for may not be needed now

    def evicted(self, operator: OperatorId, partition: int, worker: WorkerId) -> Change:
        """A worker keeps a cached partition no longer."""
        holders = self._cached.get((operator, partition), set())
        if worker not in holders:
            return Change()
        holders.discard(worker)
        if holders:
            return Change()
        del self._cached[operator, partition]
        return self._recheck(self._cutting(operator))

    def worker_lost(self, worker: WorkerId) -> Change:
        """A worker's memory is gone, with the cached partitions in it."""
        lost = [key for key, holders in self._cached.items() if worker in holders]
        for key in lost:
            self._cached[key].discard(worker)
            if not self._cached[key]:
                del self._cached[key]
        return self._recheck(
            [stage for operator in sorted({key[0] for key in lost}) for stage in self._cutting(operator)]
        )

    def not_found(self, task: TaskId, stage: StageId) -> Change:
        """A task lacked a shuffle.  If it was to begin from a partition cached above that, nobody keeps it any more."""
        found = self._stages.get(stage)
        if found is None or found.complete or not self.is_ready(task):
            return Change()
        missed = []
        for reads in _tree(_segment(self._stages[task.stage].spec, task.partition)):
            key = (reads.cut, task.partition - reads.first)
            if key in self._cached and any(stage in one.stages for one in _tree(reads)):
                del self._cached[key]
                missed.append(key[0])
        return self._recheck([one for operator in missed for one in self._cutting(operator)])

    def host_lost(self, host: HostId) -> Change:
        """A host's disk is gone, with the map outputs on it."""
        return self._lose(
            (stage, [p for p, output in stage.outputs.items() if output.host == host])
            for stage in self._stages.values()
        )

    def outputs_lost(self, stage: StageId, lost: Iterable[tuple[int, AttemptId]]) -> Change:
        """Single map outputs are missing or corrupt; only if they are still the ones that count."""
        found = self._stages.get(stage)
        if found is None:
            return Change()
        gone = [p for p, attempt in lost if p in found.outputs and found.outputs[p].attempt == attempt]
        return self._lose([(found, gone)])

    # What can be looked up.

    def stage(self, stage: StageId) -> StageSpec | None:
        """Return a stage, if it is alive."""
        found = self._stages.get(stage)
        return None if found is None else found.spec

    def outputs(self, stage: StageId) -> tuple[int, dict[int, MapOutput]]:
        """Return where a shuffle's partitions lie, and the version of that table."""
        found = self._stages[stage]
        return found.version, found.outputs

    def finished(self) -> frozenset[StageId]:
        """Return the shuffles that are complete."""
        stages = list(self._stages.values())  # asked from other threads, too
        return frozenset(stage.spec.id for stage in stages if stage.spec.is_map and stage.complete)

    def is_wanted(self, task: TaskId) -> bool:
        """Whether somebody waits for a partition."""
        stage = self._stages.get(task.stage)
        return stage is not None and task.partition in stage.wanted

    def is_ready(self, task: TaskId) -> bool:
        """Whether somebody waits for a partition and it can run."""
        stage = self._stages.get(task.stage)
        return stage is not None and task.partition in stage.ready

    def alive(self) -> list[StageId]:
        """Return all stages."""
        return sorted(self._stages)

    def ready(self, stage: StageId) -> list[int]:
        """Return the partitions of a stage that are wanted and can run."""
        return sorted(self._stages[stage].ready)

    def waiting(self, stage: StageId) -> tuple[int, int]:
        """Return how many partitions of a stage are wanted, and how many of those must wait."""
        found = self._stages[stage]
        return len(found.wanted), len(found.wanted) - len(found.ready)

    def missing(self, job: JobId) -> set[int]:
        """Return the result partitions that a job still waits for."""
        return self._jobs[job][1]

    def result_stage(self, job: JobId) -> StageId:
        """Return a job's last stage."""
        return self._jobs[job][0]

    def jobs_of(self, stage: StageId) -> tuple[JobId, ...]:
        """Return the jobs that wait for a stage, directly or through others, oldest first."""
        above, found = [stage], {stage}
        while above:
            for reader in self._stages[above.pop()].readers:
                if reader not in found:
                    found.add(reader)
                    above.append(reader)
        return tuple(sorted(job for job, (result, _) in self._jobs.items() if result in found))

    def needed_by(self, task: TaskId) -> tuple[JobId, ...]:
        """Return the jobs that cannot end without a task, oldest first."""
        return tuple(job for job in sorted(self._jobs) if task in self._reach(job))

    def _reach(self, job: JobId) -> set[TaskId]:
        result, missing = self._jobs[job]
        found: set[TaskId] = set()
        waiting = [TaskId(result, p) for p in missing]
        while waiting:
            task = waiting.pop()
            if task not in found:
                found.add(task)
                for parent in self._blockers(self._stages[task.stage], task.partition):
                    below = self._stages[parent]
                    waiting += [TaskId(parent, p) for p in range(below.spec.partitions) if p not in below.outputs]
        return found

    def holders(self, task: TaskId) -> tuple[WorkerId, ...]:
        """Return the workers that have a cached partition which a task would begin from."""
        stage = self._stages[task.stage]
        found: set[WorkerId] = set()
        for reads in _tree(_segment(stage.spec, task.partition)):
            if reads.cut is not None:
                found |= self._cached.get((reads.cut, task.partition - reads.first), set())
        return tuple(sorted(found))

    def keepers(self, operator: OperatorId, partition: int) -> tuple[WorkerId, ...]:
        """Return the workers that keep a cached partition."""
        return tuple(sorted(self._cached.get((operator, partition), ())))

    # How it follows.

    def _remove(self, stage: StageId) -> None:
        self._unlink(self._stages.pop(stage).spec)

    def _replan(self, spec: StageSpec) -> bool:
        """Give a stage another plan; False if it is the same."""
        found = self._stages[spec.id]
        if is_same(found.spec, spec):
            return False
        self._unlink(found.spec)
        found.spec = spec
        self._link(spec)
        return True

    def _link(self, spec: StageSpec) -> None:
        for parent in _parents(spec):
            self._stages[parent].readers.add(spec.id)
        for operator in _cuts(spec):
            self._cut_by.setdefault(operator, set()).add(spec.id)

    def _unlink(self, spec: StageSpec) -> None:
        for parent in _parents(spec):
            self._stages[parent].readers.discard(spec.id)
        for operator in _cuts(spec):
            stages = self._cut_by[operator]
            stages.discard(spec.id)
            if not stages:
                del self._cut_by[operator]

    def _anew(self) -> Change:
        """Work out from nothing what the jobs wait for: some of what was wanted may not be any more."""
        active = [stage for stage in self._stages.values() if stage.wanted]
        wanted = {task for stage in active for task in _tasks(stage, stage.wanted)}
        ready = {task for stage in active for task in _tasks(stage, stage.ready)}
        for stage in active:
            stage.wanted.clear()
            stage.ready.clear()
        need: list[TaskId] = []
        for stage_id, partitions in self._jobs.values():
            need += self._want([(stage_id, p) for p in sorted(partitions)]).need
        still = {task for stage in self._stages.values() if stage.wanted for task in _tasks(stage, stage.wanted)}
        hold = tuple(sorted((ready & still).difference(need)))
        return Change(need=tuple(need), hold=hold, drop=tuple(sorted(wanted - still)))

    def _want(self, tasks: list[tuple[StageId, int]]) -> Change:
        """Want partitions, and whatever they wait for."""
        need: list[TaskId] = []
        waiting = list(reversed(tasks))
        asked: set[StageId] = set()  # of which all that is lacking is wanted already, or is in the list
        while waiting:
            stage_id, partition = waiting.pop()
            stage = self._stages[stage_id]
            if partition in stage.wanted or partition in stage.outputs:
                continue
            stage.wanted.add(partition)
            blockers = self._blockers(stage, partition)
            if not blockers:
                stage.ready.add(partition)
                need.append(TaskId(stage_id, partition))
            for parent in blockers:
                if parent not in asked:
                    asked.add(parent)
                    lacking = range(self._stages[parent].spec.partitions - 1, -1, -1)
                    waiting += [(parent, p) for p in lacking if p not in self._stages[parent].outputs]
        return Change(need=tuple(need))

    def _blockers(self, stage: _Stage, partition: int) -> list[StageId]:
        """Return the incomplete shuffles that a partition reads."""
        return [
            parent
            for parent in dict.fromkeys(self._needs(_segment(stage.spec, partition), partition))
            if not self._stages[parent].complete
        ]

    def _needs(self, reads: Reads, partition: int) -> Iterator[StageId]:
        for one in _tree(reads, lambda one: self._is_begun_from(one, partition)):
            yield from one.stages

    def _is_begun_from(self, reads: Reads, partition: int) -> bool:
        return reads.cut is not None and (reads.cut, partition - reads.first) in self._cached

    def _cutting(self, operator: OperatorId) -> list[_Stage]:
        """Return the living stages that may begin from a cached dataset."""
        return [self._stages[stage] for stage in sorted(self._cut_by.get(operator, ())) if stage in self._stages]

    def _wake(self, stage: _Stage, partitions: set[int]) -> list[TaskId]:
        """Find wanted partitions that nothing holds back any more."""
        woken = [p for p in sorted(partitions - stage.ready) if not self._blockers(stage, p)]
        stage.ready.update(woken)
        return [TaskId(stage.spec.id, p) for p in woken]

    def _lose(self, losses: Iterable[tuple[_Stage, list[int]]]) -> Change:
        touched: list[_Stage] = []
        lost: list[tuple[TaskId, AttemptId]] = []
        for stage, gone in losses:
            # Outputs of a barrier stage count together or not at all.
            partitions = list(stage.outputs) if gone and stage.spec.barrier else gone
            for partition in sorted(partitions):
                lost.append((TaskId(stage.spec.id, partition), stage.outputs.pop(partition).attempt))
            if partitions:
                stage.version += 1
                touched += [self._stages[reader] for reader in sorted(stage.readers)]
        return replace(self._recheck(touched), lost=tuple(lost))

    def _recheck(self, stages: list[_Stage]) -> Change:
        """After a loss: hold back what can no longer run, and want what it now waits for."""
        need: list[TaskId] = []
        hold: list[TaskId] = []
        waiting = sorted({stage.spec.id for stage in stages})
        while waiting:
            stage = self._stages[waiting.pop(0)]
            for partition in sorted(stage.wanted):
                blockers = self._blockers(stage, partition)
                if not blockers:
                    continue
                if partition in stage.ready:
                    stage.ready.discard(partition)
                    hold.append(TaskId(stage.spec.id, partition))
                for parent in blockers:
                    lacking = range(self._stages[parent].spec.partitions)
                    need += self._want([(parent, p) for p in lacking if p not in self._stages[parent].outputs]).need
        return Change(need=tuple(need), hold=tuple(hold))


def _parents(spec: StageSpec) -> set[StageId]:
    found: set[StageId] = set()
    for segment in spec.segments:
        for reads in _tree(segment.reads):
            found.update(reads.stages)
    return found


def _cuts(spec: StageSpec) -> set[OperatorId]:
    found: set[OperatorId] = set()
    for segment in spec.segments:
        for reads in _tree(segment.reads):
            if reads.cut is not None:
                found.add(reads.cut)
    return found


def _tree(reads: Reads, without: Callable[[Reads], bool] = lambda _: False) -> Iterator[Reads]:
    """Give all that a partition may need, from the top, and what several branches share once.

    Without recursion, because lineages grow long, and they may part and meet again at every step.

    Args:
        without: what is left out, and what only that needs.

    """
    seen: set[int] = set()
    waiting = [reads]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen and not without(one):
            seen.add(id(one))
            yield one
            waiting.extend(reversed(one.below))


def is_same(one: StageSpec, other: StageSpec) -> bool:
    """Compare two plans of a stage, as `==` would if they could not be deep."""
    if replace(one, segments=()) != replace(other, segments=()) or len(one.segments) != len(other.segments):
        return False
    return all(
        (mine.first, mine.stop) == (theirs.first, theirs.stop) and _shape(mine.reads) == _shape(theirs.reads)
        for mine, theirs in zip(one.segments, other.segments, strict=True)
    )


def _shape(reads: Reads) -> list[tuple[OperatorId | None, int, tuple[StageId, ...], tuple[int, ...]]]:
    """Write a tree as a list, what is below as places in it."""
    nodes = list(_tree(reads))
    places = {id(node): place for place, node in enumerate(nodes)}
    return [(node.cut, node.first, node.stages, tuple(places[id(one)] for one in node.below)) for node in nodes]


def _begun_from(spec: StageSpec, operator: OperatorId, partition: int) -> set[int]:
    """Return the partitions of a stage that may begin from one cached partition."""
    found = set()
    for segment in spec.segments:
        for reads in _tree(segment.reads):
            if reads.cut == operator and segment.first <= partition + reads.first < segment.stop:
                found.add(partition + reads.first)
    return found


def _segment(spec: StageSpec, partition: int) -> Reads:
    place = bisect_right(spec.segments, partition, key=_first) - 1
    assert 0 <= partition < spec.segments[place].stop, f"stage {spec.id} has no partition {partition}"
    return spec.segments[place].reads


_first = attrgetter("first")


def _tasks(stage: _Stage, partitions: Iterable[int]) -> Iterator[TaskId]:
    return (TaskId(stage.spec.id, p) for p in partitions)
