"""Bugs planted in how barrier stages are scheduled, each of which the hostile world must notice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

from headrace.ids import AttemptId, StageId, TaskId
from headrace.protocols import claims
from headrace.protocols import schedule_words as words
from headrace.protocols.claims import Claims
from headrace.protocols.lineage import Change, Lineage
from headrace.protocols.schedule import Schedule
from tests.protocols import gang_scenes as scenes
from tests.protocols.scheduling_walk import walk
from tests.protocols.scheduling_world import SchedulingWorld
from tests.protocols.test_schedule_planted_bugs import world_with

LIVES = 200


class CountsOneByOne(Schedule):
    def _done_in_gang(self, event: words.OutputCommitted) -> list[words.OutputCommitted]:
        del self.gangs[event.task.stage]
        return [event]


class KeepsWhatSomeOfAGangDid(Schedule):
    def _break(self, stage: StageId, because: str, now_ns: int) -> list[words.Effect]:
        return [e for e in super()._break(stage, because, now_ns) if not isinstance(e, words.Reopen)]


class GoesOnWithHalfAGang(Schedule):
    def _ended(self, attempt: AttemptId, now_ns: int, how: str = "") -> list[words.Effect]:
        state = self.attempts.get(attempt)
        gang = self.gangs.pop(state.task.stage, None) if state is not None else None
        effects = super()._ended(attempt, now_ns, how)
        if state is not None and gang is not None:
            self.gangs.setdefault(state.task.stage, gang)
        return effects


class BeginsAnewTooEarly(Schedule):
    def _break(self, stage: StageId, because: str, now_ns: int) -> list[words.Effect]:
        members = self.gangs[stage].members
        effects = super()._break(stage, because, now_ns)
        for attempt in members:
            if attempt in self.attempts:
                self._forget(attempt)
        return effects + self._offer_gang(stage)


class MakesOneResultAgain(Schedule):
    def _together_again(self, stage: StageId) -> list[words.Effect]:
        members = self.together[stage]
        lost = [p for p in range(len(members)) if self.lineage.is_ready(TaskId(stage, p))]
        return [self._reopen(TaskId(stage, p), members[p]) for p in lost] + self._offer([TaskId(stage, lost[0])])


class ClaimsHalfAGang(Claims):
    def _claim_gang(self, key: claims.Key, now_ns: int, effects: list[claims.Effect]) -> bool:
        self.gangs[key] = self.gangs[key][: max(1, len(self.gangs[key]) - 1)]
        return super()._claim_gang(key, now_ns, effects)


class GivesGangsMoreToDo(Claims):
    def _claim_gang(self, key: claims.Key, now_ns: int, effects: list[claims.Effect]) -> bool:
        claimed = super()._claim_gang(key, now_ns, effects)
        for state in self.workers.values():
            state.in_gang = False
        return claimed


class GangsMayBusyWorkers(Claims):
    def _claim_gang(self, key: claims.Key, now_ns: int, effects: list[claims.Effect]) -> bool:
        held = {worker: state.held.copy() for worker, state in self.workers.items()}
        for state in self.workers.values():
            state.held.clear()
        claimed = super()._claim_gang(key, now_ns, effects)
        for worker, state in self.workers.items():
            state.held.extendleft(reversed(held[worker]))
        return claimed


class LosesOneOfMany(Lineage):
    def _lose(self, losses: Iterable[tuple[Any, list[int]]]) -> Change:
        barriers = {stage.spec.id: stage.spec for stage in self._stages.values() if stage.spec.barrier}
        for stage in barriers:
            self._stages[stage].spec = msgspec.structs.replace(barriers[stage], barrier=False)
        change = super()._lose(losses)
        for stage, spec in barriers.items():
            self._stages[stage].spec = spec
        return change


BUGS: dict[str, type[Schedule | Claims | Lineage]] = {
    "what one task of a gang made counts before the others have ended": CountsOneByOne,
    "what some of a gang did is not done again with the others": KeepsWhatSomeOfAGangDid,
    "a gang goes on without one of its tasks": GoesOnWithHalfAGang,
    "a gang begins while one before it has not ended": BeginsAnewTooEarly,
    "one result of a gang is made again without the others": MakesOneResultAgain,
    "some tasks of a gang are claimed without the others": ClaimsHalfAGang,
    "a worker of a gang that is not done claims something else": GivesGangsMoreToDo,
    "a gang is claimed by workers that are busy": GangsMayBusyWorkers,
    "one output of a gang is lost without the others": LosesOneOfMany,
}
PLAYED: dict[type[Schedule | Claims | Lineage], Callable[[type[SchedulingWorld]], None]] = {
    CountsOneByOne: scenes.what_one_task_did_is_done_again_when_another_is_lost,
    KeepsWhatSomeOfAGangDid: scenes.what_one_task_did_is_done_again_when_another_is_lost,
    BeginsAnewTooEarly: scenes.a_gang_begins_when_the_last_of_the_one_before_has_ended,
    MakesOneResultAgain: scenes.results_that_some_have_are_made_again_with_the_lost_one,
}


def live(bug: type[Schedule | Claims | Lineage]) -> None:
    world = world_with(bug)
    if bug in PLAYED:
        PLAYED[bug](world)
        return
    for seed in range(LIVES):
        walk(seed, make=world)


@pytest.mark.parametrize("bug", BUGS)
def test_is_noticed(bug: str) -> None:
    with pytest.raises((AssertionError, KeyError)):  # KeyError: a machine that looks for what it should not
        live(BUGS[bug])


@pytest.mark.parametrize("scene", scenes.SCENES, ids=lambda scene: scene.__name__)
def test_scenes(scene: Callable[[type[SchedulingWorld]], None]) -> None:
    scene(SchedulingWorld)
