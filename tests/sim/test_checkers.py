"""Checkers of what counts, each by itself: histories in which the promise is kept, and in which it is broken."""

from __future__ import annotations

import pytest

from headrace.errors import PromiseBroken
from headrace.ids import AttemptId
from headrace.ports import PartSource
from headrace.protocols import schedule_words as words
from headrace.sim.checkers import seen
from headrace.sim.checkers.announced import AnnouncedOutputs
from headrace.sim.checkers.inputs import Inputs
from headrace.sim.checkers.once import Once
from tests.sim.history import JOB, MAPS, OTHER, RESULTS, WORKER, History, report


@pytest.fixture
def once() -> History:
    return History(Once)


# Each partition counts once.


def test_counting_once_is_fine_and_again_when_it_was_lost(once: History) -> None:
    once.claimed(1)
    once.done(1)
    once.settled(1, kept=True)  # said again
    once.told(words.AttemptStarved(AttemptId(9), OTHER, MAPS, ((0, AttemptId(1)),), "it is gone", 0))
    once.claimed(2)
    once.done(2)
    once.claimed(3, (RESULTS, 0))
    once.done(3, once.deliver(3), words.CountUpdates(JOB, AttemptId(3)), updates=True)
    once.claimed(4, (RESULTS, 1))
    once.done(4, once.deliver(4, 1), words.FinishJob(JOB))
    assert once.all.broken is None


def test_a_task_that_counts_twice(once: History) -> None:
    for attempt in (1, 2):
        once.claimed(attempt)
        once.done(attempt)
    assert "task 1.0 counts twice" in once.broken()


def test_another_task_was_lost_and_this_one_counts_twice(once: History) -> None:
    once.claimed(1)
    once.done(1)
    once.told(words.AttemptStarved(AttemptId(9), OTHER, MAPS, ((1, AttemptId(5)),), "it is gone", 0))
    once.claimed(2)
    once.done(2)
    assert "counts twice" in once.broken()


def test_a_result_that_is_delivered_twice(once: History) -> None:
    for attempt in (1, 2):
        once.claimed(attempt, (RESULTS, 0))
        once.done(attempt, once.deliver(attempt), kept=attempt == 1)
    assert "does not count" in once.broken()


def test_one_attempt_whose_result_is_delivered_twice(once: History) -> None:
    once.claimed(1, (RESULTS, 0))
    once.done(1, once.deliver(1), once.deliver(1))
    assert "partition 0 of job 1 is delivered twice" in once.broken()


def test_contributions_that_are_added_twice(once: History) -> None:
    once.claimed(1, (RESULTS, 0))
    add = words.CountUpdates(JOB, AttemptId(1))
    once.done(1, add, add, once.deliver(1), updates=True)
    assert "adds up what task 2.0 brought twice" in once.broken()


def test_contributions_that_are_not_added(once: History) -> None:
    once.claimed(1, (RESULTS, 0))
    once.done(1, once.deliver(1), updates=True)
    assert "was not counted" in once.broken()


def test_a_job_that_is_done_too_early(once: History) -> None:
    once.claimed(1, (RESULTS, 0))
    once.done(1, once.deliver(1), words.FinishJob(JOB))
    assert "has not got partitions [1]" in once.broken()


def test_what_counts_is_to_be_discarded(once: History) -> None:
    once.claimed(1)
    once.done(1)
    once.settled(1, kept=False)
    assert "is to be discarded, and it counts" in once.broken()


def test_what_was_discarded_counts(once: History) -> None:
    once.claimed(1)
    once.done(1, kept=False)
    once.settled(1, kept=True)
    assert "counts, and it was discarded" in once.broken()


def placed(once: History, *renames: tuple[int, str], job: int = 1) -> None:
    for attempt, name in renames:
        once.seen(seen.Renamed(f"/out/_temporary/run/{job}/{attempt}/{name}", f"/out/{name}"))


def with_results(once: History) -> None:
    for partition, attempt in enumerate((1, 2)):
        once.claimed(attempt, (RESULTS, partition))
        once.done(attempt, once.deliver(attempt, partition))
    once.claimed(3, (RESULTS, 0), OTHER)
    once.done(3, kept=False)


def test_parts_that_come_into_place(once: History) -> None:
    with_results(once)
    placed(once, (1, "part-00000.txt"), (2, "part-00001.txt"))
    once.seen(seen.Created("/out/_SUCCESS"))
    assert once.all.broken is None


