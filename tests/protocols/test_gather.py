"""Meetings of tasks in a hostile world: words come twice, late, or not at all; gangs are called off and begun anew.

Every task follows a script of calls.  The truth is kept beside the machine: who has come to which meeting of which gang.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

import pytest

from headrace.ids import AttemptId, StageId
from headrace.protocols.gather import Answer, Assembled, Came, Departed, Disbanded, Effect, Event, Gather, Stands

LIVES = 400
STAGE = StageId(7)
CALLS = ("barrier()", "all_gather()")


@dataclass
class Task:
    """One attempt: it calls what its script says, waits for answers, and ends."""

    attempt: AttemptId
    script: list[str]
    met: int = 0
    waits: bool = False
    ended: bool = False
    error: str = ""
    heard: list[tuple[str, ...]] = field(default_factory=list)

    def word(self) -> Came:
        call = self.script[self.met]
        return Came(self.attempt, self.met + 1, call, said(self.attempt, self.met + 1))


def said(attempt: AttemptId, meeting: int) -> str:
    return f"{attempt} at {meeting}"


class World:
    """A gang at a time, and words on their way in both directions, in order for each task."""

    def __init__(self, chance: Random, scripts: list[list[str]], make: Callable[[], Gather] = Gather) -> None:
        self.chance, self.scripts, self.machine = chance, scripts, make()
        self.named = 0
        self.tasks: list[Task] = []
        self.old: list[Task] = []
        self.up: dict[AttemptId, deque[Event]] = {}
        self.down: dict[AttemptId, deque[Answer]] = {}
        self.met = 0  # meetings that took place, as last said
        self.begin()

    def begin(self) -> None:
        """Call the gang off, if there is one, and begin another."""
        if self.tasks:
            self.step(Disbanded(STAGE))
        self.old += self.tasks
        self.tasks, self.met = [], 0
        for script in self.scripts:
            self.named += 1
            self.tasks.append(Task(AttemptId(self.named), script))
            self.up[self.tasks[-1].attempt], self.down[self.tasks[-1].attempt] = deque(), deque()
        self.step(Assembled(STAGE, tuple(task.attempt for task in self.tasks)))

    def step(self, event: Event) -> None:
        for effect in self.machine.step(event):
            self.take(effect)

    def take(self, effect: Effect) -> None:
        members = [task.attempt for task in self.tasks]
        if isinstance(effect, Stands):
            assert effect.met >= self.met
            self.met = effect.met
            assert set(effect.waiting) < set(members)
            return
        assert effect.attempt in members, "an attempt of a gang that is over was answered"
        assert effect.meeting > 0
        if not effect.error:
            assert effect.messages == tuple(said(member, effect.meeting) for member in members)
            for task in self.tasks:
                here = task.met + (task.waits or task.ended)
                assert here >= effect.meeting, f"task {task.attempt} has not come, and the others were let on"
        self.down[effect.attempt].append(effect)

    # What may happen.

    def get_on(self, task: Task) -> None:
        """A task that does not wait makes its next call, or ends."""
        if task.waits or task.ended:
            return
        if task.error or task.met == len(task.script):
            task.ended = True
            if not task.error:
                self.up[task.attempt].append(Departed(task.attempt))
        else:
            task.waits = True
            self.up[task.attempt].append(task.word())

    def ask_again(self, task: Task) -> None:
        if task.waits:
            self.up[task.attempt].append(task.word())

    def hear(self, attempt: AttemptId, *, twice: bool) -> None:
        words = self.up[attempt]
        if words:
            self.step(words[0] if twice else words.popleft())

    def be_told(self, task: Task, *, twice: bool, lost: bool) -> None:
        answers = self.down[task.attempt]
        if not answers:
            return
        answer = answers[0] if twice else answers.popleft()
        if lost or not task.waits or answer.meeting != task.met + 1:
            return
        task.waits = False
        if answer.error:
            task.error = answer.error
        else:
            task.met += 1
            task.heard.append(answer.messages)

    def happen(self) -> None:
        chance = self.chance
        what, task = chance.random(), chance.choice(self.tasks)
        if what < 0.3:
            self.get_on(task)
        elif what < 0.4:
            self.ask_again(task)
        elif what < 0.7:
            self.hear(chance.choice([*self.tasks, *self.old]).attempt, twice=chance.random() < 0.2)
        elif what < 0.98:
            self.be_told(task, twice=chance.random() < 0.2, lost=chance.random() < 0.2)
        else:
            self.begin()

    def come_to_an_end(self) -> None:
        """Nothing goes wrong any more: whoever waits asks again, and everything is heard."""
        for _ in range(40):
            for task in self.tasks:
                self.get_on(task)
                self.ask_again(task)
                while self.up[task.attempt]:
                    self.hear(task.attempt, twice=False)
            for task in self.tasks:
                while self.down[task.attempt]:
                    self.be_told(task, twice=False, lost=False)
        assert all(task.ended for task in self.tasks), f"some wait for ever: {self.tasks}"
        self.step(Disbanded(STAGE))
        assert not self.machine.gangs
        assert not self.machine.member_of


def live(world: World, steps: int = 60) -> World:
    for _ in range(steps):
        world.happen()
    world.come_to_an_end()
    return world


def same_for_all(chance: Random) -> list[list[str]]:
    script = [chance.choice(CALLS) for _ in range(chance.randint(0, 4))]
    return [script] * chance.randint(1, 4)


def each_its_own(chance: Random) -> list[list[str]]:
    scripts = same_for_all(chance)
    return [chance.choice([s, s[:-1], [*s, CALLS[0]], [chance.choice(CALLS) for _ in s]]) for s in scripts]


def play(make: Callable[[], Gather] = Gather, lives: int = LIVES) -> None:
    for seed in range(lives):
        chance = Random(seed)
        scripts = same_for_all(chance)
        world = live(World(chance, scripts, make))
        for task in world.tasks:
            assert not task.error, f"{seed}: {task.error}"
            members = [one.attempt for one in world.tasks]
            assert task.heard == [tuple(said(m, k + 1) for m in members) for k in range(len(scripts[0]))]


def play_at_odds(make: Callable[[], Gather] = Gather, lives: int = LIVES) -> None:
    for seed in range(lives):
        chance = Random(seed)
        scripts = each_its_own(chance)
        world = live(World(chance, scripts, make))
        together = next((k for k, calls in enumerate(zip(*scripts, strict=False)) if len(set(calls)) > 1), None)
        shortest = min(map(len, scripts))
        until = shortest if together is None else together
        for task, script in zip(world.tasks, scripts, strict=True):
            assert task.met == until, f"{seed}: {task} came further than all could"
            assert bool(task.error) == (len(script) > until), f"{seed}: {task}"


def play_all(make: Callable[[], Gather]) -> None:
    play(make)
    play_at_odds(make)


def test_who_meets_hears_what_all_of_the_gang_said_and_nobody_leaves_early() -> None:
    play()


def test_whoever_waits_for_what_cannot_happen_is_told() -> None:
    play_at_odds()


def test_what_is_told_names_the_tasks_and_their_calls() -> None:
    machine = Gather()
    first, second, third = map(AttemptId, (4, 5, 6))
    machine.step(Assembled(STAGE, (first, second, third)))
    machine.step(Came(first, 1, "barrier()", ""))
    machine.step(Came(third, 1, "barrier()", ""))
    told = machine.step(Came(second, 1, "all_gather()", "x"))
    why = "its tasks came to different calls: task 1 to all_gather(), tasks 0, 2 to barrier()"
    assert told == [Answer(attempt, 1, (), why) for attempt in (first, second, third)]
    assert machine.step(Came(first, 1, "barrier()", "")) == [Answer(first, 1, (), why)], (
        "who did not hear it asks again"
    )


def test_who_remembers_more_than_the_program_begins_again() -> None:
    machine = Gather()
    machine.step(Assembled(STAGE, (AttemptId(1), AttemptId(2))))
    (answer,) = machine.step(Came(AttemptId(1), 3, "barrier()", ""))
    assert isinstance(answer, Answer)
    assert "lost with the program's memory" in answer.error


# Bugs, each of which must be noticed.


class LetsTheFirstGoOn(Gather):
    def step(self, event: Event) -> list[Effect]:
        if isinstance(event, Came) and (gang := self._gang_of(event.attempt)) and len(gang.came) == 1:
            for member in gang.members:
                gang.came.setdefault(member, event)
        return super().step(event)


class ForgetsTheLastAnswer(Gather):
    def _came(self, gang, event: Came) -> list[Effect]:  # type: ignore[no-untyped-def]
        return [] if event.meeting == gang.met else super()._came(gang, event)


class ListensToOldGangs(Gather):
    def _forget(self, stage: StageId) -> None:
        self.gangs.pop(stage, None)


class CountsTwice(Gather):
    def _came(self, gang, event: Came) -> list[Effect]:  # type: ignore[no-untyped-def]
        if event.meeting == gang.met + 1 and event.attempt in gang.came and len(gang.members) > len(gang.came):
            other = next(member for member in gang.members if member not in gang.came)
            gang.came[other] = event
        return super()._came(gang, event)


class WaitsForWhoHasLeft(Gather):
    def _departed(self, gang, attempt: AttemptId) -> list[Effect]:  # type: ignore[no-untyped-def]
        return []


class MixesCalls(Gather):
    def _came(self, gang, event: Came) -> list[Effect]:  # type: ignore[no-untyped-def]
        return super()._came(gang, Came(event.attempt, event.meeting, "", event.message))


BUGS: Iterable[type[Gather]] = [
    LetsTheFirstGoOn,
    ForgetsTheLastAnswer,
    ListensToOldGangs,
    CountsTwice,
    WaitsForWhoHasLeft,
    MixesCalls,
]


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_noticed(bug: type[Gather]) -> None:
    with pytest.raises((AssertionError, KeyError)):
        play_all(bug)
