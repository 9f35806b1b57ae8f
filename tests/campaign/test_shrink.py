"""Shrinking a plan of faults: what is left still fails, and nothing of it can be left out."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.campaign.shrink import OutOfTime, shrink
from headrace.sim.faults import KINDS, Fault, FaultPlan, draw_plan

KIND_SETS = st.sets(st.sampled_from(KINDS), min_size=1, max_size=3)


def needs(kinds: set[str]):  # type: ignore[no-untyped-def]
    """A program that breaks when all of some kinds of fault are there."""
    tried: list[FaultPlan] = []

    def fails(plans: Sequence[FaultPlan]) -> int | None:
        tried.extend(plans)
        return next((i for i, plan in enumerate(plans) if kinds <= {fault.kind for fault in plan.faults}), None)

    return fails, tried


@given(KIND_SETS, st.integers(0, 1 << 32))
def test_nothing_is_left_that_it_does_not_take(kinds: set[str], seed: int) -> None:
    plan = FaultPlan(tuple(f for f in draw_plan(KINDS, 8, Random(seed)).faults))
    missing = kinds - {fault.kind for fault in plan.faults}
    plan = FaultPlan((*plan.faults, *(Fault(kind, 3_000_000_000) for kind in sorted(missing))))
    fails, tried = needs(kinds)
    small = shrink(plan, fails)
    assert sorted(fault.kind for fault in small.faults) == sorted(kinds), "one of each, and no other"
    assert fails([small]) == 0
    assert list(small.faults) == sorted(small.faults, key=lambda fault: fault.at_ns)
    assert len(tried) <= 40 * len(plan.faults) + 100


@given(st.integers(61_000_000, 2_000_000_000), st.integers(200_000_000, 45_000_000_000), st.integers(0, 1 << 30))
def test_what_is_left_is_as_early_and_short_as_can_be(at_ns: int, for_ns: int, pick: int) -> None:
    """It takes a pause of half a second at least, that has begun by a certain time."""

    def fails(plans: Sequence[FaultPlan]) -> int | None:
        return next(
            (i for i, p in enumerate(plans) if any(f.kind == "pause" and f.for_ns >= 500_000_000 for f in p.faults)),
            None,
        )

    plan = FaultPlan((Fault("pause", at_ns, pick, max(for_ns, 500_000_000)),))
    (left,) = shrink(plan, fails).faults
    assert left.at_ns == 60_000_000, "a round time, the earliest"
    assert 500_000_000 <= left.for_ns <= max(500_000_000, min(plan.faults[0].for_ns, 2_000_000_000))
    assert left.pick == 0


def test_a_failure_that_takes_no_fault_is_left_without_any() -> None:
    plan = draw_plan(("all",), 8, Random(3))
    assert shrink(plan, lambda plans: 0) == FaultPlan(())


def test_when_time_is_up_the_smallest_so_far_is_kept() -> None:
    plan = FaultPlan(tuple(Fault("crash", 70_000_000 + i) for i in range(16)))
    asked = 0
    kept: list[FaultPlan] = []

    def fails(plans: Sequence[FaultPlan]) -> int | None:
        nonlocal asked
        asked += 1
        if asked > 3:
            raise OutOfTime
        return next((i for i, p in enumerate(plans) if any(f.at_ns == 70_000_009 for f in p.faults)), None)

    small = shrink(plan, fails, kept.append)
    assert len(small.faults) == 4
    assert kept[-1] == small


@pytest.mark.parametrize("number", [1, 2, 7])
def test_all_faults_are_kept_if_it_takes_them_all(number: int) -> None:
    plan = FaultPlan(tuple(Fault("host", 60_000_000 + i * 100_000_000) for i in range(number)))
    small = shrink(plan, lambda plans: next((i for i, p in enumerate(plans) if len(p.faults) == number), None))
    assert len(small.faults) == number
    assert {fault.kind for fault in small.faults} == {"crash"}, "the commonest kind, where that does it, too"