@pytest.mark.parametrize(
    ("renames", "said"),
    [
        ([(3, "part-00000.txt")], "that does not count"),
        ([(1, "part-00001.txt")], "is another partition's"),
        ([(1, "part-00000.txt"), (1, "part-00000.txt")], "put into place twice"),
        ([(1, "part-00000.txt")], "has 1 of 2 parts"),
    ],
)
def test_parts_that_come_wrongly_into_place(once: History, renames: list[tuple[int, str]], said: str) -> None:
    with_results(once)
    placed(once, *renames)
    once.seen(seen.Created("/out/_SUCCESS"))
    assert said in once.broken()


# What attempts that count have used.

PART = PartSource(MAPS, 0, AttemptId(1))


def read(digest: int | None, source: int = 1) -> History:
    """A map task and a copy of it have written; attempt 3 reads one of them, and counts."""
    history = History(Inputs)
    for attempt, worker in ((1, WORKER), (2, OTHER)):
        history.claimed(attempt, worker=worker)
        history.seen(seen.PartWritten(AttemptId(attempt), 0, 77))
        history.done(attempt, kept=attempt == 1)
    history.claimed(3, (RESULTS, 0))
    history.seen(seen.PartRead(AttemptId(3), PartSource(MAPS, 0, AttemptId(source)), 0, digest))
    return history


@pytest.mark.parametrize("digest", [77, None])
def test_input_that_counts(digest: int | None) -> None:
    history = read(digest)
    history.done(3)
    assert history.all.broken is None


def test_input_of_an_attempt_that_does_not_count() -> None:
    history = read(77, source=2)
    history.done(3, kept=False)
    assert history.all.broken is None, "nor does what was made of it"
    history = read(77, source=2)
    history.done(3)
    assert "it did not count" in history.broken()


def test_input_of_another_task() -> None:
    history = read(77)
    history.seen(seen.PartRead(AttemptId(3), PartSource(MAPS, 1, AttemptId(1)), 0, 77))
    history.done(3)
    assert "it never wrote that" in history.broken()


def test_input_with_other_bytes() -> None:
    history = read(78)
    history.done(3)
    assert "other bytes than it wrote" in history.broken()


def test_a_result_with_other_bytes() -> None:
    history = History(Inputs)
    history.claimed(1, (RESULTS, 0))
    history.seen(
        seen.ResultWritten(AttemptId(1), seen.digest(b"abc")), seen.Delivered(AttemptId(1), seen.digest(b"abc"))
    )
    assert history.all.broken is None
    history.seen(seen.Delivered(AttemptId(1), seen.digest(b"abd")))
    assert "is not what it wrote" in history.broken()


# What is announced.


@pytest.mark.parametrize(("attempts", "said"), [((1, 0), ""), ((2, 0), "does not count"), ((0, 1), "another's output")])
def test_outputs_that_are_announced(attempts: tuple[int, int], said: str) -> None:
    history = History(AnnouncedOutputs)
    for attempt in (1, 2):
        history.claimed(attempt)
        history.done(attempt, kept=attempt == 1)
    history.seen(seen.Announced("w1", MAPS, (AttemptId(attempts[0]), AttemptId(attempts[1]))))
    assert said in (history.broken() if said else "")
    assert bool(said) == (history.all.broken is not None)


def test_done_and_not_there() -> None:
    history = History(AnnouncedOutputs)
    history.claimed(1)
    history.seen(seen.Said(WORKER, report(1, "failed"), ("shuffle/1/0-1.data",)))
    assert history.all.broken is None
    history.seen(seen.Said(WORKER, report(1), ("shuffle/1/0-1.data",)))
    assert "shuffle/1/0-1.data is not there" in history.broken()


# How it is told.


def test_the_first_broken_promise_is_the_one_that_counts(once: History) -> None:
    told: list[PromiseBroken] = []
    once.all.tell = told.append
    for attempt in (1, 2, 3):
        once.claimed(attempt)
    for attempt in (1, 2, 3):
        once.done(attempt)
    assert len(told) == 1
    assert "attempt 3" not in str(told[0])
    assert told[0].seed == 7
    with pytest.raises(PromiseBroken, match="counts exactly once"):
        once.all.confirm()
