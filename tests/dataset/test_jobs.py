"""Jobs in the background and from several threads at once, their groups and tags, and what cancels them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from operator import add

import pytest

import headrace
from headrace.context import Context
from headrace.errors import JobCancelled, TaskFailed, UsageError
from tests.real.help import until


@pytest.fixture(name="ctx", scope="module")
def _ctx() -> Iterator[Context]:
    with headrace.connect("local://?workers=2&cancel_grace=100ms", progress=False) as context:
        yield context


def forever(ctx: Context) -> headrace.Dataset[None]:
    return ctx.range(2).map(lambda _: time.sleep(600))


def slowly(x: int) -> int:
    time.sleep(0.01)
    return x


def busy(ctx: Context) -> bool:
    return any(worker.state == "running" for worker in ctx.workers())


@pytest.mark.parametrize("url", ["inline://", "local://?workers=2", "sim://?workers=3&seed=4"])
def test_several_jobs_at_once_from_several_threads(url: str) -> None:
    def work(number: int) -> dict[int, int]:
        return run.range(200).map(lambda x: (x % number, x)).reduce_by_key(add).collect_as_map()

    with headrace.connect(url, progress=False) as run, ThreadPoolExecutor(6) as threads:
        found = list(threads.map(work, range(1, 13)))
        futures = [run.submit(work, number) for number in range(1, 7)]
        wait(futures)
    expected = [{key: sum(range(key, 200, number)) for key in range(number)} for number in range(1, 13)]
    assert found == expected
    assert [future.result() for future in futures] == expected[:6]


def test_a_future_has_what_the_action_raised(ctx: Context) -> None:
    future = ctx.submit(ctx.range(3).map(lambda x: 1 // x).count)
    assert isinstance(future.exception(), TaskFailed)
    assert isinstance(future.exception().__cause__, ZeroDivisionError)  # type: ignore[union-attr]


def test_cancelling_a_future_ends_its_jobs_and_no_others(ctx: Context) -> None:
    one = ctx.submit(forever(ctx).count)
    other = ctx.submit(ctx.range(100, num_slices=50).map(slowly).sum)
    until(lambda: busy(ctx), "it runs")
    assert one.cancel()
    with pytest.raises(JobCancelled, match="its future was cancelled"):
        one.result(60)
    assert other.result(60) == 4950
    assert not other.cancel(), "it has ended"


def test_a_future_that_is_cancelled_between_two_jobs_runs_no_more(ctx: Context) -> None:
    between, go_on = threading.Event(), threading.Event()

    def two() -> int:
        ctx.range(3).count()
        between.set()
        go_on.wait(60)
        return forever(ctx).count()

    future = ctx.submit(two)
    assert between.wait(60)
    assert future.cancel()
    go_on.set()
    with pytest.raises(JobCancelled):
        future.result(60)


def test_groups_and_tags_belong_to_the_thread_that_set_them(ctx: Context) -> None:
    def labelled(name: str) -> None:
        ctx.set_job_group(name)
        ctx.add_job_tag(f"tag of {name}")
        assert ctx.get_job_tags() == {f"tag of {name}"}
        forever(ctx).count()

    with ThreadPoolExecutor(3) as threads:
        a, b, c = (threads.submit(labelled, name) for name in "abc")
        until(lambda: len(ctx._engine.jobs._running) == 3, "all three run")
        assert ctx.get_job_tags() == set()
        ctx.cancel_job_group("a")
        with pytest.raises(JobCancelled, match="group 'a' was cancelled"):
            a.result(60)
        ctx.cancel_jobs_with_tag("tag of b")
        with pytest.raises(JobCancelled, match="tag"):
            b.result(60)
        assert not c.done()
        ctx.cancel_all_jobs()
        with pytest.raises(JobCancelled, match="all jobs"):
            c.result(60)
    assert ctx.range(5).count() == 5


def test_a_future_inherits_the_labels_of_its_thread(ctx: Context) -> None:
    ctx.add_job_tag("mine")
    future = ctx.submit(forever(ctx).count)
    ctx.clear_job_tags()
    until(lambda: len(ctx._engine.jobs._running) == 1, "it runs")
    ctx.cancel_jobs_with_tag("mine")
    with pytest.raises(JobCancelled):
        future.result(60)


@pytest.mark.parametrize("tag", ["", "a,b", None, 3])
def test_tags_are_text_without_commas(ctx: Context, tag: object) -> None:
    with pytest.raises(UsageError, match="text without commas"):
        ctx.add_job_tag(tag)  # type: ignore[arg-type]


def test_a_result_instead_of_an_action_is_refused_at_once(ctx: Context) -> None:
    with pytest.raises(UsageError, match="brackets"):
        ctx.submit(ctx.range(3).count())  # type: ignore[arg-type]


def test_what_is_fetched_ahead_can_be_cancelled_too_and_is_known_no_longer(ctx: Context) -> None:
    slow = ctx.range(2, num_slices=2).map(lambda x: time.sleep(600) if x else x)
    records = slow.to_local_iterator(prefetch_partitions=True)
    assert next(records) == 0
    assert len(ctx._engine.jobs._running) == 1, "the second partition, which nobody waits for yet"
    ctx.cancel_all_jobs()
    with pytest.raises(JobCancelled):
        next(records)
    assert not ctx._engine.jobs._running
