"""Gangs in the claim table: all or none, on workers with nothing else to do, and nobody waits for ever.

Gangs and ordinary tasks of several jobs are offered in any order; workers come, fall silent and go; attempts end in any
order.  However that is, as long as attempts end, everything that is offered is claimed, and nothing younger before a gang.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from headrace.config import MS
from headrace.ids import AttemptId, HostId, JobId, StageId, TaskId, WorkerId
from headrace.protocols.claims import (
    Claimed,
    Claims,
    CommitAsked,
    Effect,
    Ended,
    GangClaimed,
    GangOffered,
    Joined,
    Key,
    Left,
    Offer,
    Offered,
    Output,
    Suspected,
    Ticked,
    Trusted,
    Withdrawn,
)

LIVES = 300
WORKERS = 4


class Table:
    """A claim table, and the truth about who is at what."""

    def __init__(self, chance: Random, make: Callable[[], Claims]) -> None:
        self.chance, self.claims = chance, make()
        self.now_ns = 1
        self.named = self.stages = 0
        self.held: dict[WorkerId, list[Claimed]] = {}
        self.silent: set[WorkerId] = set()
        self.gangs: dict[StageId, Key] = {}  # offered and not claimed
        self.sizes: dict[StageId, int] = {}
        self.open: dict[TaskId, Key] = {}
        self.at_work: dict[AttemptId, Claimed] = {}
        self.late = 0  # younger work that was claimed while a gang that would fit waited
        for _ in range(WORKERS):
            self.join()

    def step(self, event: object) -> None:
        for effect in self.claims.step(event):  # type: ignore[arg-type]
            self.take(effect)

    def take(self, effect: Effect) -> None:
        if isinstance(effect, GangClaimed):
            stage = effect.members[0].task.stage
            del self.gangs[stage]
            assert [one.task for one in effect.members] == [TaskId(stage, p) for p in range(self.sizes[stage])]
            for one in effect.members:
                assert not self.held[one.worker], f"{one.worker} has something else to do"
                assert one.worker not in self.silent
                self.begin(one)
        elif isinstance(effect, Claimed):
            key = self.open.pop(effect.task)
            usable = len(self.held) - len(self.silent)
            fitting = [gang for stage, gang in self.gangs.items() if self.sizes[stage] <= usable]
            assert not fitting or key < min(fitting), (
                f"{effect.task} is begun before gang {min(fitting)}, which is older"
            )
            assert not any(self.is_gang(one.task.stage) for one in self.held[effect.worker])
            self.begin(effect)

    def is_gang(self, stage: StageId) -> bool:
        return stage in self.sizes

    def begin(self, one: Claimed) -> None:
        self.held[one.worker].append(one)
        self.at_work[one.attempt] = one

    # What happens.

    def join(self) -> None:
        self.named += 1
        worker = WorkerId(f"w{self.named}")
        self.held[worker] = []
        self.step(Joined(worker, HostId("h"), self.now_ns))

    def offer(self) -> None:
        self.stages += 1
        stage, job = StageId(self.stages), JobId(self.chance.randint(1, 3))
        tasks = [TaskId(stage, p) for p in range(self.chance.randint(1, WORKERS))]
        near = tuple(self.chance.sample(sorted(self.held), min(1, len(self.held))))
        offers = tuple(Offer(task, job, workers=near if self.chance.random() < 0.3 else ()) for task in tasks)
        if self.chance.random() < 0.4:
            self.gangs[stage], self.sizes[stage] = (job, stage), len(tasks)
            self.step(GangOffered(offers, self.now_ns))
        else:
            self.open.update(dict.fromkeys(tasks, (job, stage)))
            self.step(Offered(offers, self.now_ns))

    def withdraw(self) -> None:
        if self.gangs:
            stage = self.chance.choice(sorted(self.gangs))
            del self.gangs[stage]
            self.step(Withdrawn((TaskId(stage, 0),)))

    def end(self) -> None:
        if not self.at_work:
            return
        one = self.at_work.pop(self.chance.choice(sorted(self.at_work)))
        self.held[one.worker].remove(one)
        if self.chance.random() < 0.5:
            self.step(CommitAsked(one.task, one.attempt, one.worker, Output(), MS // 2, self.now_ns))
        else:
            self.step(Ended(one.attempt, self.now_ns))

    def silence(self) -> None:
        worker = self.chance.choice(sorted(self.held))
        if worker in self.silent:
            self.silent.discard(worker)
            self.step(Trusted(worker, self.now_ns))
        else:
            self.silent.add(worker)
            self.step(Suspected(worker))

    def lose(self) -> None:
        worker = self.chance.choice(sorted(self.held))
        for one in self.held.pop(worker):
            del self.at_work[one.attempt]
        self.silent.discard(worker)
        self.step(Left(worker))
        self.join()

    def tick(self) -> None:
        self.now_ns += 100 * MS
        self.step(Ticked(self.now_ns))

    def happen(self) -> None:
        steps = [self.offer, self.end, self.tick, self.silence, self.lose, self.withdraw]
        self.chance.choices(steps, [3, 6, 2, 1, 0.5, 0.3])[0]()

    def come_to_an_end(self) -> None:
        """Attempts end one after the other: everything that was offered is claimed, gangs included."""
        for worker in sorted(self.silent):
            self.silent.discard(worker)
            self.step(Trusted(worker, self.now_ns))
        for _ in range(1000):
            self.tick()
            if not self.at_work:
                break
            self.end()
        assert not self.gangs, f"gangs {self.gangs} are never claimed"
        assert not self.open, f"tasks {self.open} are never claimed"


def play(make: Callable[[], Claims]) -> None:
    for seed in range(LIVES):
        table = Table(Random(seed), make)
        for _ in range(60):
            table.happen()
        table.come_to_an_end()


def test_gangs_and_other_tasks_in_any_order() -> None:
    play(Claims)


class NeverWaits(Claims):
    def _first_gang(self) -> Key | None:
        return None


class HoldsHalf(Claims):
    def _claim_gang(self, key: Key, now_ns: int, effects: list[Effect]) -> bool:
        idle = sum(not state.held and not state.suspect for state in self.workers.values())
        if idle:
            self.gangs[key] = self.gangs[key][:idle]
        return super()._claim_gang(key, now_ns, effects)


class LetsYoungerOnesPass(Claims):
    def _claim_one(self, worker: WorkerId, now_ns: int, effects: list[Effect], limit: Key | None = None) -> bool:
        return super()._claim_one(worker, now_ns, effects, None)


class KeepsAWorkerForGood(Claims):
    def _over(self, attempt: AttemptId, now_ns: int) -> WorkerId | None:
        worker = super()._over(attempt, now_ns)
        if worker is not None:
            self.workers[worker].in_gang = True
        return worker


@pytest.mark.parametrize("bug", [NeverWaits, HoldsHalf, LetsYoungerOnesPass, KeepsAWorkerForGood])
def test_a_planted_bug_is_noticed(bug: type[Claims]) -> None:
    with pytest.raises((AssertionError, KeyError, ValueError)):
        play(bug)
