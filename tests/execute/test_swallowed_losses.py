"""A function that catches whatever its records raise does not take a part of them for all, when blocks are lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import headrace
from headrace.protocols import schedule_words as words
from headrace.testing import Recording


def swallows(records: Iterator[tuple[int, int]]) -> Iterator[int]:
    number = 0
    try:
        for _ in records:
            number += 1
    except BaseException:
        pass
    return iter([number])


def renames(records: Iterator[tuple[int, int]]) -> Iterator[int]:
    try:
        return iter([len(list(records))])
    except Exception as error:
        raise ValueError("mine") from error


@pytest.mark.parametrize("function", [swallows, renames])
def test_all_records_are_counted(function: Callable[[Iterator[tuple[int, int]]], Iterator[int]]) -> None:
    starved = 0
    for seed in (6, 16, 32, 59):
        recording = Recording()
        url = f"sim://?workers=4&hosts=2&seed={seed}&max_failures=1&max_losses=50&faults=host,reboot,corrupt,unreadable,partition"
        with headrace.connect(url, progress=False, watchers=[recording]) as ctx:
            pairs = ctx.parallelize([(x % 7, x) for x in range(400)], 8).partition_by(4)
            assert pairs.map_partitions(function).sum() == 400
        starved += sum(isinstance(event, words.AttemptStarved) for _, event, _ in recording.steps)
    assert starved, "no block was lost while somebody read"
