"""Predictions where the answer is known: equal tasks, one long task, a full link, failures, the program's own time."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from headrace.errors import UsageError
from headrace.plan.profile import Profile, Replanned
from headrace.sim.predict.model import longest_path, models_of, scale_for
from headrace.sim.predict.predict import Predictor
from headrace.sim.predict.replay import steps_of
from tests.sim.predicting import CLUSTER, MS, predict, profile, shuffled, stage

SLACK_MS = 40  # starts, messages, and whoever takes a task from another's queue


def took_ms(found: Profile, workers: int, **cluster: object) -> float:
    made = predict(found, workers, replace(CLUSTER, **cluster) if cluster else CLUSTER)
    return (made.took_ns - CLUSTER.startup_ns) / MS


@settings(max_examples=12)
@given(st.integers(1, 40), st.sampled_from([50, 300]), st.integers(1, 12))
def test_equal_tasks_take_as_many_rounds_as_they_must(tasks: int, ms: int, workers: int) -> None:
    took = took_ms(profile((0, 1, [stage(1, [ms] * tasks)])), workers)
    rounds = math.ceil(tasks / workers)
    assert rounds * ms <= took <= rounds * ms + SLACK_MS


@settings(max_examples=12)
@given(st.lists(st.integers(20, 2000), min_size=1, max_size=20), st.integers(1, 8))
def test_no_stage_is_shorter_than_its_longest_task_or_its_share(ran: list[int], workers: int) -> None:
    """Graham (1966): a list schedule takes no longer than the share and the longest together."""
    found = profile((0, 1, [stage(1, list(map(float, ran)))]))
    took = took_ms(found, workers)
    assert max(max(ran), sum(ran) / workers) <= took <= sum(ran) / workers + max(ran) + SLACK_MS
    assert took >= longest_path(found, models_of(found)) / MS


@pytest.mark.parametrize("workers", [2, 4])
def test_a_shuffle_takes_as_long_as_its_links_need(workers: int) -> None:
    """Each host receives what the others wrote for it: no sooner than the given rate allows, and some pieces later."""
    each = 8 << 20
    found = shuffled(workers, each)
    must_ms = each * (workers - 1) / workers / 10e6 * 1000  # at 10 MB/s
    slow, fast = (took_ms(found, workers, bytes_s=int(rate)) for rate in (10e6, 1e12))
    assert fast <= 20 + SLACK_MS
    assert must_ms + 10 <= slow <= 1.5 * must_ms + 20 + SLACK_MS
    alone = predict(found, workers, replace(CLUSTER, slots=workers, bytes_s=10_000_000))
    assert alone.moved_bytes == 0
    assert alone.took_ns < predict(found, workers, replace(CLUSTER, bytes_s=10_000_000)).took_ns


def test_bytes_that_stand_for_several_take_the_time_of_all() -> None:
    found = shuffled(6, 1 << 20)
    cluster = replace(CLUSTER, bytes_s=5_000_000)
    whole, scaled = (predict(found, 3, cluster, scale) for scale in (1, 64))
    assert scaled.took_ns == pytest.approx(whole.took_ns, rel=0.03)
    assert scaled.moved_bytes == pytest.approx(whole.moved_bytes, rel=0.02)


@given(st.integers(1, 40), st.lists(st.floats(0, 1e6), min_size=1, max_size=30), st.integers(1, 5000))
def test_scaled_sizes_add_up(tasks: int, shares: list[float], scale: int) -> None:
    found = models_of(shuffled(tasks, 100_000))[1]  # type: ignore[index]
    found.deal(shares)
    for partition in range(tasks):
        sizes = found.sizes(partition, scale)
        assert abs(sum(sizes) * scale - 100_000) <= scale
        for size, share in zip(sizes, shares, strict=True):
            assert not any(shares) or abs(size - 100_000 / scale * share / sum(shares)) <= 1
    assert scale_for({found.spec.id: found}, 1000) == math.ceil(tasks * 100)


def test_tiny_parts_are_spread_over_all_reducers() -> None:
    """Four bytes for sixteen reducers from each task: no reducer goes without."""
    found = models_of(shuffled(200, 4000))[1]  # type: ignore[index]
    found.deal([1.0] * 16)
    columns = zip(*(found.sizes(partition, 1000) for partition in range(200)), strict=True)
    assert all(abs(sum(column) - 50) <= 4 for column in columns)


def test_failures_make_it_longer_and_not_wrong() -> None:
    found = profile((0, 1, [stage(1, [500.0] * 24)]))
    sound = predict(found, 4)
    ailing = predict(found, 4, replace(CLUSTER, failure_ns=2000 * MS))
    assert (sound.failures, sound.attempts) == (0, 24)
    assert ailing.failures > 0
    assert ailing.attempts > 24
    assert ailing.took_ns > sound.took_ns


def test_twice_as_fast_workers_take_half_the_time() -> None:
    found = profile((0, 1, [stage(1, [400.0] * 16)]))
    assert took_ms(found, 2) == pytest.approx(2 * took_ms(found, 2, speed=2.0), rel=0.03)


def test_more_workers_are_no_slower_where_tasks_are_even() -> None:
    found = shuffled(16, 1000, ms=200)
    times = [took_ms(found, workers) for workers in (1, 2, 4, 8, 16)]
    assert times == sorted(times, reverse=True)


def test_the_programs_loop_bounds_how_many_tasks_there_are_in_a_second() -> None:
    found = profile((0, 1, [stage(1, [1.0] * 400)]))
    assert took_ms(found, 50, loop_ns=2 * MS) >= 400 * 2


def test_the_programs_own_time_between_jobs_is_kept() -> None:
    jobs = [(50.0 + 1000 * i, 150.0 + 1000 * i, [stage(i + 1, [40.0])]) for i in range(3)]
    steps = steps_of(profile(*jobs))
    assert [(step.after, step.after_end, step.gap_ns) for step in steps] == [
        (None, False, 50 * MS),
        (0, True, 900 * MS),
        (1, True, 900 * MS),
    ]
    took = took_ms(profile(*jobs), 2)
    assert 1800 + 3 * 40 <= took <= 1800 + 3 * 40 + SLACK_MS


def test_jobs_that_ran_at_once_do_so_again() -> None:
    at_once = profile((0, 500, [stage(1, [400.0])]), (10, 510, [stage(2, [400.0])]))
    assert [(step.after, step.after_end) for step in steps_of(at_once)] == [(None, False), (0, False)]
    assert 400 <= took_ms(at_once, 2) <= 410 + SLACK_MS
    assert took_ms(at_once, 1) >= 800


def test_stages_that_were_planned_anew_are_again() -> None:
    found = shuffled(2, 1000)
    found.moments.insert(1, Replanned((found.stages[2].spec,), 5 * MS))  # type: ignore[index]
    assert [step.job for step in steps_of(found)] == [1, None]
    assert predict(found, 2).took_ns > 0


def test_what_failed_is_left_out_and_its_stages_come_with_the_next() -> None:
    dealing = stage(1, [5.0] * 2, written=9)
    found = profile((0, 10, [dealing, stage(2, [5.0], reads=1)]), (20, 30, [stage(3, [5.0], reads=1, read=18)]))
    found.jobs[1].state = "failed"  # type: ignore[index]
    (step,) = steps_of(found)
    assert [spec.id for spec in step.stages] == [1, 3]
    assert predict(found, 1).attempts == 3
    found.jobs[2].state = "failed"  # type: ignore[index]
    with pytest.raises(UsageError, match="no job of run made came to its end"):
        Predictor(found, None)  # type: ignore[arg-type]


def test_tasks_that_meet_need_as_many_workers() -> None:
    meeting = stage(1, [50.0] * 3)
    meeting.spec = replace(meeting.spec, barrier=True)
    found = profile((0, 1, [meeting]))
    with pytest.raises(UsageError, match="needs as many workers"):
        predict(found, 2)
    assert 50 <= took_ms(found, 3) <= 50 + SLACK_MS


def test_kept_partitions_are_where_their_readers_run() -> None:
    keeping = stage(1, [50.0] * 4)
    keeping.cached = {p: ((7, p),) for p in range(4)}
    found = profile((0, 1, [keeping]), (2, 3, [stage(2, [50.0] * 4)]))
    assert predict(found, 2).attempts == 8


CODE = """
from msgspec.structs import replace
from tests.sim.predicting import CLUSTER, MS, predict, shuffled
print(predict(shuffled(12, 50_000, ms=300), 4, replace(CLUSTER, failure_ns=3000 * MS, seed={seed})))
"""


def test_the_same_seed_predicts_the_same_in_any_process() -> None:
    def said(seed: int, hashes: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hashes}
        done = subprocess.run(
            [sys.executable, "-c", CODE.format(seed=seed)], capture_output=True, text=True, check=True, env=environment
        )
        return done.stdout

    assert said(1, "1") == said(1, "2") != said(2, "1")


def test_results_that_are_too_large_for_a_message_are_brought_once() -> None:
    one = stage(1, [10.0] * 4)
    one.result_bytes = [3 << 20] * 4
    made = predict(profile((0, 100, [one])), 2)
    assert made.attempts == 4
