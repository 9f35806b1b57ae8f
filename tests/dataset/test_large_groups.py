"""A group is sized and iterable again and again, in memory or on disk, alone or beside others, and travels whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.errors import GroupExpired, TaskFailed
from headrace.execute.groups import Group
from tests.dataset import plain

PADDING = "x" * 4000  # a task has a megabyte at least, which some hundreds of these fill


@pytest.fixture(scope="module")
def tight() -> Iterator[Context]:
    with headrace.connect("inline://?memory=256KB", progress=False) as context:
        yield context


def looked_at(group: Group[Any]) -> tuple[int, list[Any], list[Any], bool]:
    """Iterate twice at once, and a third time not to the end."""
    one, other = iter(group), iter(group)
    pairs = list(zip(one, other, strict=True))
    assert all(a == b for a, b in pairs)
    some = [value for value, _ in zip(group, range(3), strict=False)]
    return len(group), [value for value, _ in pairs], some, group._places is not None


@given(sizes=st.lists(st.integers(0, 900), min_size=1, max_size=5), slices=st.integers(1, 4))
@settings(max_examples=25)
def test_whatever_its_size_a_group_has_every_value_in_order(tight: Context, sizes: list[int], slices: int) -> None:
    rounds = [(key, number) for number in range(max(sizes)) for key in range(len(sizes)) if number < sizes[key]]
    pairs = [(key, f"{number}{PADDING}") for key, number in rounds]
    grouped = tight.parallelize(pairs, slices).group_by_key(2)
    found = grouped.map_values(looked_at).collect()
    expected = dict(plain.gathered(pairs))
    assert {key: (length, values) for key, (length, values, _, _) in found} == {
        key: (len(values), values) for key, values in expected.items()
    }
    assert all(some == values[:3] for _, (_, values, some, _) in found)
    assert any(stored for _, (_, _, _, stored) in found) or max(sizes) < 400, "or nothing was on disk"
    assert {key: list(group) for key, group in grouped.collect()} == expected, "and it travels whole"


def test_both_sides_of_a_join_may_be_large(tight: Context) -> None:
    left = tight.range(300).map(lambda i: (0, f"{i}{PADDING}"))
    right = tight.range(5).map(lambda i: (0, i))
    expected = sorted(f"{i}:{j}" for i in range(300) for j in range(5))
    for joined in (left.join(right), right.join(left).map_values(lambda two: (two[1], two[0]))):
        assert sorted(joined.map(lambda p: f"{p[1][0][: -len(PADDING)]}:{p[1][1]}").collect()) == expected


def test_a_group_on_disk_that_outlives_its_task_says_so(tight: Context) -> None:
    def keep(group: Group[Any]) -> int:
        import tests.dataset.test_large_groups as here

        here.KEPT.append(group)
        return len(group)

    tight.range(2000).map(lambda i: (0, f"{i}{PADDING}")).group_by_key(1).map_values(keep).collect()
    kept, KEPT[:] = KEPT[:], []
    with pytest.raises(GroupExpired, match=r"keep list\(group\)"):
        list(kept[0])


KEPT: list[Group[Any]] = []


def test_two_workers_with_little_memory_stream_a_group_larger_than_it() -> None:
    with headrace.connect("local://?workers=2&memory=4MB", progress=False) as ctx:
        pairs = ctx.range(4000, num_slices=4).map(lambda i: (i % 2, f"{i}{PADDING}"))  # 16 MB in two groups
        grouped = pairs.group_by_key(2).map_values(lambda g: (len(g), sum(map(len, g)), g._places is not None))
        sizes = [sum(len(f"{i}{PADDING}") for i in range(start, 4000, 2)) for start in (0, 1)]
        assert grouped.collect_as_map() == {key: (2000, sizes[key], True) for key in (0, 1)}


def test_a_function_that_fails_on_a_group_shows_some_of_it(tight: Context) -> None:
    with pytest.raises(TaskFailed, match=r"given Group\(\[0, 1, 2, 3, \.\.\.\], 10 values\)"):
        tight.range(10).map(lambda i: (0, i)).group_by_key(1).map_values(lambda group: group.missing).collect()  # type: ignore[attr-defined]
