"""Actions that end when their time is up, with what is known by then: exact in time, bounded if not, never late."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.errors import TaskFailed, UsageError
from tests.dataset.data import Parts, flat, in_parts, lay_out

HOUR = 3_40_000  # milliseconds


@pytest.fixture(scope="module")
def ctx() -> Iterator[Context]:
    with headrace.connect("inline://", progress=False) as context:
        yield context


def check_exact(ctx: Context, parts: Parts) -> None:
    dataset, records = lay_out(ctx, parts), flat(parts)
    for found, expected in (
        (dataset.count_approx(HOUR), len(records)),
        (dataset.sum_approx(HOUR), sum(records)),
        (dataset.mean_approx(HOUR), dataset.mean()),
    ):
        assert found == pytest.approx(expected)
        assert (found.low, found.high, found.confidence) == (found, found, 1.0)


@given(parts=in_parts(st.integers(-1000, 1000)))
@settings(max_examples=20)
def test_with_time_enough_it_is_exact(ctx: Context, parts: Parts) -> None:
    check_exact(ctx, parts)


@given(parts=in_parts(st.integers(-1000, 1000)), seed=st.integers(0, 10_000))
@settings(max_examples=5)
def test_with_time_enough_it_is_exact_whatever_is_lost(parts: Parts, seed: int) -> None:
    with headrace.connect(f"sim://?workers=4&hosts=2&seed={seed}&faults=all", progress=False) as ctx:
        check_exact(ctx, parts)


@given(timeout=st.integers(0, 800), seed=st.integers(0, 1000))
@settings(max_examples=8)
def test_in_virtual_time_it_ends_when_its_time_is_up(timeout: int, seed: int) -> None:
    """Each partition takes 10 ms or so on one of two workers, and longer on one that is slow."""
    with headrace.connect(f"sim://?workers=2&seed={seed}&faults=slow", progress=False) as ctx:
        dataset = ctx.range(40_000, num_slices=40)
        began = ctx._session.now_ns()
        found = dataset.count_approx(timeout)
        took_ms = (ctx._session.now_ns() - began) / 1e6
        assert took_ms <= timeout + 1
        if found.confidence == 1.0:
            assert found == 40_000
        elif found.confidence == 0.0:
            assert (found, found.low, found.high) == (0, 0, math.inf)
        else:
            assert found.low <= 40_000 <= found.high, "the partitions are all alike"
        assert dataset.count() == 40_000, "what was called off stands in nobody's way"


def test_the_rest_is_called_off_and_nobody_waits_for_it(tmp_path: Path) -> None:
    """Seven partitions wait for what comes only afterwards: for ever, if they were waited for."""
    gate = tmp_path / "gate"

    def held(partition: int, records: Iterator[int]) -> Iterator[int]:
        waiting = threading.Event()
        while partition > 0 and not gate.exists():
            waiting.wait(0.02)
            yield 0
        yield from records

    with headrace.connect("local://?workers=2&cancel_grace=100ms", progress=False) as ctx:
        ctx.range(2, num_slices=2).count()
        dataset = ctx.range(80, num_slices=8).map_partitions_with_index(held)
        found = dataset.count_approx(1500)
        one, none = (80, 10, math.inf, 0.95), (0, 0, math.inf, 0.0)  # of a machine that was too slow even for that
        assert (found, found.low, found.high, found.confidence) in (one, none)
        assert not gate.exists()
        gate.touch()
        assert ctx.range(80, num_slices=8).map_partitions_with_index(held).count() == 80


def test_what_fails_in_time_is_raised(ctx: Context) -> None:
    with pytest.raises(TaskFailed, match="ZeroDivisionError"):
        ctx.range(4).map(lambda x: 1 // x).sum_approx(HOUR)
    with pytest.raises(TaskFailed):
        ctx.parallelize(["a"]).mean_approx(HOUR)


def test_tasks_that_reported_count_in_accumulators_and_others_do_not() -> None:
    with headrace.connect("sim://?workers=1&seed=3", progress=False) as ctx:
        seen = ctx.accumulator(0)

        def note(x: int) -> int:
            seen.add(1)
            return x

        uneven = ctx.range(20_000, num_slices=10).filter(lambda x: x % 2000 < 200 * (x // 2000 + 1)).map(note)
        found = uneven.count_approx(250)
        assert 0 < found.confidence < 1
        reported = [p for p in range(1, 10) if sum(200 * (i + 1) for i in range(p)) == seen.value]
        assert found == seen.value * 10 / reported[0], "what was counted, and no more"


@pytest.mark.parametrize("timeout", [-1, math.nan, "soon", None])
def test_times_that_mean_nothing_are_refused(ctx: Context, timeout: Any) -> None:
    with pytest.raises(UsageError, match="milliseconds"):
        ctx.range(3).count_approx(timeout)


@pytest.mark.parametrize("confidence", [-0.1, 1.1, math.nan, "sure"])
def test_confidences_that_mean_nothing_are_refused(ctx: Context, confidence: Any) -> None:
    for approximate in (ctx.range(3).sum_approx, ctx.range(3).mean_approx, ctx.range(3).count_approx):
        with pytest.raises(UsageError, match="confidence"):
            approximate(10, confidence)
