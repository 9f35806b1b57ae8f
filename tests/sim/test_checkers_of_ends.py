"""Checkers of how things run and end, each by itself: histories in which the promise is kept, and in which it is broken."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.config import SECOND, ScheduleConfig
from headrace.ids import AttemptId, WorkerId
from headrace.protocols import schedule_words as words
from headrace.sim.checkers import seen
from headrace.sim.checkers.alone import Alone
from headrace.sim.checkers.durable import Durable
from headrace.sim.checkers.ends import Ends
from headrace.sim.checkers.forgotten import Forgotten
from tests.sim.history import HOST, JOB, MAPS, OTHER, RESULTS, WORKER, History, report

# Who runs beside whom.


def began(attempt: int, worker: WorkerId = WORKER) -> seen.BodyBegan:
    return seen.BodyBegan(worker, AttemptId(attempt), 0)


def ended(attempt: int, worker: WorkerId = WORKER) -> seen.BodyEnded:
    return seen.BodyEnded(worker, AttemptId(attempt), 0)


@pytest.mark.parametrize(("between", "is_fine"), [([ended(1)], True), ([seen.WorkerEnded(WORKER)], True), ([], False)])
def test_two_bodies_in_one_worker(between: list[Any], is_fine: bool) -> None:
    history = History(Alone)
    history.claimed(1)
    history.claimed(2, (MAPS, 1))
    history.seen(began(1), *between, began(2))
    assert is_fine or "two attempts at once" in history.broken()
    assert is_fine == (history.all.broken is None)


@pytest.mark.parametrize("effects", [False, True])
def test_two_attempts_at_once(effects: bool) -> None:
    history = History(Alone, effects=effects)
    history.claimed(1, (RESULTS, 0))
    history.claimed(2, (RESULTS, 0), OTHER)
    history.seen(began(1), began(2, OTHER))
    assert not effects or "two attempts at task 2.0 run at once" in history.broken()
    assert effects == (history.all.broken is not None)


def test_a_copy_of_what_has_effects() -> None:
    history = History(Alone, effects=True)
    history.claimed(1, (RESULTS, 0), copy=True)
    assert "a copy of task 2.0 is claimed" in history.broken()


def test_a_body_that_is_run_again() -> None:
    history = History(Alone)
    history.claimed(1)
    history.seen(began(1), ended(1), began(1))
    assert "run twice" in history.broken()


def test_a_gang_that_counts_together() -> None:
    history = History(Alone, barrier=True)
    history.gang(1, 2)
    history.done(1, kept=None)
    history.done(2, words.Settle(AttemptId(1), WORKER, kept=True))
    assert history.all.broken is None


def test_a_gang_of_which_one_counts() -> None:
    history = History(Alone, barrier=True)
    history.gang(1, 2)
    history.done(1)
    assert "some count without the others" in history.broken()


@pytest.mark.parametrize(
    ("partitions", "workers", "said"),
    [((0, 0), (WORKER, OTHER), "is not all of its tasks"), ((0, 1), (WORKER, WORKER), "have one worker")],
)
def test_a_gang_that_is_not_whole(partitions: tuple[int, int], workers: tuple[WorkerId, WorkerId], said: str) -> None:
    history = History(Alone, barrier=True)
    history.gang(1, 2, partitions=partitions, workers=workers)
    assert said in history.broken()


# How jobs and attempts end.


def ends() -> History:
    return History(lambda ledger: Ends(ledger, ScheduleConfig()))


@pytest.mark.parametrize("end", [words.FinishJob(JOB), words.FailJob(JOB, "cancelled", "somebody said so")])
@pytest.mark.parametrize("what", ["deliver", "add", "end"])
def test_nothing_comes_after_the_end(end: Any, what: str) -> None:
    history = ends()
    history.claimed(1, (RESULTS, 0))
    history.told(words.Ticked(0), end)
    assert history.all.broken is None
    after = {"deliver": history.deliver(1), "add": words.CountUpdates(JOB, AttemptId(1)), "end": end}
    history.told(words.Ticked(0), after[what])
    assert "ended" in history.broken()


def test_a_body_that_takes_too_long() -> None:
    history = ends()
    history.claimed(1, (RESULTS, 0))
    history.seen(began(1))
    history.told(words.Ticked(1000 * SECOND))
    assert history.all.broken is None, "until the world is kind"
    checker = history.checker
    assert isinstance(checker, Ends)
    checker.kind_ns = 1000 * SECOND
    history.told(words.Ticked(1012 * SECOND))
    assert history.all.broken is None
    history.told(words.Ticked(1030 * SECOND))
    assert "and it may take 10 s" in history.broken()


@pytest.mark.parametrize("age_s", [5, 10])
def test_who_is_called_late_is_late(age_s: int) -> None:
    history = ends()
    history.claimed(1, (RESULTS, 0))
    history.now_ns = age_s * SECOND
    history.told(words.Ticked(history.now_ns), words.CallOverdue(AttemptId(1), WORKER, 10 * SECOND, 10 * SECOND))
    assert (age_s < 10) == (history.all.broken is not None)


# What is durable.


@pytest.mark.parametrize(("unsynced", "after"), [(["/out/part-0"], []), ([], ["/out/_SUCCESS: its name"]), ([], [])])
def test_an_output_that_is_announced(unsynced: list[str], after: list[str]) -> None:
    lacking = unsynced
    history = History(lambda ledger: Durable(ledger, lambda _: lacking))
    history.seen(seen.Created("/out/_SUCCESS"))
    lacking = after
    history.seen(seen.TreeRemoved("/out/_temporary/run/1"))
    assert (history.all.broken is not None) == bool(unsynced or after)
    assert not (unsynced or after) or "a loss of power would take" in history.broken()


# What is forgotten.


def forgotten(*files: str) -> History:
    return History(lambda ledger: Forgotten(ledger, lambda: files))


def test_all_that_has_begun_has_ended() -> None:
    history = forgotten("h1/shuffle/1/0-1.data", "h1/w1/cache-5", "h1/failed/1-0-2")
    history.claimed(1)
    history.seen(began(1), ended(1), seen.Said(WORKER, report(1)), seen.StreamBegan("w1", "fetch/1"))
    history.done(1)
    history.seen(seen.Settled(WORKER, AttemptId(1)), seen.StreamEnded("w1", "fetch/1"))
    history.claimed(2, (MAPS, 1), OTHER)
    history.seen(began(2, OTHER), seen.StreamBegan("w2", "fetch/1"), seen.WorkerEnded(OTHER))
    history.told(words.WorkerGone(OTHER, "it was killed", None, None, 0))
    assert history.unfinished() == ""


def begin(history: History, what: str) -> None:
    history.claimed(1)
    if what != "attempt":
        history.done(1, kept=what != "discarded")
    if what == "freed":
        history.told(words.Ticked(0), words.FreeShuffle(MAPS))
    if what == "lost host":
        history.told(words.HostGone(HOST, 0))
    things = {
        "body": began(1),
        "report": seen.Said(WORKER, report(1)),
        "pull": seen.StreamBegan("w1", "fetch/1"),
    }
    if what in things:
        history.seen(things[what])


@pytest.mark.parametrize(
    ("what", "file", "said"),
    [
        ("attempt", "", "nobody knows what became of attempt 1"),
        ("body", "", "w1 still runs attempt 1"),
        ("report", "", "w1 was never told what became of attempt 1"),
        ("pull", "", "w1 still pulls blocks"),
        ("freed", "h1/shuffle/1/0-1.index", "its shuffle was freed"),
        ("discarded", "h1/shuffle/1/0-1.data", "discarded at"),
        ("lost host", "h1/shuffle/1/0-1.data", "h1 was lost"),
        ("result", "h1/result/1", "its job has ended"),
        ("scratch", "h1/w1/1.scratch", "it was written aside"),
    ],
)
def test_something_is_forgotten(what: str, file: str, said: str) -> None:
    history = forgotten(*([file] if file else []))
    begin(history, what)
    assert said in history.unfinished()


def test_two_ends_of_one_attempt() -> None:
    history = forgotten()
    history.claimed(1)
    history.done(1)
    history.told(words.AttemptFailed(AttemptId(1), WORKER, "it raised", 0))
    assert "has ended as done, and ends as failed" in history.broken()
