"""Large broadcast values are one file for each host, mapped by all its workers; accumulators add as their users say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace import AccumulatorParam
from headrace.errors import TaskFailed, UsageError
from tests.real.help import until

np = pytest.importorskip("numpy")
URLS = ["inline://", "local://?workers=2", "local://?workers=4&hosts=2", "sim://?workers=3&hosts=3&seed=4"]


@pytest.mark.parametrize("url", URLS)
def test_arrays_arrive_as_they_were_and_cannot_be_changed(url: str) -> None:
    value = {
        "big": np.arange(300_000),
        "small": np.eye(3),
        "empty": np.zeros(0),
        "text": "mill",
        "list": [1, (2, None)],
    }
    with headrace.connect(url, progress=False) as ctx:
        sent = ctx.broadcast(value)

        def look(x: int) -> tuple[Any, ...]:
            found = sent.value
            flags = [found[name].flags.writeable for name in ("big", "small", "empty")]
            return int(found["big"].sum()), found["small"].tolist(), found["text"], found["list"], flags

        expected = (int(value["big"].sum()), np.eye(3).tolist(), "mill", [1, (2, None)], [False] * 3)
        assert ctx.range(6, num_slices=6).map(look).collect() == [expected] * 6
        sent.destroy()


def mapped(name: str) -> list[tuple[int, int]]:
    """Inode and private kilobytes of each mapping of a file into this process."""
    found, inode = [], 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0] and len(words) >= 5 and not words[0].endswith(":"):
            inode = int(words[4]) if line.endswith(name) else 0
        elif inode and words[0] == "Private_Dirty:":
            found.append((inode, int(words[1])))
    return found


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps"), reason="mappings are read from /proc")
@pytest.mark.parametrize("hosts", [1, 2])
def test_workers_of_a_host_map_one_file_and_copy_nothing(hosts: int) -> None:
    with headrace.connect(f"local://?workers=4&hosts={hosts}&speculate=no", progress=False) as ctx:
        until(lambda: sum(worker.state == "idle" for worker in ctx.workers()) == 4, "all are there")
        sent = ctx.broadcast(np.ones(4 << 20, dtype=np.uint8))

        def look(x: int) -> tuple[int, int, list[tuple[int, int]]]:
            return os.getpid(), int(sent.value.sum()), mapped(sent.name)

        found = ctx.range(64, num_slices=64).map(look).collect()
        assert {total for _, total, _ in found} == {4 << 20}
        assert len({pid for pid, _, _ in found}) > 1
        assert all(len(mappings) == 1 and mappings[0][1] == 0 for _, _, mappings in found)
        assert len({mappings[0][0] for _, _, mappings in found}) <= hosts


def held(name: str) -> tuple[int, list[str]]:
    """Mappings of a value into this process, and what lies in its host's folder."""
    import headrace.execute.current as running

    task = running.current()
    assert task is not None
    shared = task.port._shared  # type: ignore[attr-defined]
    return len(mapped(name)), os.listdir(shared.layout.host(shared.host))


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps"), reason="mappings are read from /proc")
@pytest.mark.parametrize("hosts", [1, 2])
def test_a_value_that_is_unpersisted_leaves_the_workers_and_is_read_again(hosts: int) -> None:
    with headrace.connect(f"local://?workers=2&hosts={hosts}&speculate=no", progress=False) as ctx:
        until(lambda: sum(worker.state == "idle" for worker in ctx.workers()) == 2, "all are there")
        folders: set[str] = set()

        def check(sent: Any) -> None:
            name = sent.name
            for _ in range(2):
                assert set(ctx.range(8, num_slices=8).map(lambda x: int(sent.value.sum())).collect()) == {1 << 20}
                sent.unpersist()
                looked = ctx.range(8, num_slices=8).map(lambda x: held(name)).collect()
                assert {mappings for mappings, _ in looked} == {0}
                folders.update(one for _, found in looked for one in found if one.startswith(name))
            assert int(sent.value.sum()) == 1 << 20
            sent.destroy()
            with pytest.raises(UsageError, match="was destroyed"):
                sent.unpersist()

        for _ in range(2):
            check(ctx.broadcast(np.ones(1 << 20, dtype=np.uint8)))
        assert not folders, "neither the value nor a lock is left"


def test_a_value_may_be_unpersisted_while_tasks_read_it() -> None:
    """Each look reads the value anew, or has it: nobody finds it missing."""
    with headrace.connect("local://?workers=4&hosts=2&speculate=no&max_failures=1", progress=False) as ctx:
        sent = ctx.broadcast(np.arange(1000))
        future = ctx.submit(lambda: ctx.range(400, num_slices=400).map(lambda x: int(sent.value[x])).sum())
        while not future.done():
            sent.unpersist()
        assert future.result() == sum(range(400))
        with pytest.raises(TaskFailed, match="Do it in the program"):
            ctx.range(1).foreach(lambda x: sent.unpersist())


class Vectors(AccumulatorParam[list[int]]):
    """Adds lists element by element, into the first."""

    def zero(self, value: list[int]) -> list[int]:
        return [0] * len(value)

    def add_in_place(self, value1: list[int], value2: list[int]) -> list[int]:
        for i, x in enumerate(value2):
            value1[i] += x
        return value1


@pytest.mark.parametrize("url", URLS)
def test_an_accumulator_adds_as_its_user_says(url: str) -> None:
    with headrace.connect(url, progress=False) as ctx:
        total = ctx.accumulator([5, 0, 0], Vectors())
        for turn in (1, 2):
            ctx.range(60, num_slices=12).foreach(lambda x: total.add([1, x, 0]))
            assert total.value == [5 + 60 * turn, turn * sum(range(60)), 0]
        total += [0, 0, 7]
        assert total.value[2] == 7
        with pytest.raises(UsageError, match="zero and add_in_place"):
            ctx.accumulator(0, "no")  # type: ignore[arg-type]
