"""Backup copies against the rule of LATE, written down once more: who is slow, who is furthest from its end, how many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import isclose
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from headrace.config import SpeculateConfig
from headrace.ids import StageId, TaskId
from headrace.protocols import speculate
from headrace.protocols.speculate import FULL, Running, pick_backups
from tests.protocols.planted import SEARCH

STAGES = [StageId(1), StageId(2)]
CONFIGS = st.builds(
    SpeculateConfig,
    enabled=st.sampled_from([True, True, True, False]),
    after_ns=st.integers(0, 300),
    slow_percentile=st.sampled_from([0.1, 0.25, 0.5, 1.0]),
    slowdown=st.sampled_from([0.0, 1.0, 1.5, 3.0]),
    cap=st.sampled_from([0.05, 0.1, 0.5, 1.0]),
)


@st.composite
def moments(draw: st.DrawFn) -> dict[str, Any]:
    """Running attempts, one of each task, finished ones, and room."""
    tasks = draw(st.lists(st.tuples(st.sampled_from(STAGES), st.integers(0, 9)), max_size=10, unique=True))
    running = [
        Running(TaskId(*task), draw(st.integers(1, 1000)), draw(st.integers(0, FULL)), draw(st.integers(0, 5)) == 5)
        for task in tasks
    ]
    finished = {stage: sorted(draw(st.lists(st.integers(1, 500), max_size=8))) for stage in STAGES}
    return {
        "running": running,
        "finished_ns": finished,
        "copies": draw(st.integers(0, 3)),
        "slots": draw(st.integers(1, 40)),
        "idle": draw(st.integers(0, 6)),
        "config": draw(CONFIGS),
    }


def pick(moment: dict[str, Any]) -> list[TaskId]:
    given_ = dict(moment)
    chosen: list[TaskId] = speculate.pick_backups(given_.pop("running"), given_.pop("finished_ns"), **given_)
    return chosen


def to_the_end(attempt: Running) -> float:
    """LATE's estimate: what is left, at the pace so far; without news of progress, as much again."""
    progress = attempt.progress or FULL / 2
    return (FULL - progress) / (progress / attempt.ran_ns)


def deserves(attempt: Running, moment: dict[str, Any]) -> bool:
    config, stage = moment["config"], attempt.task.stage
    finished: Sequence[int] = moment["finished_ns"][stage]
    if attempt.suspect:
        return True
    if not finished or attempt.ran_ns < config.after_ns:
        return False
    median = sorted(finished)[len(finished) // 2]
    paces = [1000 / ran for ran in finished]
    paces += [one.progress / one.ran_ns for one in moment["running"] if one.task.stage == stage]
    slower = sum(pace < attempt.progress / attempt.ran_ns for pace in paces)
    among_the_slowest = slower <= min(len(paces) - 1, int(len(paces) * config.slow_percentile))
    length = attempt.ran_ns + to_the_end(attempt)
    assume(not isclose(length, config.slowdown * median))  # let rounding decide
    return among_the_slowest and length >= config.slowdown * median


@settings(max_examples=300)
@given(moments())
def test_the_slow_ones_with_the_longest_time_to_their_end_are_copied(moment: dict[str, Any]) -> None:
    check(moment)


def check(moment: dict[str, Any]) -> None:
    chosen = pick(moment)
    running = {attempt.task: attempt for attempt in moment["running"]}
    config = moment["config"]
    slow = {task for task, attempt in running.items() if deserves(attempt, moment)}
    room = min(moment["idle"], max(1, int(moment["slots"] * config.cap)) - moment["copies"])
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= slow, "copied without need"
    assert len(chosen) == (min(max(0, room), len(slow)) if config.enabled else 0), "too many, or too few"

    def urgency(task: TaskId) -> tuple[bool, float]:
        return running[task].suspect, to_the_end(running[task])

    for before, after in pairwise(map(urgency, chosen)):
        assert before >= after or isclose(before[1], after[1]), "not the most urgent first"
    for left in slow - set(chosen) if chosen else ():
        last, other = urgency(chosen[-1]), urgency(left)
        assert last >= other or isclose(last[1], other[1]), "somebody else was further from its end"


@given(moments(), st.randoms(use_true_random=False))
def test_the_order_in_which_attempts_are_listed_does_not_matter(moment: dict[str, Any], chance: Any) -> None:
    chosen = pick(moment)
    chance.shuffle(moment["running"])
    assert pick(moment) == chosen


# Bugs that these tests must notice.

Pick = Callable[..., list[TaskId]]


def shortest_first(running: Any, finished_ns: Mapping[StageId, Sequence[int]], **room: Any) -> list[TaskId]:
    everyone = list(running)
    some = pick_backups(everyone, finished_ns, **{**room, "idle": 1000, "slots": 1000, "config": room["config"]})
    return list(reversed(some))[: len(pick_backups(everyone, finished_ns, **room))]


def without_cap(running: Any, finished_ns: Mapping[StageId, Sequence[int]], **room: Any) -> list[TaskId]:
    return pick_backups(running, finished_ns, **{**room, "copies": 0})


def on_busy_slots(running: Any, finished_ns: Mapping[StageId, Sequence[int]], **room: Any) -> list[TaskId]:
    return pick_backups(running, finished_ns, **{**room, "idle": room["idle"] + 1})


def of_everybody(running: Any, finished_ns: Mapping[StageId, Sequence[int]], **room: Any) -> list[TaskId]:
    return pick_backups([Running(a.task, a.ran_ns, a.progress, True) for a in running], finished_ns, **room)


def of_nobody(running: Any, finished_ns: Mapping[StageId, Sequence[int]], **room: Any) -> list[TaskId]:
    return []


def in_the_order_of_their_names(
    running: Any, finished_ns: Mapping[StageId, Sequence[int]], **room: Any
) -> list[TaskId]:
    return sorted(pick_backups(running, finished_ns, **room))


BUGS: dict[str, Pick] = {
    "the shortest time to the end comes first": shortest_first,
    "copies that run already do not count": without_cap,
    "copies take slots from others": on_busy_slots,
    "everybody is copied": of_everybody,
    "nobody is copied": of_nobody,
    "the most urgent is not the first": in_the_order_of_their_names,
}


@pytest.mark.parametrize("bug", BUGS)
def test_is_noticed(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speculate, "pick_backups", BUGS[bug])
    search = SEARCH(given(moments())(check))
    with pytest.raises((AssertionError, ExceptionGroup)):
        search()
