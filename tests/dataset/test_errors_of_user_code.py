"""What a user's function raises comes back with their own frames first, then operator, record, worker and attempt."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.dataset import Dataset
from headrace.errors import TaskFailed

BAD = 13  # what every function here chokes on


@pytest.fixture(scope="module", params=["inline://", "local://?workers=2", "sim://?workers=3&seed=1"])
def ctx(request: pytest.FixtureRequest) -> Iterator[Context]:
    with headrace.connect(request.param, progress=False) as context:
        yield context


def choke(value: Any) -> Any:
    if value == BAD:
        raise ValueError("unlucky")
    return value


def choke_key(value: int) -> tuple[int, int]:
    return choke(value), 1


def choke_on_pair(one: int, other: int) -> int:
    return int(max(choke(one), choke(other)))


def choke_on_iterator(values: Iterator[int]) -> Iterator[int]:
    for value in values:
        yield choke(value)


Use = Callable[[Dataset[int]], Any]
ONE = r"13"
USES: list[tuple[str, str | None, Use]] = [  # the operator named, the record shown, and how
    ("map", ONE, lambda d: d.map(choke).collect()),
    ("map", ONE, lambda d: d.filter(bool).map(choke).filter(bool).count()),
    ("filter", ONE, lambda d: d.filter(choke).collect()),
    ("flat_map", ONE, lambda d: d.flat_map(lambda x: [choke(x)]).sum()),
    ("flat_map", ONE, lambda d: d.flat_map(lambda x: (choke(y) for y in [x])).sum()),
    ("map_partitions", None, lambda d: d.map_partitions(choke_on_iterator).collect()),
    ("map_values", ONE, lambda d: d.key_by(abs).map_values(choke).collect()),
    ("flat_map_values", ONE, lambda d: d.key_by(abs).flat_map_values(lambda v: [choke(v)]).collect()),
    ("key_by", ONE, lambda d: d.key_by(choke).collect()),
    ("map", ONE, lambda d: d.map(choke_key).reduce_by_key(max).collect()),
    ("reduce_by_key", None, lambda d: d.map(lambda x: (0, x)).reduce_by_key(choke_on_pair).collect()),
    ("combine_by_key", ONE, lambda d: d.key_by(abs).combine_by_key(choke, max, max).collect()),
    ("combine_by_key", None, lambda d: d.map(lambda x: (0, x)).combine_by_key(int, choke_on_pair, max).collect()),
    ("partition_by", ONE, lambda d: d.key_by(abs).partition_by(3, choke).collect()),
    ("sort_by", ONE, lambda d: d.sort_by(choke, num_partitions=2).collect()),
    ("sort_by", ONE, lambda d: d.sort_by(choke, num_partitions=1).collect()),
    ("reduce", None, lambda d: d.reduce(choke_on_pair)),
    ("top", ONE, lambda d: d.top(3, key=choke)),
    ("foreach", ONE, lambda d: d.foreach(choke)),
    ("map_values", None, lambda d: d.key_by(abs).group_by_key().map_values(lambda vs: choke(max(vs))).collect()),
    ("map", ONE, lambda d: list(d.map(choke).to_local_iterator())),
    ("map", ONE, lambda d: d.map(choke).take(100)),
    ("map", ONE, lambda d: d.map(choke_key).count_by_key()),
    ("map", ONE, lambda d: d.map(choke_key).join(d.key_by(abs)).collect()),
]


@pytest.mark.parametrize(("name", "record", "use"), USES, ids=[f"{i}-{name}" for i, (name, _, _) in enumerate(USES)])
def test_the_users_frames_come_first_then_operator_record_worker_and_attempt(
    ctx: Context, name: str, record: str | None, use: Use
) -> None:
    with pytest.raises(TaskFailed) as caught:
        use(ctx.range(20, num_slices=3))
    lines = str(caught.value).strip().splitlines()
    assert lines[0] == "Traceback of your code:"
    said = lines.index("ValueError: unlucky")
    frames = [line for line in lines[1:said] if line.startswith("  File ")]
    assert frames
    assert all(__file__ in frame for frame in frames), "and no frames of ours or of the library's"
    assert frames[-1].endswith("in choke")
    where = re.fullmatch(r"in (\w+) \((.*):(\d+): (.*)\)", lines[said + 1])
    assert where, lines[said + 1]
    assert where[1] == name
    assert where[2] == __file__
    assert f".{name}(" in where[4], "the line that defined it"
    if record is not None:
        assert re.fullmatch(f"given {record}", lines[said + 2])
    else:
        assert "13" in lines[said + 2] or "given" not in lines[said + 2]
    attempts = [line for line in lines if line.startswith("  attempt ")]
    assert len(attempts) == 4
    assert len(set(attempts)) == 4
    assert all(re.fullmatch(r"  attempt \d+: ValueError: unlucky on w\d+", line) for line in attempts)
    assert lines[-1].startswith("Mend the function and run it again; the last error came from w")
    assert type(caught.value.__cause__) is ValueError
    assert caught.value.history == tuple(line.strip() for line in attempts)


@given(before=st.integers(0, 10), record=st.text(max_size=300) | st.lists(st.integers(), max_size=100))
@settings(max_examples=40)
def test_the_record_is_shown_however_long_it_is(before: int, record: Any) -> None:
    with headrace.connect("inline://?max_failures=1", progress=False) as ctx:
        records = [*range(before), record]
        with pytest.raises(TaskFailed) as caught:
            ctx.parallelize(records, 1).map(lambda r: r if isinstance(r, int) else 1 // 0).collect()
    shown = next(line for line in str(caught.value).splitlines() if line.startswith("given "))
    assert len(shown) <= 210
    assert repr(record).startswith(shown.removeprefix("given ").removesuffix("..."))


def test_the_error_begins_at_the_users_call_of_the_action(ctx: Context) -> None:
    line = 0
    try:
        line = sys._getframe().f_lineno + 1
        ctx.range(20).map(choke).count()
    except TaskFailed as error:
        trace = error.__traceback__
        assert trace is not None
        assert (trace.tb_frame.f_code.co_filename, trace.tb_lineno) == (__file__, line)
        assert trace.tb_next is not None
        assert trace.tb_next.tb_next is None, "and one frame of ours"
