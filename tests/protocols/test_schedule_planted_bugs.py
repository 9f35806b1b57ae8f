"""Bugs planted in the scheduling machines, each of which the hostile world must notice within a few hundred lives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from headrace.ids import AttemptId, HostId, StageId, TaskId, WorkerId
from headrace.protocols import claims
from headrace.protocols import schedule_words as words
from headrace.protocols.claims import Claims
from headrace.protocols.lineage import Change, Lineage
from headrace.protocols.schedule import Schedule
from headrace.protocols.schedule_state import Attempt
from tests.protocols import scheduling_scenes as scenes
from tests.protocols.scheduling_walk import walk
from tests.protocols.scheduling_world import SchedulingWorld

LIVES = 200


class CountsAgain(Schedule):
    def _committed(self, event: words.OutputCommitted) -> list[words.Effect]:
        for job in self.jobs.values():
            job.counted.clear()
        return super()._committed(event)


class CountsNothingOfMaps(Schedule):
    def _committed(self, event: words.OutputCommitted) -> list[words.Effect]:
        is_map = event.output.where is not None
        return [e for e in super()._committed(event) if not (is_map and isinstance(e, words.CountUpdates))]


class ReadsFromALostDisk(Schedule):
    def _host_gone(self, host: HostId, now_ns: int) -> list[words.Effect]:
        effects = super()._host_gone(host, now_ns)
        self.lost_hosts.clear()
        for state in self.attempts.values():
            state.doomed = False
        return effects


class RepeatsEffects(Schedule):
    def _has_effects(self, task: TaskId) -> bool:
        return False


class CopiesEffects(Schedule):
    def _may_copy(self, state: Attempt) -> bool:
        return self.lineage.is_ready(state.task)


class LeavesTheDeadAtWork(Schedule):
    def _worker_gone(self, event: words.WorkerGone) -> list[words.Effect]:
        self.workers.pop(event.worker, None)
        return self._follow(self.lineage.worker_lost(event.worker))


class ForgetsLostResults(Schedule):
    def _result_lost(self, event: words.ResultLost) -> list[words.Effect]:
        return []


class KeepsProgressOutOfItsJournal(Schedule):
    def must_be_journaled(self, event: words.Event) -> bool:
        return super().must_be_journaled(event) and not isinstance(event, words.AttemptProgressed)


class DoesNotLaunchAgain(Schedule):
    def _rebuilt(self, now_ns: int) -> list[words.Effect]:
        return [effect for effect in super()._rebuilt(now_ns) if not isinstance(effect, words.Launch)]


class DoesNotReopenAgain(Schedule):
    def _rebuilt(self, now_ns: int) -> list[words.Effect]:
        return [effect for effect in super()._rebuilt(now_ns) if not isinstance(effect, words.Reopen)]


class GoesOnWhenCancelled(Schedule):
    def step(self, event: words.Event) -> list[words.Effect]:
        return [] if isinstance(event, words.JobCancelled) and len(self.jobs) > 1 else super().step(event)


class LosesPatience(Schedule):
    def _failed(self, event: words.AttemptFailed) -> list[words.Effect]:
        if state := self.attempts.get(event.attempt):
            self.troubles.failed(state.task, event.attempt, "")
        return super()._failed(event)


class LeavesWhatIsDroppedAtWork(Schedule):
    def _follow_to_the_end(self, change: Change, because: str, now_ns: int) -> list[words.Effect]:
        return self._follow(change)


class BelievesThatItsOfferStands(Schedule):
    def _withdraw(self, tasks: Iterable[TaskId]) -> list[words.Effect]:
        return []


class LetsThemRestForGood(Schedule):
    def _wake(self, tasks: list[TaskId]) -> list[words.Effect]:
        return []


class LetsThemRestInVain(Schedule):
    def _rests(self, task: TaskId) -> bool:
        return self._blamed(task) in self.resting


class CommitsTwice(Claims):
    def _commit(self, event: claims.CommitAsked) -> list[claims.Effect]:
        self.closed.pop(event.task, None)
        return super()._commit(event)


class LetsTheDeadCommit(Claims):
    def _left(self, worker: WorkerId) -> list[claims.Effect]:
        held = self.workers[worker].held.copy() if worker in self.workers else ()
        alive = {attempt: self.alive[attempt] for attempt in held}
        effects = super()._left(worker)
        self.alive.update(alive)
        return effects


class NeverReopens(Claims):
    def step(self, event: claims.Event) -> list[claims.Effect]:
        return [] if isinstance(event, claims.Reopened) else super().step(event)


class UsesANameTwice(Claims):
    def _left(self, worker: WorkerId) -> list[claims.Effect]:
        self.named -= bool(self.named)
        return super()._left(worker)


class GivesWorkToTheSilent(Claims):
    def _trust(self, event: claims.Suspected | claims.Trusted) -> list[claims.Effect]:
        return []


class WakesTooEarly(Lineage):
    def _blockers(self, stage: Any, partition: int) -> list[StageId]:
        return [parent for parent in super()._blockers(stage, partition) if not self._stages[parent].outputs]


class LosesOneTooMany(Lineage):
    def outputs_lost(self, stage: StageId, lost: Iterable[tuple[int, AttemptId]]) -> Change:
        found = self._stages.get(stage)
        return super().outputs_lost(stage, [(p, o.attempt) for p, o in found.outputs.items()] if found and lost else ())


class LosesWhatWasReplaced(Lineage):
    def outputs_lost(self, stage: StageId, lost: Iterable[tuple[int, AttemptId]]) -> Change:
        found = self._stages.get(stage)
        now = {p: output.attempt for p, output in found.outputs.items()} if found else {}
        return super().outputs_lost(stage, [(p, now.get(p, by)) for p, by in lost])


class TrustsDeadDisks(Lineage):
    def host_lost(self, host: HostId) -> Change:
        return Change()


class TrustsDeadMemories(Lineage):
    def worker_lost(self, worker: WorkerId) -> Change:
        return Change()


class KeepsWhatWasEvicted(Lineage):
    def evicted(self, operator: Any, partition: int, worker: WorkerId) -> Change:
        return Change()

    def not_found(self, task: TaskId, stage: StageId) -> Change:
        return Change()


class BelievesTheDeadHaveCopies(Schedule):
    def _gained(self, operator: Any, partition: int, worker: WorkerId, now_ns: int) -> list[words.Effect]:
        return self._follow_to_the_end(self.lineage.cached(operator, partition, worker), "it is cached", now_ns)


class FreesWhatIsRead(Lineage):
    def free(self, stage: StageId) -> bool:
        if found := self._stages.get(stage):
            found.readers.clear()
            found.wanted.clear()
        return super().free(stage)


BUGS: dict[str, type[Schedule | Claims | Lineage]] = {
    "a contribution is added again when its task is run again": CountsAgain,
    "contributions of map tasks are dropped": CountsNothingOfMaps,
    "an output written to a lost disk counts": ReadsFromALostDisk,
    "a task with effects runs beside an attempt that was told to stop": RepeatsEffects,
    "a task with effects is copied": CopiesEffects,
    "attempts of a dead worker are waited for": LeavesTheDeadAtWork,
    "a result that was lost on its way is waited for": ForgetsLostResults,
    "what forgives losses is not in the journal": KeepsProgressOutOfItsJournal,
    "after a rebuild attempts are not launched again": DoesNotLaunchAgain,
    "after a rebuild tasks are not reopened again": DoesNotReopenAgain,
    "a cancelled job goes on": GoesOnWhenCancelled,
    "a failure counts twice": LosesPatience,
    "what was computed for a job that has ended goes on": LeavesWhatIsDroppedAtWork,
    "an offer that a commit took off the table is thought to stand": BelievesThatItsOfferStands,
    "what rests because its hosts are ill is never offered again": LetsThemRestForGood,
    "what failed on an ill host rests though others could have it": LetsThemRestInVain,
    "the second attempt of a task commits, too": CommitsTwice,
    "an attempt outlives its worker": LetsTheDeadCommit,
    "a task whose output is lost may not commit anew": NeverReopens,
    "two attempts have one name": UsesANameTwice,
    "a silent worker is given work": GivesWorkToTheSilent,
    "a reader runs before all of its input is there": WakesTooEarly,
    "a lost block sends back the whole shuffle": LosesOneTooMany,
    "a lost block sends back the one that replaced it": LosesWhatWasReplaced,
    "map outputs outlive their host": TrustsDeadDisks,
    "cached partitions outlive their worker": TrustsDeadMemories,
    "a partition that nobody keeps counts as cached": KeepsWhatWasEvicted,
    "a copy is counted on whose worker is dead": BelievesTheDeadHaveCopies,
    "a shuffle is freed while it is read": FreesWhatIsRead,
}


# What must happen more often, or is played as a scene, for a bug that shows only where rare things meet.
MOODS: dict[type[Schedule | Claims | Lineage], dict[str, float]] = {
    RepeatsEffects: {"the_machine_is_rebuilt": 8, "a_job_is_submitted": 3},
    DoesNotLaunchAgain: {"the_machine_is_rebuilt": 5},
    DoesNotReopenAgain: {"the_machine_is_rebuilt": 5, "a_host_is_lost": 4, "a_worker_joins": 3},
    LosesPatience: {"a_worker_gets_on": 3},
}
PLAYED: dict[type[Schedule | Claims | Lineage], Callable[[type[SchedulingWorld]], None]] = {
    KeepsProgressOutOfItsJournal: scenes.losses_forgiven_stay_forgiven,
    BelievesTheDeadHaveCopies: scenes.a_copy_that_is_heard_of_when_its_worker_is_buried_is_not_counted_on,
    KeepsWhatWasEvicted: scenes.a_cached_partition_that_is_not_there_is_not_waited_for,
    LosesWhatWasReplaced: scenes.who_read_an_old_table_takes_nothing_away,
    LeavesWhatIsDroppedAtWork: scenes.what_is_being_computed_again_is_not_once_its_job_has_ended,
    BelievesThatItsOfferStands: scenes.an_offer_that_a_commit_took_off_the_table_is_made_again,
}


def world_with(bug: type[Schedule | Claims | Lineage]) -> type[SchedulingWorld]:
    """A world whose machines have one bug."""

    def schedule_on_it(*args: Any) -> Schedule:
        schedule = Schedule(*args)
        schedule.lineage = bug()  # type: ignore[assignment,call-arg]
        return schedule

    class Planted(SchedulingWorld):
        if issubclass(bug, Schedule):
            make_schedule: Callable[..., Schedule] = staticmethod(bug)
        elif issubclass(bug, Claims):
            make_claims: Callable[[], Claims] = staticmethod(bug)
        else:
            make_schedule = staticmethod(schedule_on_it)

    return Planted


def live(bug: type[Schedule | Claims | Lineage]) -> None:
    world = world_with(bug)
    if bug in PLAYED:
        PLAYED[bug](world)
        return
    for seed in range(LIVES):
        walk(seed, make=world, mood=MOODS.get(bug, {}))


@pytest.mark.parametrize("bug", BUGS)
def test_is_noticed(bug: str) -> None:
    with pytest.raises((AssertionError, KeyError)):  # KeyError: a machine that looks for what it should not
        live(BUGS[bug])
