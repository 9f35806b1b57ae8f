"""The simulated world itself: time, luck, faults that are drawn and end."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace
from headrace.errors import InternalError, UsageError
from headrace.sim.faults import KINDS, Fault, FaultPlan, draw_plan, read_plan, write_plan
from headrace.sim.world import World


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 3)), max_size=30))
def test_things_happen_in_order_of_time_then_of_asking(plans: list[tuple[int, int]]) -> None:
    world, seen = World(1), []

    def plan(index: int, delay: int, more: int) -> None:
        def happen() -> None:
            seen.append((world.time_ns, index))
            for i in range(more):
                world.later(i, "more", lambda: None)

        world.later(delay, str(index), happen)

    for index, (delay, more) in enumerate(plans):
        plan(index, delay, more)
    while len(seen) < len(plans):
        world.step()
    assert seen == sorted(seen, key=lambda item: (item[0], plans[item[1]][0], item[1]))


def test_a_draw_for_one_purpose_shifts_no_other() -> None:
    one, other = World(5), World(5)
    one.chance("network").random()
    assert one.chance("faults").random() == other.chance("faults").random()
    assert World(6).chance("faults").random() != World(5).chance("faults").random()


def test_a_world_at_rest_says_so_instead_of_hanging() -> None:
    with pytest.raises(InternalError, match="come to rest"):
        World(1).step()


@given(st.integers(0, 1 << 32))
def test_a_plan_comes_back_from_its_file(seed: int) -> None:
    plan = draw_plan(KINDS, 8, Random(seed))
    assert read_plan(write_plan(plan)) == plan
    assert all(fault.at_ns + fault.for_ns < plan.healed_ns for fault in plan.faults)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "not a plan of faults"),
        (b'{"faults": [{"kind": "crash"}]}', "at_ns"),
        (b'{"faults": [{"kind": "flood", "at_ns": 1}]}', "no fault 'flood'"),
        (b'{"faults": [{"kind": "slow", "at_ns": 1, "form": "odd"}]}', "slow has no form 'odd'"),
        (b'{"faults": [], "format": 99}', "format 99"),
    ],
)
def test_a_bad_plan_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_plan(data)


def test_a_run_takes_its_faults_from_a_file(tmp_path: Path) -> None:
    from headrace.observe.stories import find, read

    path = tmp_path / "plan.json"
    path.write_bytes(write_plan(FaultPlan((Fault("crash", 65_000_000, 1), Fault("pause", 66_000_000, 2, 400_000_000)))))
    with headrace.connect(f"sim://?workers=4&seed=3&plan={path}", progress=False) as ctx:
        assert ctx.range(10_000, num_slices=30).map(lambda x: x * x).sum() == sum(x * x for x in range(10_000))
    first, *_, last = read(find(ctx.run))
    assert first["faults drawn"] == ["crash at 65.0 ms", "pause at 66.0 ms for 400.0 ms"]
    assert [hit.partition(" ")[0] for hit in last["faults hit"]] == ["crash", "pause"]


@given(st.sets(st.sampled_from(KINDS)), st.integers(0, 1 << 32))
def test_asking_for_more_kinds_shifts_no_fault(kinds: set[str], seed: int) -> None:
    whole = draw_plan(KINDS, 8, Random(seed))
    some = draw_plan(tuple(kinds), 8, Random(seed))
    if len(kinds) != 1:  # a kind that is asked for by itself is always there
        assert some.faults == tuple(fault for fault in whole.faults if fault.kind in kinds)
    else:
        assert {fault.kind for fault in some.faults} == kinds
    assert draw_plan(("all",), 8, Random(seed)) == whole


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(UsageError, match="no fault 'earthquake'"):
        headrace.connect("sim://?faults=earthquake")


def test_a_simulated_run_says_what_it_drew() -> None:
    from headrace.observe.stories import find, read

    with headrace.connect("sim://?workers=4&seed=3&faults=all", progress=False) as ctx:
        assert ctx.range(100).map(lambda x: x * x).sum() == sum(x * x for x in range(100))
    first, *_, last = read(find(ctx.run))
    assert first["seed"] == last["seed"] == 3
    assert isinstance(first["faults drawn"], list)
    assert len(last["trace"]) == 16
