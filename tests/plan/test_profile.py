"""Profiles: what is written is read again, whatever order it came in; what is none is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import InputError
from headrace.ids import JobId, StageId
from headrace.plan import profile as p
from headrace.plan.stages import Reads, Segment, StageSpec

BEGUN = p.Begun(p.FORMAT, "cafe", "0", 1000, 2, 1, 2, "local", 1 << 30)
SPEC = StageSpec(StageId(3), "sort", 6, True, (Segment(0, 6, Reads(stages=(StageId(1), StageId(2)))),))
NUMBERS = st.integers(0, 1 << 50)


def written(*lines: p.Line) -> list[bytes]:
    return b"".join(map(p.encode, [BEGUN, *lines])).splitlines(keepends=True)


def tasks(rows: list[tuple[int, ...]]) -> p.Tasks:
    partitions, *columns = ([row[i] for row in rows] for i in range(1 + len(p.FIELDS)))
    values: dict[str, Any] = dict(zip(p.FIELDS, map(p.narrow, columns), strict=True))
    return p.Tasks(StageId(3), p.narrow(p.differences(partitions)), len(rows), **values)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 1 << 50), *[NUMBERS] * 7), max_size=30), st.integers(1, 5))
def test_tasks_come_back_whatever_their_order(rows: list[tuple[int, ...]], held: int) -> None:
    """The latest output of a task counts, and those before it were wasted."""
    some = [tasks(rows[i : i + held]) for i in range(0, len(rows), held)]
    stage = p.parse(written(p.Submitted(JobId(1), "count", 1500, (SPEC,)), *some), "it").stages[StageId(3)]
    latest = {row[0]: row[1:] for row in rows}
    for partition in range(6):
        found = tuple(getattr(stage, name)[partition] for name in p.FIELDS)
        assert found == latest.get(partition, (0,) * len(p.FIELDS))
    assert stage.tasks == len(latest)
    assert stage.wasted == len(rows) - len(latest)
    assert stage.wasted_ns + sum(stage.ran_ns) == sum(row[1] for row in rows)
    assert stage.reads == (1, 2)


def test_jobs_come_back_in_moments_since_the_run_began() -> None:
    lines = written(
        p.Joined("w1", "h0", 990, 1100),
        p.Submitted(JobId(1), "take", 1500, (SPEC,), (2, 4)),
        p.Wasted(StageId(3), 2, 70),
        p.Ended(JobId(1), "done", 1900),
        p.Closed(2000),
    )
    found = p.parse(lines, "it")
    job = found.jobs[JobId(1)]
    assert (job.at_ns, job.ended_ns, job.wanted, job.state, found.took_ns) == (500, 900, (2, 4), "done", 900)
    assert (found.joined[0].launched_ns, found.joined[0].at_ns) == (-10, 100)
    assert [type(moment) for moment in found.moments] == [p.Submitted, p.Ended]
    assert (found.stages[StageId(3)].wasted, found.stages[StageId(3)].wasted_ns) == (2, 70)
    assert found.closed
    assert not found.cut


@given(st.integers(1, 60))
def test_a_last_line_that_was_cut_off_is_left_out(length: int) -> None:
    lines = written(p.Submitted(JobId(1), "count", 1500, (SPEC,)), p.Ended(JobId(1), "done", 1900))
    lines[-1] = lines[-1][: min(length, len(lines[-1]) - 2)]
    assert p.parse(lines, "it").jobs[JobId(1)].state == "running"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "not the profile of a run"),
        ([b"{}\n"], "not the profile of a run"),
        ([b'{"what": "run begun"}\n', b"[]\n"], "line 1 is none of its lines"),
        (written(p.Closed(1))[1:], "not the profile of a run"),
        ([p.encode(p.Begun(99, "cafe", "0", 0, 2, 1, 2, "local", 0))], "format 99"),
        ([*written(), bytes(range(256)), *written(p.Closed(1))], "line 2 is none of its lines"),
    ],
)
def test_what_is_no_profile_is_refused(lines: list[bytes], said: str) -> None:
    with pytest.raises(InputError, match=said):
        p.parse(lines, "it")
