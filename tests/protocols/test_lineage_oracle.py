"""Lineage, step by step, against the same from first principles: random stages, caches, partial outputs and losses."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from headrace.ids import AttemptId, HostId, JobId, OperatorId, StageId, TaskId, WorkerId
from headrace.plan.stages import Reads, Segment, StageSpec
from headrace.protocols.lineage import Change, Lineage, MapOutput, _parents
from tests.protocols.catalog import Catalog, random_catalog
from tests.protocols.naive_lineage import NaiveLineage, below

LIVES = 150
HOSTS = [HostId(f"h{i}") for i in range(3)]
WORKERS = [WorkerId(f"w{i}") for i in range(3)]


def without_lineage(spec: StageSpec) -> StageSpec:
    """The same stage, when its records lie in files."""
    return replace(spec, segments=(Segment(0, spec.partitions, Reads()),))


class Both:
    """A lineage and what it should be; every piece of news goes to both, and then they are compared."""

    def __init__(self, chance: Random, make: type[Lineage]) -> None:
        self.chance = chance
        self.catalog: Catalog = random_catalog(chance)
        self.lineage, self.naive = make(), NaiveLineage()
        self.wanted: set[TaskId] = set()
        self.ready: set[TaskId] = set()
        self.named = 0
        self.cached: frozenset[OperatorId] = frozenset()
        self.submit()

    def compare(self, change: Change, *, done: Iterable[TaskId] = (), lost: Iterable[TaskId] = ()) -> None:
        """Compare the two, and the change with what has changed."""
        lineage, naive = self.lineage, self.naive
        wanted, ready = naive.wanted(), naive.ready()
        stages = lineage.alive()
        tasks = [TaskId(stage, p) for stage in stages for p in range(naive.stages[stage].partitions)]
        assert set(stages) == set(naive.stages)
        assert {task for task in tasks if lineage.is_wanted(task)} == wanted
        assert {task for task in tasks if lineage.is_ready(task)} == ready
        assert {TaskId(s, p): out for s in stages for p, out in lineage.outputs(s)[1].items()} == naive.outputs
        for stage in stages:
            assert list(lineage.jobs_of(stage)) == naive.jobs_of(stage)
        for job, (_, missing) in naive.jobs.items():
            assert lineage.missing(job) == missing
        assert ready - self.ready <= set(change.need) <= ready
        assert set(change.hold) == (self.ready & wanted) - ready
        assert set(change.drop) == self.wanted - wanted - set(done)
        assert sorted(task for task, _ in change.lost) == sorted(lost)
        self.wanted, self.ready = wanted, ready

    def compare_who_needs(self) -> None:
        """Costly, and not asked for at every step."""
        reach = {job: self.naive.wanted(job) for job in self.naive.jobs}
        for task in sorted(self.wanted):
            assert list(self.lineage.needed_by(task)) == [job for job in sorted(reach) if task in reach[job]]

    # News, at random.

    def submit(self) -> None:
        chance, naive = self.chance, self.naive
        dataset = chance.choice(self.catalog.datasets)
        self.named += 1
        job, result = JobId(self.named), StageId(1000 + self.named)
        self.cached = frozenset(o for o in self.catalog.operators if chance.random() < 0.5)
        specs = [self.catalog.spec(stage, self.cached) for stage in self.catalog.closure(dataset)]
        specs.append(StageSpec(result, "result", dataset.partitions, False, dataset.segments(self.cached)))
        wanted = set(chance.sample(range(dataset.partitions), chance.randint(1, dataset.partitions)))
        naive.stages |= {spec.id: spec for spec in specs}
        naive.jobs[job] = (result, set(wanted))
        self.compare(self.lineage.submit(job, specs, wanted))

    def replan(self) -> None:
        """Datasets are kept, or not any more, or cut off from what they were made of; of stages that are not there, too."""
        cached = frozenset(o for o in self.catalog.operators if self.chance.random() < 0.5)
        specs = [self.catalog.spec(stage, cached) for stage in self.catalog.shuffles if self.chance.random() < 0.5]
        specs = [without_lineage(spec) if self.chance.random() < 0.3 else spec for spec in specs]
        alive = set(self.naive.stages)
        told = [spec for spec in specs if {one for s in spec.segments for one in below(s.reads)} <= alive]
        self.naive.stages |= {spec.id: spec for spec in told if spec.id in self.naive.stages}
        self.compare(self.lineage.replan(told))

    def end(self) -> None:
        if self.naive.jobs:
            job = self.chance.choice(sorted(self.naive.jobs))
            result, _ = self.naive.jobs.pop(job)
            change = self.lineage.end(job)
            self.naive.remove(result)
            self.compare(change)

    def store(self) -> None:
        """Mostly what is ready; sometimes what an attempt from before a loss brings."""
        maps = sorted(task for task in (self.ready or self.wanted) if self.naive.stages[task.stage].is_map)
        if self.chance.random() < 0.2:
            maps = [
                TaskId(s, p)
                for s, spec in sorted(self.naive.stages.items())
                if spec.is_map
                for p in range(spec.partitions)
            ]
        if maps:
            task = self.chance.choice(maps)
            self.named += 1
            output = MapOutput(self.chance.choice(HOSTS), AttemptId(self.named))
            self.naive.outputs[task] = output
            self.compare(self.lineage.stored(task, output), done=[task])

    def deliver(self) -> None:
        if waiting := [(job, p) for job, (_, missing) in sorted(self.naive.jobs.items()) for p in sorted(missing)]:
            likely = [(job, p) for job, p in waiting if TaskId(self.naive.jobs[job][0], p) in self.ready]
            job, partition = self.chance.choice(likely if likely and self.chance.random() < 0.8 else waiting)
            result, missing = self.naive.jobs[job]
            missing.discard(partition)
            self.compare(self.lineage.delivered(job, partition), done=[TaskId(result, partition)])

    def _some_cached(self) -> tuple[OperatorId, int]:
        operator = self.chance.choice(self.catalog.operators)
        (dataset,) = [d for d in self.catalog.datasets if d.operator == operator]
        return operator, self.chance.randrange(dataset.partitions)

    def keep(self) -> None:
        if self.catalog.operators:
            operator, partition = self._some_cached()
            worker = self.chance.choice(WORKERS)
            self.naive.kept.add((operator, partition, worker))
            self.compare(self.lineage.cached(operator, partition, worker))

    def evict(self) -> None:
        if self.catalog.operators:
            operator, partition = self._some_cached()
            worker = self.chance.choice(WORKERS)
            self.naive.kept.discard((operator, partition, worker))
            self.compare(self.lineage.evicted(operator, partition, worker))

    def uncache(self) -> None:
        if self.catalog.operators:
            operator = self.chance.choice(self.catalog.operators)
            self.naive.forget_cached(operator)
            self.compare(self.lineage.uncache(operator))

    def not_found(self) -> None:
        """Mostly for a shuffle that is incomplete, and was not to be read, because of what is cached."""
        naive = self.naive
        spared = [
            (task, stage)
            for task in sorted(self.ready)
            for stage in sorted(below(naive.tree(task)) - naive.reads(task))
            if not naive.is_complete(stage)
        ]
        anything = [(task, stage) for task in sorted(self.ready) for stage in sorted(self.catalog.shuffles)]
        if told := spared or anything:
            task, stage = self.chance.choice(told)
            naive.not_found(task, stage)
            self.compare(self.lineage.not_found(task, stage))

    def lose_worker(self) -> None:
        worker = self.chance.choice(WORKERS)
        self.naive.lose_worker(worker)
        self.compare(self.lineage.worker_lost(worker))

    def lose_host(self) -> None:
        host = self.chance.choice(HOSTS)
        lost = [task for task, output in self.naive.outputs.items() if output.host == host]
        self.naive.lose_host(host)
        self.compare(self.lineage.host_lost(host), lost=lost)

    def lose_outputs(self) -> None:
        if self.naive.outputs:
            stage = self.chance.choice(sorted(task.stage for task in self.naive.outputs))
            named = [(t.partition, out.attempt) for t, out in sorted(self.naive.outputs.items()) if t.stage == stage]
            told = self.chance.sample(named, self.chance.randint(1, len(named)))
            told = [(p, attempt) if self.chance.random() < 0.8 else (p, AttemptId(0)) for p, attempt in told]
            lost = [TaskId(stage, p) for p, attempt in told if attempt]
            for task in lost:
                del self.naive.outputs[task]
            self.compare(self.lineage.outputs_lost(stage, told), lost=lost)

    def free(self) -> None:
        if maps := sorted(stage for stage, spec in self.naive.stages.items() if spec.is_map):
            stage = self.chance.choice(maps)
            read = any(stage in self.naive.parents(other) for other in self.naive.stages)
            # Only what no dataset of the program refers to is freed: here, what is made of nothing that is still there.
            if not read and not any(task.stage == stage for task in self.wanted):
                assert self.lineage.free(stage)
                self.naive.remove(stage)
                self.compare(Change())
            elif read:
                assert not self.lineage.free(stage)


NEWS = [
    (3, Both.submit),
    (1, Both.end),
    (2, Both.replan),
    (14, Both.store),
    (4, Both.deliver),
    (4, Both.keep),
    (2, Both.evict),
    (1, Both.uncache),
    (2, Both.not_found),
    (1, Both.lose_worker),
    (2, Both.lose_host),
    (4, Both.lose_outputs),
    (1, Both.free),
]


def live(seed: int, make: type[Lineage] = Lineage, steps: int = 40) -> None:
    chance = Random(seed)
    both = Both(chance, make)
    told: list[str] = []
    try:
        for _ in range(steps):
            ((_, news),) = chance.choices(NEWS, [weight for weight, _ in NEWS])
            told.append(news.__name__)
            news(both)
        both.compare_who_needs()
    except (AssertionError, KeyError) as error:
        raise AssertionError(f"live({seed}) after {', '.join(told)}: {error}") from error


@pytest.mark.parametrize("first", range(0, 4 * LIVES, LIVES))
def test_need_hold_and_ready_are_as_from_first_principles(first: int) -> None:
    for seed in range(first, first + LIVES):
        live(seed)


# Bugs that the comparison must notice.


class ForgetsWhoReads(Lineage):
    def stored(self, task: TaskId, output: MapOutput) -> Change:
        return Change(hold=super().stored(task, output).hold)


class KeepsWantingWhatNobodyNeeds(Lineage):
    def _anew(self) -> Change:
        return Change() if self._jobs else super()._anew()


class HoldsNothingBack(Lineage):
    def _recheck(self, stages: list[Any]) -> Change:
        return Change(need=super()._recheck(stages).need)


class LosesOneHostOnly(Lineage):
    def host_lost(self, host: HostId) -> Change:
        stages = sorted(stage.spec.id for stage in self._stages.values() if stage.outputs)
        gone = [(p, out.attempt) for s in stages[:1] for p, out in self._stages[s].outputs.items() if out.host == host]
        return self.outputs_lost(stages[0], gone) if stages else Change()


class ComputesBelowWhatIsCached(Lineage):
    def cached(self, operator: OperatorId, partition: int, worker: WorkerId) -> Change:
        super().cached(operator, partition, worker)
        return Change()


class BelievesTheFirstEviction(Lineage):
    def evicted(self, operator: OperatorId, partition: int, worker: WorkerId) -> Change:
        keepers = self.keepers(operator, partition)
        changes = [super(BelievesTheFirstEviction, self).evicted(operator, partition, one) for one in keepers]
        return changes[-1] if changes else Change()


class TakesAnyPartitionForCached(Lineage):
    def _is_begun_from(self, reads: Reads, partition: int) -> bool:
        return any(key[0] == reads.cut for key in self._cached)


class ForgivesTheCache(Lineage):
    def not_found(self, task: TaskId, stage: StageId) -> Change:
        return Change()


class AsksForEverything(Lineage):
    def _blockers(self, stage: Any, partition: int) -> list[StageId]:
        return [parent for parent in _parents(stage.spec) if not self._stages[parent].complete]


class StillReadsWhatItWasMadeOf(Lineage):
    def _unlink(self, spec: StageSpec) -> None:
        pass


class WaitsForWhatItWasMadeOf(Lineage):
    def replan(self, stages: Iterable[StageSpec]) -> Change:
        super().replan(stages)
        return Change()


BUGS = {
    "a stage that is planned anew still counts as a reader of what it read": StillReadsWhatItWasMadeOf,
    "what a new plan does not need any more stays wanted": WaitsForWhatItWasMadeOf,
    "a complete shuffle wakes nobody": ForgetsWhoReads,
    "what nobody needs any more stays wanted": KeepsWantingWhatNobodyNeeds,
    "a task whose input is lost is not held back": HoldsNothingBack,
    "a lost host takes the outputs of one stage only": LosesOneHostOnly,
    "what is cached meanwhile does not spare what it is made of": ComputesBelowWhatIsCached,
    "one of several keepers drops a partition, and all are forgotten": BelievesTheFirstEviction,
    "one cached partition stands for all": TakesAnyPartitionForCached,
    "a cached partition that was not found counts as cached": ForgivesTheCache,
    "a cached partition does not spare what it is made of": AsksForEverything,
}


def many_lives(make: type[Lineage]) -> None:
    for seed in range(LIVES):
        live(seed, make)


@pytest.mark.parametrize("bug", BUGS)
def test_is_noticed(bug: str) -> None:
    with pytest.raises(AssertionError):
        many_lives(BUGS[bug])
