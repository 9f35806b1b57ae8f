"""Tasks that run all at once and wait for each other: what they compute is what plain Python computes, round by round."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace import BarrierTaskContext, StorageLevel, TaskContext, testing
from headrace.context import Context
from headrace.dataset import Dataset
from headrace.errors import JobCancelled, TaskFailed, UsageError

MODULUS = 9973
Parts = list[list[int]]


class Rounds:
    """Every task tells the others what it has, and goes on from what all have."""

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds

    def __call__(self, partition: int, records: Iterable[int]) -> Iterator[tuple[int, int]]:
        task = BarrierTaskContext.get()
        state = sum(records) % MODULUS
        for number in range(self.rounds):
            heard = list(map(int, task.all_gather(str(state))))
            assert heard[task.partition_id()] == state
            assert len(heard) == len(task.get_task_infos()) == task.num_partitions()
            state = step(state, heard, partition)
            if number % 2:
                task.barrier()
        yield partition, state


def step(state: int, heard: list[int], partition: int) -> int:
    return (31 * state + sum(i * value for i, value in enumerate(heard, start=1)) + partition) % MODULUS


def model(parts: Parts, rounds: int) -> list[tuple[int, int]]:
    states = [sum(part) % MODULUS for part in parts]
    for _ in range(rounds):
        states = [step(state, states, partition) for partition, state in enumerate(states)]
    return list(enumerate(states))


def dealt(ctx: Context, parts: Parts, shuffled: bool) -> Dataset[int]:
    """The numbers in these parts, by themselves or through a shuffle."""
    if not shuffled:
        return ctx.parallelize([list(part) for part in parts], len(parts)).flat_map(lambda part: part)
    pairs = ctx.parallelize([(place, number) for place, part in enumerate(parts) for number in part], 5)
    return pairs.partition_by(len(parts), lambda place: place).values()


@settings(max_examples=25)
@given(
    parts=st.lists(st.lists(st.integers(0, 100), max_size=5), min_size=1, max_size=4),
    rounds=st.integers(0, 5),
    shuffled=st.booleans(),
    kept=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_whatever_is_lost(parts: Parts, rounds: int, shuffled: bool, kept: bool, seed: int) -> None:
    with headrace.connect(f"sim://?workers=4&hosts=2&seed={seed}&faults=all", progress=False) as ctx:
        made = dealt(ctx, parts, shuffled).barrier().map_partitions_with_index(Rounds(rounds))
        expected = model(parts, rounds)
        if kept:
            made.cache()
        assert made.collect() == expected
        assert sorted(
            made.map(lambda pair: (pair[1] % 3, pair[0])).group_by_key().map_values(sorted).collect()
        ) == sorted(
            (key, [place for place, state in expected if state % 3 == key]) for key in {s % 3 for _, s in expected}
        )
        assert made.map(lambda pair: pair[1]).sum() == sum(state for _, state in expected)


@pytest.mark.parametrize("url", ["inline://", "local://?workers=3&hosts=2", "sim://?workers=3&seed=2"])
def test_in_every_world(url: str) -> None:
    with headrace.connect(url, progress=False) as ctx:
        parts = [list(range(place, 100, 7)) for place in range(ctx.config.workers)]
        for shuffled in (False, True):
            made = dealt(ctx, parts, shuffled).barrier().map_partitions_with_index(Rounds(6))
            assert made.collect() == model(parts, 6)
        again = made.keys().barrier().map_partitions(lambda xs: [sum(xs), len(BarrierTaskContext.get().all_gather())])
        assert again.collect() == [n for place in range(len(parts)) for n in (place, len(parts))]
        large = ctx.range(9, num_slices=len(parts)).barrier().map_partitions_with_index(gather_much).collect()
        assert large == [(partition, 600_000) for _ in parts for partition in range(len(parts))]


def gather_much(partition: int, records: Iterable[int]) -> list[tuple[int, int]]:
    heard = BarrierTaskContext.get().all_gather(chr(900 + partition) * 600_000)
    return [(ord(text[-1]) - 900, len(text)) for text in heard]


class Generation:
    """Tells who ran together: the same in all of a gang, and different in any other."""

    def __call__(self, records: Iterable[int]) -> Iterator[tuple[str, ...]]:
        task = BarrierTaskContext.get()
        told = tuple(task.all_gather(str(task.task_attempt_id())))
        for _ in records:
            yield told


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("level", [None, StorageLevel.MEMORY_ONLY, StorageLevel.DISK_ONLY])
def test_what_is_read_was_made_together(seed: int, level: StorageLevel | None) -> None:
    """Records that no model could foretell: who made them.  Lost with a worker or host, all are made again, or none."""
    with headrace.connect(f"sim://?workers=4&hosts=2&seed={seed}", progress=False) as ctx:
        made = ctx.range(12, num_slices=3).barrier().map_partitions(Generation())
        if level is not None:
            made.persist(level)
        (first,) = set(made.collect())
        assert len(set(first)) == 3
        workers = ctx.workers()
        victim = workers[seed % len(workers)]
        if seed % 3:
            testing.kill_worker(ctx, victim.id)
        else:
            testing.kill_host(ctx, victim.host)
        assert len(set(made.collect())) == 1
        dealt_out = made.map(lambda told: (told, 1)).reduce_by_key(lambda a, b: a + b)
        assert [count for _, count in dealt_out.collect()] == [12]


def test_contributions_and_outputs_count_once(tmp_path: Path) -> None:
    for seed in range(6):
        with headrace.connect(f"sim://?workers=3&seed={seed}&faults=all", progress=False) as ctx:
            seen = ctx.accumulator(0)

            def look(records: Iterable[int], seen: Any = seen) -> list[int]:
                taken = list(records)
                seen.add(len(taken))
                BarrierTaskContext.get().barrier()
                return taken

            out = tmp_path / str(seed)
            ctx.range(30, num_slices=3).barrier().map_partitions(look).save_as_text_file(out)
            assert seen.value == 30
            written = [int(line) for part in sorted(out.glob("part-*")) for line in part.read_text().split()]
            assert written == list(range(30))


# What cannot be.


@pytest.fixture
def four() -> Iterator[Context]:
    with headrace.connect("sim://?workers=4&seed=1&max_failures=2", progress=False) as ctx:
        yield ctx


def same(records: Iterable[Any]) -> Iterable[Any]:
    BarrierTaskContext.get().barrier()
    return records


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (lambda d: d.take(1), "take asks for some partitions only"),
        (lambda d: d.first(), "asks for some partitions only"),
        (lambda d: list(d.to_local_iterator()), "asks for some partitions only"),
        (lambda d: d.union(d).collect(), r"union \(.*\) has 6 partitions, in one stage with map_partitions"),
        (lambda d: d.coalesce(2).count(), r"coalesce \(.*\) has 2 partitions"),
        (lambda d: d.cartesian(d).count(), r"cartesian \(.*\) has 9 partitions"),
        (lambda d: d.zip(d.map(str)).count(), r"zip \(.*\) combines two datasets made after barrier\(\)"),
    ],
)
def test_shapes_that_cannot_meet(four: Context, action: Any, said: str) -> None:
    made = four.range(9, num_slices=3).barrier().map_partitions(same)
    with pytest.raises(UsageError, match=said):
        action(made)


def test_more_tasks_than_workers_are_refused_at_once(four: Context) -> None:
    made = four.range(9, num_slices=5).barrier().map_partitions(same)
    with pytest.raises(UsageError, match=r"all 5 must run at once, and there are 4 workers\. Connect with workers=5"):
        made.count()
    with pytest.raises(UsageError, match="all 5 must run at once"):
        made.repartition(2).count()


def test_shapes_that_can(four: Context) -> None:
    made = four.range(9, num_slices=3).barrier().map_partitions(same)
    assert made.zip(four.range(9, num_slices=3)).count() == 9
    assert sorted(made.repartition(2).union(made.repartition(2)).take(18)) == sorted([*range(9)] * 2)
    assert made.coalesce(3).count() == 9
    assert made.sort_by(lambda x: -x).first() == 8
    assert four.range(9, num_slices=1).barrier().map_partitions(same).take(2) == [0, 1]
    assert four.range(9, num_slices=8).repartition(4).barrier().map_partitions(same).count() == 9


def calls(*which: str) -> Any:
    def call(partition: int, records: Iterable[int]) -> Iterable[int]:
        task = BarrierTaskContext.get()
        for letter in which[partition]:
            task.barrier() if letter == "b" else task.all_gather("x")
        return records

    return call


@pytest.mark.parametrize(
    ("which", "said"),
    [
        (("b", "g", "b"), r"its tasks came to different calls: tasks? .* to all_gather\(\), tasks? .* to barrier\(\)"),
        (("bb", "b", "bb"), r"task 1 ended without barrier\(\), where tasks? .* waited"),
        (("", "", "g"), r"tasks? .* ended without all_gather\(\), where task 2 waited"),
    ],
)
def test_who_waits_in_vain_is_told(four: Context, which: tuple[str, ...], said: str) -> None:
    with pytest.raises(TaskFailed, match=said) as caught:
        four.range(9, num_slices=3).barrier().map_partitions_with_index(calls(*which)).collect()
    assert "whose tasks run all at once, failed 2 times" in str(caught.value)
    assert four.range(9, num_slices=3).barrier().map_partitions(same).sum() == 36, "and the next one meets"


def test_outside_of_such_a_stage_there_is_nobody_to_wait_for(four: Context) -> None:
    with pytest.raises(UsageError, match=r"Elsewhere, ask TaskContext\.get\(\)"):
        BarrierTaskContext.get()
    with pytest.raises(TaskFailed, match=r"Elsewhere, ask TaskContext\.get\(\)"):
        four.range(3, num_slices=3).map_partitions(same).collect()
    plain = four.range(3, num_slices=3).barrier().map_partitions(lambda xs: [TaskContext.get().partition_id()])  # type: ignore[union-attr]
    assert plain.collect() == [0, 1, 2]


@pytest.mark.parametrize(
    ("message", "said"),
    [(3, "sends text, not 3"), ("x" * (2 << 20), "2,097,152 bytes; 1,398,101 is the most"), ("\ud800", "surrogate")],
)
def test_messages_that_cannot_be_sent(four: Context, message: Any, said: str) -> None:
    def gather(records: Iterable[int]) -> list[str]:
        return BarrierTaskContext.get().all_gather(message)

    with pytest.raises(TaskFailed, match=said):
        four.range(3, num_slices=3).barrier().map_partitions(gather).collect()


def test_a_cancelled_job_lets_its_waiting_tasks_go(four: Context) -> None:
    def wait(partition: int, records: Iterable[int]) -> Iterator[int]:
        task = BarrierTaskContext.get()
        while True:  # until somebody says so
            task.barrier()
            yield 1

    made = four.range(3, num_slices=3).barrier().map_partitions_with_index(wait)
    future = four.submit(lambda: made.filter(lambda x: False).count())
    while not any(worker.state == "running" for worker in four.workers()):
        four.range(1).count()
    future.cancel()
    with pytest.raises(JobCancelled):
        future.result()
    assert four.range(9, num_slices=3).barrier().map_partitions(same).sum() == 36
