"""A promise that is broken in a run reaches the program, and what looks on at a run changes nothing in it."""

from __future__ import annotations

import contextlib
import gc
import operator
from typing import Any

import pytest

import headrace
from headrace.errors import HeadraceError, NoProgress, PromiseBroken
from headrace.loops.results import Results
from headrace.loops.work import WorkerLoop
from headrace.observe.stories import find, read
from headrace.protocols.claims import Claims, CommitAsked, Committed
from headrace.protocols.schedule import Schedule
from headrace.protocols.schedule_words import CountUpdates

URL = "sim://?workers=4&hosts=2&seed=3"


def job(ctx: headrace.Context) -> list[tuple[int, int]]:
    pairs = ctx.range(3000, num_slices=6).map(lambda x: (x % 3, x))
    return sorted(pairs.reduce_by_key(operator.add, 4).collect())


@pytest.fixture
def twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that schedules has contributions to accumulators added twice."""
    step = Schedule.step

    def generous(self: Schedule, event: Any) -> list[Any]:
        effects = step(self, event)
        return [*effects[:1], *effects] if effects and isinstance(effects[0], CountUpdates) else effects

    monkeypatch.setattr(Schedule, "step", generous)


def add(ctx: headrace.Context) -> int:
    total = ctx.accumulator(0)
    ctx.range(30, num_slices=3).foreach(total.add)
    return total.value


def test_it_is_raised_where_the_program_waits_and_told(twice: None) -> None:
    with pytest.raises(PromiseBroken) as broken, headrace.connect(URL, progress=False) as ctx:
        add(ctx)
    assert "accumulator update" in broken.value.promise
    assert broken.value.seed == 3
    assert any("adds up what task" in line for line in broken.value.evidence)
    assert isinstance(broken.value, HeadraceError)
    (told,) = [line for line in read(find(ctx.run)) if line["what"] == "promise broken"]
    assert told["promise"] == broken.value.promise
    assert told["evidence"] == list(broken.value.evidence)


def test_who_swallows_it_hears_it_again(twice: None) -> None:
    ctx = headrace.connect(URL, progress=False)
    for _ in range(2):
        with contextlib.suppress(PromiseBroken):
            add(ctx)
            raise AssertionError("nothing was raised")
    with pytest.raises(PromiseBroken):
        ctx.close()


def test_nobody_looks_when_told_not_to(twice: None) -> None:
    with headrace.connect(URL + "&check=off", progress=False) as ctx:
        assert add(ctx) == 2 * sum(range(30))


def test_what_is_left_behind_is_found_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WorkerLoop, "_free", lambda *_: None)
    ctx = headrace.connect(URL, progress=False)
    job(ctx)
    gc.collect()
    with pytest.raises(PromiseBroken, match="is still there: its shuffle was freed"):
        ctx.close()


def test_an_output_that_counts_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim table lets every attempt commit; found within a few seeds of faults."""
    commit = Claims._commit

    def easy(self: Claims, event: CommitAsked) -> list[Any]:
        if event.attempt not in self.alive:
            return [Committed(event.task, event.attempt, event.worker, event.output, event.ran_ns, event.now_ns)]
        self.closed.pop(event.task, None)
        return list(commit(self, event))

    monkeypatch.setattr(Claims, "_commit", easy)
    found = 0
    for seed in range(30):
        try:
            with headrace.connect(
                f"sim://?workers=4&hosts=2&seed={seed}&faults=slow,double,pause", progress=False
            ) as ctx:
                job(ctx)
        except PromiseBroken:
            found += 1
        except AssertionError:
            pass  # a machine has noticed
        if found:
            return
    raise AssertionError("nobody noticed")


@pytest.mark.parametrize("faults", ["", "&faults=all"])
def test_who_looks_on_changes_nothing(faults: str) -> None:
    """The same things happen until the job is done, at the same times."""
    ends = []
    for check in ("on", "off"):
        with headrace.connect(f"{URL}{faults}&check={check}", progress=False) as ctx:
            got = job(ctx)
        lines = [line for line in read(find(ctx.run)) if line["what"] not in ("run begun", "run done", "world healed")]
        done = next(i for i, line in enumerate(lines) if line["what"] == "job done")
        ends.append((got, lines[: done + 1]))
    assert ends[0] == ends[1]


def test_errors_that_tell_of_broken_promises_travel() -> None:
    import pickle

    for error in (PromiseBroken("it is kept", 7, ["w1 did not"]), NoProgress("it goes on", 8, ["w2 waits"])):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert (again.promise, again.seed, again.evidence) == (error.promise, error.seed, error.evidence)
        assert str(again) == str(error)
        assert str(error.seed) in str(error)


def test_results_are_compared_with_what_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a result that is fetched, the program loses a piece."""
    delivered = Results._delivered

    def clumsy(self: Results, effect: Any, host: Any, pieces: Any) -> None:
        delivered(self, effect, host, [*pieces, pieces[-1]])

    monkeypatch.setattr(Results, "_delivered", clumsy)
    with (
        pytest.raises(PromiseBroken, match="is not what it wrote"),
        headrace.connect(URL + "&inline=0k", progress=False) as ctx,
    ):
        job(ctx)
