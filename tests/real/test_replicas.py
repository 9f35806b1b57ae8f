"""Partitions that two workers keep: the loss of either costs nothing, and a third takes its place in the background."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from typing import Any

import pytest

import headrace
from headrace import StorageLevel, testing
from headrace.context import Context
from headrace.ids import OperatorId
from headrace.protocols import replicate
from headrace.protocols import schedule_words as words
from headrace.store.cache import Cache
from tests.real.help import until

LEVELS = [StorageLevel.MEMORY_ONLY_2, StorageLevel.MEMORY_AND_DISK_2, StorageLevel.DISK_ONLY_2]


class Keepers:
    """Who keeps what, as the lineage is told."""

    def __init__(self) -> None:
        self.of: dict[tuple[int, int], set[str]] = {}
        self.copies: Counter[str] = Counter()  # that were asked of each

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        if isinstance(event, words.OutputCommitted):
            for operator, partition in event.output.cached:
                self.of.setdefault((operator, partition), set()).add(event.worker)
        elif isinstance(event, words.CacheGained):
            self.of.setdefault((event.operator, event.partition), set()).add(event.worker)
        elif isinstance(event, words.WorkerGone):
            for keepers in self.of.values():
                keepers.discard(event.worker)
        for effect in effects:
            if isinstance(effect, replicate.MakeCopy):
                self.copies[effect.worker] += 1

    def each(self, number: int, partitions: int) -> bool:
        return len(self.of) == partitions and all(len(keepers) >= number for keepers in list(self.of.values()))


def squares(ctx: Context, level: StorageLevel, slices: int = 6) -> tuple[Any, Any]:
    calls = ctx.accumulator(0)

    def square(x: int) -> int:
        calls.add(1)
        return x * x

    return ctx.range(600, num_slices=slices).map(square).persist(level), calls


def is_gone(ctx: Context, name: str) -> bool:
    return name not in [worker.id for worker in ctx.workers()]


EXPECTED = sum(x * x for x in range(600))


@pytest.mark.parametrize("level", LEVELS)
def test_the_death_of_every_worker_that_computed_anything_recomputes_nothing(level: StorageLevel) -> None:
    keepers = Keepers()
    url = "local://?workers=3&speculate=no"
    with headrace.connect(url, progress=False, watchers=[keepers]) as ctx:
        kept, calls = squares(ctx, level)
        assert kept.get_storage_level() == level
        for _ in range(3):  # in the end nobody is left who computed anything
            assert kept.sum() == EXPECTED
            until(lambda: keepers.each(2, 6), "every partition has two keepers")
            until(lambda: sum(worker.state == "idle" for worker in ctx.workers()) == 3, "all are there")
            victim = min(sorted(set.union(*keepers.of.values())), key=lambda one: int(one[1:]))
            testing.kill_worker(ctx, victim)
            until(functools.partial(is_gone, ctx, victim), "it is dead")
        assert kept.sum() == EXPECTED
        assert calls.value == 600, "the source was read once"
        kept.unpersist()
        assert kept.sum() == EXPECTED
        assert calls.value == 1200


def test_copies_are_on_other_hosts_and_the_loss_of_a_host_recomputes_nothing() -> None:
    keepers = Keepers()
    url = "local://?workers=4&hosts=2&speculate=no"
    with headrace.connect(url, progress=False, watchers=[keepers]) as ctx:
        kept, calls = squares(ctx, StorageLevel.MEMORY_AND_DISK_2)
        assert kept.sum() == EXPECTED
        until(lambda: keepers.each(2, 6), "every partition has two keepers")
        hosts = {str(worker.id): worker.host for worker in ctx.workers()}
        for found in keepers.of.values():
            assert {hosts[worker] for worker in found} == {"h0", "h1"}
        testing.kill_host(ctx, "h0")
        until(lambda: not any(worker.host == "h0" for worker in ctx.workers()), "it is lost")
        assert kept.sum() == EXPECTED
        assert calls.value == 600
        until(lambda: keepers.each(2, 6), "the host that took its place has copies")


def test_both_keepers_lost_means_computing_it_again() -> None:
    keepers = Keepers()
    with headrace.connect("local://?workers=2&speculate=no", progress=False, watchers=[keepers]) as ctx:
        kept, calls = squares(ctx, StorageLevel.MEMORY_ONLY_2)
        assert kept.sum() == EXPECTED
        until(lambda: keepers.each(2, 6), "every partition has two keepers")
        victims = [worker.id for worker in ctx.workers()]
        for victim in victims:
            testing.kill_worker(ctx, victim)
        until(lambda: not {worker.id for worker in ctx.workers()} & set(victims), "they are dead")
        assert kept.sum() == EXPECTED
        assert calls.value > 600


def test_a_replica_survives_in_a_shuffle_job_too() -> None:
    """What is above the kept dataset in other stages is not computed again either: the shuffle may even be lost."""
    keepers = Keepers()
    url = "local://?workers=4&hosts=2&speculate=no"
    with headrace.connect(url, progress=False, watchers=[keepers]) as ctx:
        numbers, calls = squares(ctx, StorageLevel.MEMORY_ONLY)
        numbers.unpersist()
        sums = numbers.map(lambda x: (x % 7, x)).reduce_by_key(lambda a, b: a + b, 5).persist(StorageLevel.DISK_ONLY_2)
        expected = sorted(sums.collect())
        until(lambda: keepers.each(2, 5), "every partition has two keepers")
        testing.kill_host(ctx, "h1")
        until(lambda: not any(worker.host == "h1" for worker in ctx.workers()), "it is lost")
        assert sorted(sums.collect()) == expected
        assert calls.value == 600


@pytest.mark.parametrize("seed", range(6))
def test_in_simulated_worlds_results_are_exact_and_copies_are_made(seed: int) -> None:
    keepers = Keepers()
    url = f"sim://?workers=5&hosts=3&seed={seed}&faults=all"
    with headrace.connect(url, progress=False, watchers=[keepers]) as ctx:
        kept, _ = squares(ctx, StorageLevel.MEMORY_AND_DISK_2)
        for _ in range(3):
            assert kept.sum() == EXPECTED
            assert dict(kept.map(lambda x: (x % 3, 1)).count_by_key()) == Counter(x * x % 3 for x in range(600))
        assert sum(keepers.copies.values()) >= 6


def test_what_has_no_room_for_a_copy_is_not_asked_again_and_nothing_breaks() -> None:
    keepers = Keepers()
    with headrace.connect("local://?workers=2&memory=1MB&speculate=no", progress=False, watchers=[keepers]) as ctx:
        texts = ctx.range(300, num_slices=6).map(lambda x: f"{x:2000}").persist(StorageLevel.MEMORY_ONLY_2)
        for _ in range(3):
            assert texts.map(len).sum() == 600_000
        assert sum(keepers.copies.values()) <= 12, "each worker at most once for each partition"


def test_threads_may_change_a_cache_at_the_same_time() -> None:
    """The loop takes copies while a body keeps what it computes: the count of bytes must stay right."""
    cache = Cache(1 << 20)

    def work(operator: OperatorId) -> None:
        for number in range(400):
            entry = cache.begin(operator, number % 7)
            entry.add(b"x" * (1 + number))
            entry.done()
            if number % 11 == 0:
                cache.forget(operator)
        cache.forget(operator)

    threads = [threading.Thread(target=work, args=(OperatorId(number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache._bytes == 0


def test_what_gave_way_within_its_own_task_is_not_said_to_be_kept() -> None:
    """Two datasets, one made from the other, and room for one: only what is there in the end counts as kept."""
    said: list[tuple[int, int]] = []

    def watch(machine: str, event: Any, effects: list[Any]) -> None:
        if isinstance(event, words.OutputCommitted):
            said.extend(event.output.cached)

    with headrace.connect("inline://?memory=1MB", progress=False, watchers=[watch]) as ctx:
        budget = ctx.config.memory.cache_bytes if ctx.config.memory is not None else 0
        inner = ctx.range(1, num_slices=1).map(lambda x: "a" * (budget * 2 // 3)).persist(StorageLevel.MEMORY_ONLY_2)
        outer = inner.map(lambda text: text.replace("a", "b")).persist(StorageLevel.MEMORY_ONLY_2)
        assert outer.map(len).sum() == budget * 2 // 3
    assert len(said) == 1
