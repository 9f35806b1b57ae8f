"""`headrace.testing`: one's own functions under failures, faults as data, markers at which workers die."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace import testing
from headrace.context import Context
from headrace.errors import UsageError
from headrace.observe.stories import find, read
from headrace.testing import CRASH, Scenario, ScenarioFailed, crash, fault, pause, run_seeds, run_simulated


def count(ctx: Context) -> list[tuple[int, int]]:
    """A good job."""
    return ctx.range(300, num_slices=12).map(lambda x: (x % 5, 1)).reduce_by_key(lambda a, b: a + b, 4).collect()


def careless(ctx: Context) -> int:
    """A job that counts in a function that runs again where a worker is lost."""
    watched = ctx.accumulator(0)

    def watch(x: int) -> int:
        watched.add(1)
        return x

    kept = ctx.range(300, num_slices=12).map(watch).cache()
    kept.sum()
    kept.sum()
    return watched.value


def test_a_good_job_returns_what_it_returns_without_failures() -> None:
    runs = run_seeds(count, Scenario(workers=5, hosts=2), seeds=6)
    assert [run.scenario.seed for run in runs] == list(range(6))
    assert all(sorted(run.result) == [(key, 60) for key in range(5)] for run in runs)
    assert sum(len(run.hits) for run in runs) > 3, "and something did go wrong"
    assert len({run.trace for run in runs}) == 6
    again = run_simulated(count, Scenario(workers=5, hosts=2, seed=3))
    assert (again.trace, again.events, again.story) == (runs[3].trace, runs[3].events, runs[3].story)


def test_a_schedule_is_what_goes_wrong() -> None:
    said = (crash(at="65ms"), crash(at="70ms", pick=1), pause(at="62ms", lasts="300ms"))
    run = run_simulated(count, Scenario(workers=5, hosts=2, faults=said))
    assert [fault.kind for fault in run.plan.faults] == ["pause", "crash", "crash"]
    assert [hit.fault.kind for hit in run.hits] == ["pause", "crash", "crash"]
    lost = [line for line in run.lines if line["what"] == "worker lost"]
    assert len(lost) == 2
    calm = run_simulated(count, Scenario(faults=()))
    assert (calm.plan.faults, calm.hits) == ((), ())


def test_a_careless_job_is_told_with_the_one_fault_that_it_takes() -> None:
    with pytest.raises(ScenarioFailed, match="without failures 300") as caught:
        run_seeds(careless, Scenario(workers=6, hosts=3, faults=("crash", "pause")), seeds=40)
    error = caught.value
    assert [fault.kind for fault in error.plan.faults] == ["crash"]
    assert error.outcome.result > 300
    said = str(error)
    assert f"with seed {error.scenario.seed}, it returns {error.outcome.result}" in said
    assert "again: run_simulated(function, Scenario(workers=6, hosts=3, seed=" in said
    names = {name: getattr(testing, name) for name in testing.__all__}
    again = eval(said.rpartition("run_simulated(function, ")[2].removesuffix(")"), names)
    with pytest.raises(ScenarioFailed) as twice:
        run_simulated(careless, again, shrink_s=0)
    assert twice.value.outcome.trace == error.outcome.trace, "what the message says brings it about again"


def test_a_check_and_an_exception_count() -> None:
    run_simulated(careless, Scenario(seed=1), check=lambda number: number >= 300)
    with pytest.raises(ScenarioFailed, match="the check says no to 300"):
        run_simulated(careless, Scenario(faults=()), check=lambda number: number < 300)

    def breaks(ctx: Context) -> int:
        assert careless(ctx) == 300, "counted twice"
        return 1

    with pytest.raises(ScenarioFailed, match="it raises AssertionError: counted twice") as caught:
        run_seeds(breaks, Scenario(workers=6, faults=("crash",)), seeds=40)
    assert isinstance(caught.value.__cause__, AssertionError)
    with pytest.raises(ZeroDivisionError) as plain:
        run_simulated(lambda ctx: 1 // 0)
    assert plain.value.__notes__ == ["It did so with no failure at all, in a simulated world that is kind."]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: fault("flood", at="1s"), "no fault 'flood'"),
        (lambda: fault("disk", at="1s"), "is a group of faults"),
        (lambda: fault("crash", at="soon"), "is not a duration"),
        (lambda: fault("host", at="1s", lasts="2s"), "does not last"),
        (lambda: fault("crash", at="1s", strength=0.5), "has no strength"),
        (lambda: fault("slow", at="1s", form="odd"), "no form 'odd'"),
        (lambda: run_simulated(count, Scenario(faults=("crash", crash(at="1s")))), "either kinds"),
        (lambda: run_simulated(count, Scenario(faults=("flood",))), "no fault 'flood'"),
        (lambda: run_simulated(count, Scenario(options={"wrokers": "3"})), "Did you mean 'workers'"),
    ],
)
def test_what_means_nothing_is_refused(make: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make()


TESTS = """
import pytest
from headrace.testing import Scenario

