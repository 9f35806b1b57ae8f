"""What a task can ask about itself: which partition of which stage it is, which try, and what the program's thread set."""

from __future__ import annotations

import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace import TaskContext, testing
from headrace.errors import UsageError
from headrace.ids import AttemptId, StageId, TaskId
from headrace.protocols import claims
from headrace.protocols.tries import Tries
from tests.real.help import until

URLS = ["inline://", "local://?workers=2", "sim://?workers=3&hosts=3&seed=2"]


def about() -> tuple[int, int, int, int, int]:
    """All numbers of the task that runs."""
    task = TaskContext.get()
    assert task is not None
    numbers = task.stage_id(), task.partition_id(), task.num_partitions(), task.attempt_number(), task.task_attempt_id()
    assert task.cpus() == 1
    return numbers


@pytest.mark.parametrize("url", URLS)
def test_a_task_knows_its_stage_its_partition_and_its_attempt(url: str) -> None:
    with headrace.connect(url, progress=False) as ctx:
        assert TaskContext.get() is None
        pairs = ctx.range(8, num_slices=4).map(lambda x: (x % 3, [about()]))
        both = pairs.reduce_by_key(lambda a, b: a + b, 3).map_partitions(lambda rows: [(about(), list(rows))]).collect()
        assert TaskContext.get() is None
    reducers = [one for one, _ in both]
    mappers = {one for _, rows in both for _, found in rows for one in found}
    assert [(partition, of) for _, partition, of, _, _ in reducers] == [(0, 3), (1, 3), (2, 3)]
    assert {(partition, of) for _, partition, of, _, _ in mappers} == {(p, 4) for p in range(4)}
    stages = {one[0] for one in mappers}, {one[0] for one in reducers}
    assert [len(found) for found in stages] == [1, 1]
    assert stages[0] != stages[1]
    assert len({one[4] for one in (*mappers, *reducers)}) == 7, "each attempt has a number of its own"


def test_every_failed_try_counts(tmp_path: Path) -> None:
    path = tmp_path / "tries"

    def third_time(x: int) -> int:
        task = TaskContext.get()
        assert task is not None
        with path.open("a") as file:
            file.write(f"{task.attempt_number()}\n")
        if task.attempt_number() < 2:
            raise OSError("not yet")
        return task.attempt_number()

    with headrace.connect("local://?workers=2&speculate=no", progress=False) as ctx:
        assert ctx.range(1, num_slices=1).map(third_time).collect() == [2]
    assert path.read_text().split() == ["0", "1", "2"]


def test_a_try_that_was_killed_counts_and_what_waited_behind_it_does_not(tmp_path: Path) -> None:
    mark = tmp_path / "begun"

    def held(x: int) -> tuple[int, int]:
        task = TaskContext.get()
        assert task is not None
        if x == 3 and task.attempt_number() == 0:
            mark.touch()
            threading.Event().wait()
        return x, task.attempt_number()

    with headrace.connect("local://?workers=1&speculate=no", progress=False) as ctx:
        future = ctx.submit(ctx.range(8, num_slices=8).map(held).collect)
        until(mark.exists, "the fourth has begun")
        testing.kill_worker(ctx, ctx.workers()[0].id)
        assert dict(future.result()) == {x: int(x == 3) for x in range(8)}


def test_a_claim_that_was_given_back_was_no_try(tmp_path: Path) -> None:
    mark = tmp_path / "asked back"

    def watch(machine: str, event: Any, effects: list[Any]) -> None:
        if any(isinstance(effect, claims.TakeBack) for effect in effects):
            mark.touch()

    def slow(x: int) -> int:
        if x == 150:
            until(mark.exists, "those that wait behind this one are asked back")
        return about()[3]

    with headrace.connect("local://?workers=2&speculate=no", progress=False, watchers=[watch]) as ctx:
        assert set(ctx.range(300, num_slices=300).map(slow).collect()) == {0}
        assert mark.exists()


SEEN: defaultdict[tuple[int, int], dict[int, int]] = defaultdict(dict)  # by task: number and attempt of each try


def note(x: int) -> int:
    """Note which try it is; in a simulated world, all workers are this process."""
    stage, partition, _, number, attempt = about()
    assert SEEN[stage, partition].setdefault(number, attempt) == attempt, "two attempts share a number"
    return x


def test_in_simulated_worlds_no_two_tries_of_a_task_have_the_same_number() -> None:
    again = 0

    @given(seed=st.integers(0, 10_000))
    @settings(max_examples=25)
    def worlds(seed: int) -> None:
        nonlocal again
        SEEN.clear()
        url = f"sim://?workers=4&hosts=4&seed={seed}&faults=all&backup_after=1ms"
        with headrace.connect(url, progress=False) as ctx:
            pairs = ctx.range(30, num_slices=6).map(note).map(lambda x: (x % 4, x))
            assert pairs.reduce_by_key(lambda a, b: a + b, 4).map_values(note).count() == 4
        for numbers in SEEN.values():
            assert len(set(numbers.values())) == len(numbers), "one attempt has two numbers"
            again += len(numbers) - 1

    worlds()
    assert again > 10, "tasks were tried again, or this says nothing"


@given(st.lists(st.tuples(st.integers(1, 12), st.sampled_from(["launch", "give back"])), max_size=40))
def test_numbers_of_living_tries_are_dense_unless_some_were_given_back(moves: list[tuple[int, str]]) -> None:
    tries, task = Tries(), TaskId(StageId(1), 0)
    alive: dict[int, int] = {}
    for attempt, move in moves:
        if move == "launch":
            number = tries.number(task, AttemptId(attempt))
            free = min(set(range(len(alive) + 1)) - set(alive.values()))
            assert number == alive.setdefault(attempt, free)
        else:
            tries.unbegun([AttemptId(attempt)])
            alive.pop(attempt, None)
    tries.forget(task.stage)
    assert tries.number(task, AttemptId(99)) == 0


@pytest.mark.parametrize("url", URLS)
def test_local_properties_are_those_of_the_thread_that_ran_the_job(url: str) -> None:
    with headrace.connect(url, progress=False) as ctx:

        def day() -> set[str | None]:
            def look(x: int) -> str | None:
                task = TaskContext.get()
                assert task is not None
                return task.get_local_property("day")

            return set(ctx.range(4, num_slices=4).map(look).collect())

        found: dict[str, set[str | None]] = {}

        def other() -> None:
            ctx.set_local_property("day", "tuesday")
            found["other"] = day()

        ctx.set_local_property("day", "monday")
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert found["other"] == {"tuesday"}
        assert day() == {"monday"}
        assert ctx.submit(day).result() == {"monday"}
        ctx.set_local_property("day", None)
        assert day() == {None}
        with pytest.raises(UsageError, match="is text, not 'n' and 5"):
            ctx.set_local_property("n", 5)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="half of a surrogate pair"):
            ctx.set_local_property("n", "\udcff")  # it used to break the loop, with the next job


def test_threads_that_a_task_starts_in_a_worker_belong_to_it() -> None:
    def ask(x: int) -> int:
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(about()[1]))
        thread.start()
        thread.join()
        return found[0]

    with headrace.connect("local://?workers=2", progress=False) as ctx:
        assert ctx.range(3, num_slices=3).map(ask).collect() == [0, 1, 2]
