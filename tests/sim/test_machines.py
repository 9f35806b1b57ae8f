"""Processes that die, hosts that come back, clocks that run wrong: what befalls them, and that nothing changes by it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace.config import MS, SECOND
from headrace.context import Context
from headrace.ids import HostId, WorkerId
from headrace.observe.stories import find, read
from headrace.sim.clock import TRUE_PPM
from headrace.sim.faults import Fault, FaultPlan, write_plan
from headrace.sim.session import SimSession

WORDS = [f"word{i * i % 23}" for i in range(600)]
COUNTS = {word: WORDS.count(word) for word in WORDS}
URL = "sim://?workers=4&hosts=2&seed=5"


def count(ctx: Context) -> dict[str, int]:
    """Shuffle twice, and read a partition that is kept on disk."""
    pairs = ctx.parallelize(WORDS, 4).map(lambda word: (word, 1)).persist(headrace.StorageLevel.DISK_ONLY)
    counts = pairs.reduce_by_key(operator.add, 3)
    assert sum(counts.map(lambda pair: (pair[1] % 5, pair[1])).group_by_key(2).values().map(sum).collect()) == len(
        WORDS
    )
    return pairs.reduce_by_key(operator.add, 2).collect_as_map()


def session_of(ctx: Context) -> SimSession:
    session = ctx._engine.session
    assert isinstance(session, SimSession)
    return session


def do(session: SimSession, action: Callable[[], object]) -> None:
    """Have something happen in the world, and wait until it has."""
    session.mover.ask(action)
    session.wait_until(session.gate.flag(), session.now_ns() + MS)


@contextmanager
def through(folder: Path, *faults: Fault, url: str = URL) -> Iterator[Context]:
    """Connect to a world whose workers are all there, and that has faults `AT` its first job."""
    plan = folder / "plan.json"
    plan.write_bytes(write_plan(FaultPlan(faults)))
    with headrace.connect(f"{url}&plan={plan}", progress=False) as ctx:
        session = session_of(ctx)
        session.wait_until(session.gate.flag(), session.now_ns() + SECOND)
        yield ctx


def run(folder: Path, *faults: Fault, url: str = URL, look: Callable[[SimSession], Any] = lambda session: None) -> Any:
    """Run the job through some faults; it is exact in any case."""
    with through(folder, *faults, url=url) as ctx:
        assert count(ctx) == COUNTS
        session = session_of(ctx)
        assert len(session.disasters.struck) == len(faults), "all of them have happened"
        return look(session)


def test_a_worker_may_die_at_any_event() -> None:
    """In turn, after one in so many of the events that the run without failures has."""
    with headrace.connect(URL, progress=False) as ctx:
        assert count(ctx) == COUNTS
        events = session_of(ctx).world.events
    died: list[str] = []
    for last in range(3, events, max(7, events // 18)):
        with headrace.connect(URL, progress=False) as ctx:
            strike_after(session_of(ctx), last, died)
            assert count(ctx) == COUNTS, f"a worker died after event {last}"
    assert len(died) >= 12
    assert set(died) > {"idle", "compute"}


def strike_after(session: SimSession, last: int, died: list[str]) -> None:
    """Have some worker die right after an event of the world; note what it was doing."""
    step, place = session.world.step, session.place

    def stepping() -> None:
        step()
        if session.world.events == last and place.processes:
            struck = place.strike(sorted(place.processes)[last % len(place.processes)])
            died.append(struck.phase if struck is not None else "nobody")

    session.world.step = stepping  # type: ignore[method-assign]


@pytest.mark.parametrize("worker", ["w1", "w2"])
def test_a_worker_may_die_at_any_use_of_its_disk(worker: str) -> None:
    """In the midst of a write, between a write and its rename, between two renames."""
    phases = set()
    for uses in range(1, 60, 5):
        with headrace.connect(URL, progress=False) as ctx:
            session = session_of(ctx)
            session.wait_until(session.gate.flag(), session.now_ns() + SECOND)
            process = session.place.processes[WorkerId(worker)]
            process.fuse = uses
            assert count(ctx) == COUNTS, f"{worker} died after {uses} uses of its disk"
            if not process.alive:
                phases.add(process.phase)
    assert {"compute", "commit"} <= phases


def test_a_host_comes_back_with_its_disk_and_gets_workers_again(tmp_path: Path) -> None:
    def look(session: SimSession) -> None:
        assert {process.host for process in session.place.processes.values()} == {"h0", "h1"}
        assert session.controller.lost_hosts == set()

    run(tmp_path, Fault("reboot", 3 * MS, pick=1), Fault("reboot", 9 * MS, pick=2), look=look)


def test_memory_that_runs_out_is_told_as_the_real_place_tells_it(tmp_path: Path) -> None:
    with through(
        tmp_path, *(Fault("memory", at * MS, form=form) for at, form in ((5, "killed"), (15, "error")))
    ) as ctx:
        slow = ctx.range(40_000, num_slices=8).map(lambda x: x % 7)
        assert slow.sum() == sum(x % 7 for x in range(40_000))
        struck = session_of(ctx).disasters.struck
        run_name = ctx.run
    assert [hit.fault.form for hit in struck] == ["killed", "error"]
    told = str(list(read(find(run_name))))
    assert "SIGKILL" in told
    assert "the kernel killed a process for lack of memory meanwhile" in told
    assert "MemoryError" in told


def test_clocks_that_run_wrong_never_go_back_and_change_nothing(tmp_path: Path) -> None:
    seen: dict[str, int] = {}

    def look(session: SimSession) -> None:
        rates = {process.host: process.clock.rate_ppm for process in session.place.processes.values()}
        assert sorted(rates.values()) == [TRUE_PPM, TRUE_PPM + TRUE_PPM // 10]
        do(session, session.disasters.heal)
        assert {process.clock.rate_ppm for process in session.place.processes.values()} == {TRUE_PPM}
        for process in session.place.processes.values():
            seen[process.id] = process.clock.now_ns()

    run(tmp_path, Fault("clock", 3 * MS, pick=5, strength=1.0), look=look)
    assert seen


@pytest.mark.parametrize("form", ["constant", "intermittent", "growing"])
def test_a_slow_host_takes_longer_for_a_while(form: str, tmp_path: Path) -> None:
    world_of = run(tmp_path, look=lambda session: session.world.time_ns)
    taken = run(
        tmp_path,
        Fault("slow", 3 * MS, for_ns=45 * SECOND, form=form, strength=1.0),
        url=f"{URL}&speculate=off",
        look=lambda session: session.world.time_ns,
    )
    assert taken > world_of


def test_what_heals_is_well_for_good(tmp_path: Path) -> None:
    """Whatever goes on by itself, such as churn and hosts that are slow now and then, is over."""
    long = 40 * SECOND
    faults = (
        Fault("churn", 1 * MS, for_ns=long, strength=1.0),
        Fault("slow", 1 * MS, for_ns=long, form="intermittent", strength=1.0),
        Fault("slow", 2 * MS, 1, long, "growing", 1.0),
        Fault("pause", 3 * MS, 2, long),
        Fault("full", 4 * MS, 0, long),
        Fault("sluggish", 4 * MS, 1, long, strength=1.0),
        Fault("unreadable", 5 * MS, 1, long, strength=0.3),
        Fault("clock", 5 * MS, 3, strength=1.0),
        Fault("launch", 6 * MS, 1, long, "fail"),
    )
    with through(tmp_path, *faults) as ctx:
        ctx.range(4000, num_slices=8).map(lambda x: x).count()
        session = session_of(ctx)
        assert len(session.disasters.struck) == len(faults)
        do(session, session.disasters.heal)
        ended = session.place.end
        told: list[Any] = []
        session.place.end = lambda *a, **k: (told.append(a), ended(*a, **k))[1]  # type: ignore[method-assign,func-returns-value]
        session.wait_until(session.gate.flag(), session.now_ns() + 60 * SECOND)
        assert told == [], "nobody dies any more"
        processes = session.place.processes.values()
        assert len(processes) == 4
        assert all(p.slowness == 1.0 and not p.paused and p.clock.rate_ppm == TRUE_PPM for p in processes)
        assert not any(ailing.full or ailing.slow or ailing.unreadable for ailing in session.disk.ailing.values())
        assert count(ctx) == COUNTS


def test_the_only_host_is_spared_what_nothing_could_be_done_about(tmp_path: Path) -> None:
    spared = Fault("full", 1, for_ns=SECOND), Fault("unreadable", 1, for_ns=SECOND), Fault("launch", 2, for_ns=SECOND)
    with through(tmp_path, *spared, url="sim://?workers=2&seed=1") as ctx:
        assert count(ctx) == COUNTS
        assert session_of(ctx).disasters.struck == []


def test_a_reboot_ends_all_of_a_host_and_nobody_else(tmp_path: Path) -> None:
    with headrace.connect(URL, progress=False) as ctx:
        assert count(ctx) == COUNTS
        session = session_of(ctx)
        place = session.place
        there = {process.id: process.host for process in place.processes.values()}
        do(session, lambda: place.reboot(HostId("h0"), 3 * SECOND))
        assert set(place.processes) == {worker for worker, host in there.items() if host == "h1"}
        at_ns = session.now_ns()
        session.wait_until(session.gate.flag(), at_ns + 2 * SECOND)
        assert {process.host for process in place.processes.values()} == {"h1"}, "it is not back yet"
        session.wait_until(session.gate.flag(), at_ns + 5 * SECOND)
        assert len(place.on(HostId("h0"))) == 2
        assert count(ctx) == COUNTS
