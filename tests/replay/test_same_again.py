"""A failed attempt that is replayed meets the same records in the same order, and raises the same."""

from __future__ import annotations

import io
import pickle
import random
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.dataset import Dataset
from headrace.errors import ProgramError, TaskFailed, UsageError
from headrace.observe.failures import folder_of, list_of
from headrace.runtime.replay import ReplayPort
from tests.dataset.data import canonical, flat, lay_out
from tests.dataset.pipelines import PIPELINES, Pipeline


class Tripped(Exception):
    """Says which record it was, and what came before it."""


def tripwire(target: str) -> Callable[[Iterable[Any]], Iterator[Any]]:
    def watch(records: Iterable[Any]) -> Iterator[Any]:
        before = 0
        for number, record in enumerate(records):
            face = repr((canonical(record[0]), record[1]))
            if face == target:
                raise Tripped(f"{number} {before:08x} {face}")
            before = zlib.crc32(face.encode(), before)
            yield record

    return watch


def trapped(ctx: Context, pipeline: Pipeline, place: int, which: int) -> Dataset[Any]:
    """Build a pipeline with a trap between two of its steps: one record there raises."""
    made, pairs = lay_out(ctx, pipeline.parts), flat(pipeline.parts)
    for step, number in pipeline.steps[:place]:
        made, pairs = step.run(made, number), step.model(pairs)
    assume(pairs)
    key, value = pairs[which % len(pairs)]
    made = made.map_partitions(tripwire(repr((canonical(key), value))))
    for step, number in pipeline.steps[place:]:
        made = step.run(made, number)
    return made


def fails(made: Dataset[Any]) -> TaskFailed:
    """Run it; the trap may lie where a step drops what comes, and then nothing is learnt."""
    try:
        made.collect()
    except TaskFailed as error:
        return error
    assume(False)
    raise AssertionError


def check_again(error: TaskFailed) -> None:
    first = error.__cause__
    assert type(first) is Tripped, error
    with pytest.raises(Tripped) as again:
        error.replay()
    assert again.value.args == first.args


TRAPS = (PIPELINES, st.integers(0, 6), st.integers(0, 1000))


@given(*TRAPS)
@settings(max_examples=25)
def test_inline(pipeline: Pipeline, place: int, which: int) -> None:
    with headrace.connect("inline://?max_failures=1", progress=False) as ctx:
        error = fails(trapped(ctx, pipeline, place, which))
        check_again(error)
    check_again(error)


@given(*TRAPS, st.integers(0, 10**6))
@settings(max_examples=12)
def test_in_a_hostile_world(pipeline: Pipeline, place: int, which: int, seed: int) -> None:
    url = f"sim://?workers=4&hosts=2&seed={seed}&faults=all&max_failures=2"
    with headrace.connect(url, progress=False) as ctx:
        error = fails(trapped(ctx, pipeline, place, which))
    assert "its input was not saved" in error.unsaved or not error.unsaved, error.unsaved
    if not error.unsaved:  # a host may be lost behind the last failure, with what it saved
        check_again(error)


