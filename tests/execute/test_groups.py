"""A group as its user sees it: sized, iterable again and again, by value elsewhere, gone with its task."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Iterable
from typing import Any

import pytest

from headrace.errors import GroupExpired, ProgramError
from headrace.execute.chunks import frame, sizeof
from headrace.execute.groups import Group
from headrace.plan.stages import ValueSink
from tests.execute.help import MemoryScratch, World
from tests.plan.lineage import Lineage, user

VALUES = [f"value {i}" for i in range(2_000)]


def stored(scratch: MemoryScratch) -> Group[str]:
    """Make a group of which the last values are in memory and the others are not."""
    places = [scratch.append(frame(VALUES[at : at + 500], 500)) for at in range(0, 1_500, 500)]
    return Group(VALUES[1_500:], places, 1_500, scratch)


@pytest.mark.parametrize("make", [lambda: Group(list(VALUES)), lambda: stored(MemoryScratch())])
def test_it_has_a_size_and_can_be_read_again_and_again(make: Any) -> None:
    group = make()
    assert len(group) == 2_000
    assert list(group) == VALUES
    assert list(group) == VALUES
    one, other = iter(group), iter(group)
    assert [next(one), next(one), next(other), next(one)] == ["value 0", "value 1", "value 0", "value 2"]
    assert "value 1999" in group
    assert repr(group) == "Group(['value 0', 'value 1', 'value 2', 'value 3', ...], 2000 values)"


def test_an_empty_group_is_false_and_shows_as_empty() -> None:
    assert not Group([])
    assert repr(Group([])) == "Group([], 0 values)"


def test_it_travels_by_value() -> None:
    scratch = MemoryScratch()
    again = pickle.loads(pickle.dumps(stored(scratch)))
    scratch.closed = True
    assert isinstance(again, Group)
    assert list(again) == VALUES


def test_after_its_task_it_says_why_it_is_gone_and_what_to_do() -> None:
    scratch = MemoryScratch()
    group = stored(scratch)
    begun = iter(group)
    next(begun)
    scratch.closed = True
    with pytest.raises(GroupExpired) as caught:
        list(group)
    assert isinstance(caught.value, ProgramError)
    assert "the task that made it has ended" in str(caught.value)
    assert "keep list(group)" in str(caught.value)
    with pytest.raises(GroupExpired):
        list(begun)
    with pytest.raises(GroupExpired):
        pickle.dumps(group)
    assert len(group) == 2_000


def test_one_in_memory_outlives_its_task() -> None:
    make = Lineage()
    kept: list[Any] = []

    def keep(records: Iterable[Any]) -> int:
        kept.extend(records)
        return len(kept)

    sink = ValueSink(user(keep))
    world = World()
    for budget, expired in ((1 << 30, False), (2_000, True)):
        world = World(budget)
        tip = make.grouped(make.slices([[("k", value) for value in VALUES]]), 1)
        ports = world.run(tip, sink)
        assert ports[0].brought.values() == [[1]]
        ((_, group),) = _kept_by(world)
        if expired:
            with pytest.raises(GroupExpired):
                list(group)
        else:
            assert list(group) == VALUES


def _kept_by(world: World) -> list[Any]:
    """Find what a sink's function kept in the closure that travelled."""
    function = world.bodies[-1]._program.sink.function.call  # type: ignore[union-attr]
    return function.__closure__[0].cell_contents  # type: ignore[no-any-return, index]


def test_its_estimated_size_says_nothing_of_where_it_is_stored() -> None:
    scratch = MemoryScratch()
    small = sizeof(stored(scratch))
    for _ in range(100):
        scratch.append(bytes(1_000))
    assert sizeof(stored(scratch)) == small
    assert small < sizeof(Group(list(VALUES)))


def test_reading_a_large_group_holds_one_frame_of_it_at_a_time() -> None:
    class Heavy:
        alive = most = 0

        def __init__(self) -> None:
            Heavy.alive += 1
            Heavy.most = max(Heavy.most, Heavy.alive)

        def __setstate__(self, state: Any) -> None:
            self.__init__()  # type: ignore[misc]

        def __getstate__(self) -> int:
            return 1

        def __del__(self) -> None:
            Heavy.alive -= 1

    scratch = MemoryScratch()
    places = [scratch.append(frame([Heavy() for _ in range(10)], 10)) for _ in range(20)]
    gc.collect()
    assert Heavy.alive == 0
    Heavy.most = 0
    group: Group[Heavy] = Group([], places, 200, scratch)
    assert sum(1 for _ in group) == 200
    assert Heavy.most <= 21
