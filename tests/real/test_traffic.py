"""What goes over which wire: no partition of a shuffle through the program, nothing over a wire within a host."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import pytest

import headrace
from headrace.context import Context
from tests.real.help import lines_of

MB = 1 << 20


def record(x: int) -> tuple[int, str]:
    """Make a kilobyte that nothing can make smaller by combining."""
    return x, f"{x:01000d}"


class Pulled:
    """A watcher of what map tasks wrote and what reducers read."""

    def __init__(self) -> None:
        self.written = self.read = 0

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        if type(event).__name__ == "OutputCommitted":
            self.written += event.output.written_bytes
            self.read += event.output.read_bytes


def own_bytes(ctx: Context) -> int:
    """Return what the program's sockets have carried, both ways."""
    summary = ctx._session.summary()
    return int(summary["sent_bytes"] + summary["received_bytes"])


def shuffle(ctx: Context, number: int) -> None:
    groups = ctx.range(number, num_slices=8).map(record).group_by_key(8)
    assert groups.map_values(lambda group: sum(map(len, group))).map(lambda pair: pair[1]).sum() == 1000 * number


@pytest.mark.parametrize(
    ("megabytes", "hosts"), [(10, 1), (10, 2), pytest.param(100, 2, marks=pytest.mark.slow)], ids=str
)
def test_the_program_carries_no_partition_of_a_shuffle(megabytes: int, hosts: int) -> None:
    """In a shuffle of 100 MB its sockets carry under 1 MB; of a smaller one, a hundredth, beside what any job takes."""
    number = megabytes * MB // 1000
    pulled = Pulled()
    with headrace.connect(f"local://?workers=2&hosts={hosts}", progress=False, watchers=[pulled]) as ctx:
        shuffle(ctx, 8)
        usual = own_bytes(ctx)
        shuffle(ctx, number)
        carried = own_bytes(ctx) - usual
        assert pulled.written > megabytes * MB, "it was a shuffle of that size"
        assert pulled.read >= pulled.written, "and reducers read all of it"
        assert carried < (MB if megabytes >= 100 else usual + megabytes * MB // 100)
        assert carried > 0
    (done,) = lines_of(ctx.run, "run done")
    assert done["sent_bytes"] + done["received_bytes"] >= usual + carried, "the story tells it too"


def test_what_is_collected_is_carried_and_seen() -> None:
    """The count of the bytes counts: what does go through the program over a wire is in it."""
    with headrace.connect("local://?workers=2&hosts=2", progress=False) as ctx:
        assert len(ctx.range(4000, num_slices=4).map(record).collect()) == 4000
        assert own_bytes(ctx) > 4_000_000


def test_small_results_travel_in_the_report_and_large_ones_as_files() -> None:
    """On one host the program opens the file: the wire carries what is small."""
    with headrace.connect("local://?workers=2", progress=False) as ctx:
        assert len(ctx.range(4000, num_slices=4).map(record).collect()) == 4000
        assert own_bytes(ctx) < MB // 4
    with headrace.connect("local://?workers=2&inline=2MB", progress=False) as ctx:
        assert len(ctx.range(4000, num_slices=4).map(record).collect()) == 4000
        assert own_bytes(ctx) > 4_000_000


def received(_: int) -> tuple[int, int]:
    """Say what this worker's sockets have received: its network is a local variable of its main program's."""
    frame: Any = sys._getframe()
    while "process" not in frame.f_locals:
        frame = frame.f_back
    time.sleep(0.02)  # so that every worker gets one of these
    return os.getpid(), frame.f_locals["process"].network.received_bytes


def received_by_all(ctx: Context, workers: int) -> int:
    """Ask every worker."""
    found: dict[int, int] = {}
    while len(found) < workers:
        found |= ctx.range(4 * workers, num_slices=4 * workers).map(received).collect_as_map()
    return sum(found.values())


@pytest.mark.parametrize("hosts", [1, 2])
def test_blocks_go_over_a_wire_between_hosts_only(hosts: int) -> None:
    with headrace.connect(f"local://?workers=2&hosts={hosts}", progress=False) as ctx:
        before = received_by_all(ctx, 2)
        shuffle(ctx, 4000)
        carried = received_by_all(ctx, 2) - before
    if hosts == 1:
        assert carried < MB // 4, "read from the file, without a wire"
    else:
        assert 1_000_000 < carried < 4_200_000, "what lies on the other host, once"