def test_a_replay_that_is_given_other_records_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: a port that gives the parts of a shuffle in another order."""
    real = ReplayPort.parts

    def turned(self: ReplayPort, *where: Any) -> Iterator[Any]:
        return iter(list(real(self, *where))[::-1])

    with headrace.connect("inline://?max_failures=1", progress=False) as ctx:
        made = ctx.parallelize([(x % 3, x) for x in range(30)], 3).partition_by(2)
        error = fails(made.map_partitions(tripwire(repr((canonical(0), 27)))))
    check_again(error)
    monkeypatch.setattr(ReplayPort, "parts", turned)
    with pytest.raises(AssertionError):
        check_again(error)


def choke(pair: tuple[int, int]) -> tuple[int, int]:
    if pair[1] > 90:
        raise Tripped(str(pair))
    return pair


@pytest.mark.parametrize("url", ["local://?workers=2", "local://?workers=2&hosts=2"])
def test_from_worker_processes_with_everything_that_a_task_can_read(url: str, tmp_path: Path) -> None:
    text = tmp_path / "numbers.txt"
    text.write_text("".join(f"{x}\n" for x in range(50)))
    with headrace.connect(f"{url}&inline=1", progress=False) as ctx:
        offset = ctx.broadcast({"by": 1})
        kept = ctx.parallelize(range(50), 3).map(lambda x: (x % 5, x)).cache()
        assert kept.count() == 50
        lines = ctx.text_file(text).map(lambda line: (int(line) % 5, int(line) + offset.value["by"]))
        sums = kept.union(lines).join(kept).map_values(sum)
        with pytest.raises(TaskFailed) as caught:
            sums.map(choke).collect()
        failed = caught.value
        assert not failed.unsaved
        with pytest.raises(TaskFailed) as caught:
            kept.map(lambda pair: choke((pair[0], pair[1] * offset.value["by"] + 60))).foreach(print)
        second = caught.value
    for error in (failed, second, pickle.loads(pickle.dumps(failed))):
        with pytest.raises(Tripped) as again:
            error.replay()
        assert str(again.value) == str(failed.__cause__ if error is not second else second.__cause__)


def test_what_was_not_asked_for_is_not_there() -> None:
    """A function that does something else the second time is told so, instead of being given something else."""
    with headrace.connect("inline://?max_failures=1", progress=False) as ctx:
        one, other = ctx.broadcast("one"), ctx.broadcast("other")

        def fickle(x: int) -> int:
            import builtins

            times = builtins.__dict__.setdefault("_headrace_test_times", [])
            times.append(x)
            raise Tripped((one if len(times) == 1 else other).value)

        error = fails(ctx.range(1).map(fickle))
    with pytest.raises(UsageError, match="had not asked for"):
        error.replay()


def test_of_each_task_the_newest_is_kept_also_where_the_job_went_on(tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    def once(x: int) -> int:
        if x == 3 and not mark.exists():
            mark.write_text("")
            raise Tripped("once")
        return x

    with headrace.connect("inline://", progress=False) as ctx:
        assert ctx.range(4, num_slices=4).map(once).sum() == 6
        with pytest.raises(TaskFailed) as caught:
            ctx.range(4, num_slices=2).map(lambda x: choke((x, 99))).collect()
        run = ctx.run
    kept = list_of(folder_of(run))
    assert len(kept) == len({one.task for one in kept})
    (flaky,) = [one for one in kept if one.task.endswith(".3")]
    assert caught.value.attempt in {one.attempt for one in kept}
    mark.unlink()
    with pytest.raises(Tripped, match="once"):
        caught.value.replay(flaky.attempt)
    caught.value.replay(flaky.attempt)  # the mark is there again, so it goes well


def test_nothing_is_written_by_a_replay(tmp_path: Path) -> None:
    with headrace.connect("inline://?max_failures=1", progress=False) as ctx, pytest.raises(TaskFailed) as caught:
        ctx.range(100).map(lambda x: choke((x, x))).save_as_text_file(tmp_path / "out")
    with pytest.raises(Tripped):
        caught.value.replay()
    assert list(tmp_path.iterdir()) == []


def test_a_port_answers_for_a_cache_as_the_attempt_was_answered() -> None:
    """A task that keeps a dataset itself and reads it again finds it the second time only."""
    with headrace.connect("inline://?max_failures=1", progress=False) as ctx:
        kept = ctx.parallelize([(x, x) for x in range(10)], 2).cache()
        both = kept.union(kept).coalesce(1).map_partitions(tripwire(repr((canonical(9), 9))))
        error = fails(both)
        check_again(error)
        assert fails(both).attempt > error.attempt
    check_again(error)


def test_a_partition_that_was_kept_is_given_as_it_was_kept() -> None:
    """What is drawn by chance differs whenever it is computed: only what was kept is the same."""
    with headrace.connect("inline://?max_failures=1", progress=False) as ctx:
        drawn = ctx.range(5).map(lambda x: (x, random.randrange(10**12))).cache()
        last = drawn.collect()[-1]
        error = fails(drawn.map_partitions(tripwire(repr((canonical(last[0]), last[1])))))
    check_again(error)


def test_the_debugger_looks_at_the_users_frame_not_at_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with headrace.connect("inline://?max_failures=1", progress=False) as ctx:
        seen = ctx.accumulator(0)
        with pytest.raises(TaskFailed) as caught:
            ctx.range(3).map(lambda cargo: cargo + seen.value).collect()
    monkeypatch.setattr("sys.stdin", io.StringIO("p 'cargo', cargo\nq\n"))
    with pytest.raises(ProgramError, match="cannot read an accumulator"):
        caught.value.replay(debug=True)
    assert "('cargo', 0)" in capsys.readouterr().out


@pytest.mark.parametrize("url", ["inline://?max_failures=1", "sim://?seed=5&max_failures=1"])
def test_a_checkpoint_that_goes_with_its_run_is_saved(url: str) -> None:
    with headrace.connect(url, progress=False) as ctx:
        drawn = ctx.range(5).map(lambda x: (x, random.randrange(10**12)))
        ctx._engine.checkpoints.mark(drawn._operator, f"{ctx._session.controller.layout.root}/home/cut")
        drawn.count()
        ctx._engine.checkpoints.wait()
        last = drawn.collect()[-1]
        error = fails(drawn.map_partitions(tripwire(repr((canonical(last[0]), last[1])))))
    check_again(error)


def test_a_job_in_the_background_is_replayed_by_its_future() -> None:
    with headrace.connect("inline://", progress=False) as ctx:
        shares = ctx.parallelize([2, 1, 0], 3).map(lambda x: 10 // x)
        failed, well, elsewhere = ctx.submit(shares.collect), ctx.submit(shares.first), ctx.submit("".index, "x")
        with pytest.raises(ZeroDivisionError):
            failed.replay()
    with pytest.raises(ZeroDivisionError):
        failed.replay()
    for future, how in ((well, "ended well"), (elsewhere, "with ValueError")):
        with pytest.raises(UsageError, match=how):
            future.replay()
