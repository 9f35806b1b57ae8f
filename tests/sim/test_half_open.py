"""Jobs over channels that one side has given up while the other believes in them."""

from __future__ import annotations

import operator
from pathlib import Path

import pytest

import headrace
from headrace.config import MS, SECOND
from headrace.observe.stories import find, read
from headrace.sim.faults import Fault, FaultPlan, write_plan
from headrace.sim.network.channel import End
from headrace.sim.session import SimSession

LONG_NS = 25 * SECOND  # more than it takes to give a channel up


PAIRS = {"program to h0": 2, "h0 to program": 3, "h0 to h1": 0}  # what a fault picks among three hosts


@pytest.mark.parametrize(("pair", "form"), [(pair, form) for pair in PAIRS for form in ("one way", "both ways")])
def test_a_job_outlives_channels_that_only_one_side_gave_up(
    pair: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of three hosts are cut off from each other, and a worker sleeps through the end of that."""
    given_up = 0
    really = End.give_up

    def give_up(end: End) -> None:
        nonlocal given_up
        given_up += end.alive and end.far.alive
        really(end)

    monkeypatch.setattr(End, "give_up", give_up)
    plan = tmp_path / "plan.json"
    faults = (
        Fault("partition", 61 * MS, PAIRS[pair], LONG_NS, form),
        Fault("pause", 15 * SECOND, 1, LONG_NS),
    )
    plan.write_bytes(write_plan(FaultPlan(faults)))
    with headrace.connect(f"sim://?workers=4&hosts=2&seed=1&speculate=no&plan={plan}", progress=False) as ctx:
        session = ctx._session
        assert isinstance(session, SimSession)
        pairs = ctx.range(100, num_slices=4).map(lambda x: (x % 7, 1)).cache()
        for until_ns in (200 * MS, 14 * SECOND, 16 * SECOND, 27 * SECOND, 50 * SECOND):
            assert sum(pairs.reduce_by_key(operator.add, 4).collect_as_map().values()) == 100
            session.wait_until(session.gate.flag(), until_ns)
        assert session.disasters.healed
        assert [member.peer is not None for member in session.controller.members.values()] == [True] * 4
        assert pairs.barrier().map_partitions(lambda some: [sum(1 for _ in some)]).count() == 4, "each can be asked"
        run = ctx.run
    assert given_up, "this is about channels that are half open"
    first, *_ = read(find(run))
    assert first["faults drawn"] == [str(fault) for fault in faults]