def job(ctx):
    return ctx.range(10).sum()

def test_usual(simulated):
    assert len(simulated(job, Scenario(workers=2))) == {usual}

@pytest.mark.headrace_seeds(2)
def test_marked(simulated):
    assert len(simulated(job)) == {marked}
    assert len(simulated(job, seeds=3)) == {argument}
"""


@pytest.mark.parametrize(("options", "numbers"), [([], (20, 2, 3)), (["--headrace-seeds", "4"], (4, 4, 4))])
def test_the_fixture(tmp_path: Path, options: list[str], numbers: tuple[int, int, int]) -> None:
    source = TESTS.format(**dict(zip(("usual", "marked", "argument"), numbers, strict=True)))
    (tmp_path / "test_job.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*command, "-p", "headrace.campaign.pytest_plugin", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


# Markers.

RECORDS = st.lists(
    st.one_of(st.integers(0, 9), st.just(CRASH), st.tuples(st.integers(0, 3), st.text(max_size=2))), max_size=25
)


@settings(max_examples=30)
@given(RECORDS, st.integers(1, 6))
def test_records_with_markers_are_those_without(records: list[Any], slices: int) -> None:
    plain = [record for record in records if record is not CRASH]
    with headrace.connect("sim://?workers=3", progress=False) as ctx:
        made, usual = ctx.parallelize(records, slices), ctx.parallelize(plain, slices)
        assert made.glom().collect() == usual.glom().collect()
        assert made.collect() == plain
        assert made.count() == len(plain)
        run = ctx.run
    lost = [line for line in read(find(run)) if line["what"] == "worker lost"]
    assert len(lost) == records.count(CRASH), "each marker kills once"


@pytest.mark.parametrize("url", ["sim://?workers=2&seed=3", "local://?workers=2"])
def test_a_worker_dies_at_a_marker(url: str) -> None:
    with headrace.connect(url, progress=False) as ctx:
        pairs: headrace.Dataset[tuple[int, str]] = ctx.parallelize(
            [(1, "a"), (2, "b"), cast("Any", CRASH), (1, "c")], 2
        )
        assert sorted(pairs.group_by_key().map_values(list).collect()) == [(1, ["a", "c"]), (2, ["b"])]
        assert ctx.parallelize([1, CRASH, 2], 1).take(1) == [1], "what is not reached kills nobody"
        run = ctx.run
    (lost,) = [line for line in read(find(run)) if line["what"] == "worker lost"]
    assert "SIGKILL" in lost["how"]
    assert lost["phase"] == "compute"


def test_large_slices_and_arrays_can_have_markers() -> None:
    records: list[Any] = [*range(60_000), CRASH, *range(60_000)]
    with headrace.connect("sim://?workers=2", progress=False) as ctx:
        assert ctx.parallelize(records, 2).sum() == 2 * sum(range(60_000))
        assert ctx.parallelize([CRASH], 2).glom().collect() == [[], []]
        assert ctx.parallelize((CRASH, 1.5, CRASH)).collect() == [1.5]
        run = ctx.run
    assert sum(line["what"] == "worker lost" for line in read(find(run))) == 4


def test_a_marker_out_of_place_is_refused(inline: Context) -> None:
    with pytest.raises(UsageError, match=r"inline:// has none. Use local:// or sim://"):
        inline.parallelize([1, CRASH])
    with (
        headrace.connect("sim://", progress=False) as ctx,
        pytest.raises(UsageError, match="a record of its own"),
    ):
        ctx.parallelize([(1, CRASH)])
    assert repr(CRASH) == "CRASH"
