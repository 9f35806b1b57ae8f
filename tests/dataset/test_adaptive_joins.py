"""Joins with skew="auto" give what plain ones give, whichever plan is chosen and whatever is lost, and say what it is."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.dataset import Dataset
from headrace.errors import TaskFailed, UsageError
from headrace.plan.operators import Adaptive, Join, PerPartition
from headrace.store.layout import HOME
from headrace.testing import kill_host
from tests.dataset.data import KEYS, Parts, canonical, in_parts, lay_out
from tests.dataset.watch import TasksRun

PLANS = {  # settings under which data of any size get one of the plans
    "broadcast": "broadcast_bytes=1MB&split_records=1000000",
    "split": "broadcast_bytes=0&split_records=1",
    "plain": "broadcast_bytes=0&split_records=1000000",
}
KINDS = ["join", "left_outer_join", "right_outer_join", "full_outer_join"]
skewed = st.sampled_from([st.just("hot"), st.just("hot"), st.just("hot"), st.sampled_from([1, None]), KEYS]).flatmap(
    lambda keys: keys
)
rows = in_parts(st.tuples(skewed, st.integers(0, 9)))
few = st.sampled_from([None, 1, 2, 3, 7])


@pytest.fixture(scope="module", params=list(PLANS))
def ctx(request: pytest.FixtureRequest) -> Iterator[Context]:
    with headrace.connect(f"inline://?{PLANS[request.param]}", progress=False) as context:
        yield context


def faces(pairs: list[Any]) -> Counter[str]:
    """Count pairings, whichever of several equal keys stands for them."""
    return Counter(repr((canonical(key), value)) for key, value in pairs)


def check(ctx: Context, left: Parts, right: Parts, number: int | None) -> None:
    one, other = lay_out(ctx, left), lay_out(ctx, right)
    for kind in KINDS:
        adaptive = getattr(one, kind)(other, number, skew="auto")
        plain = getattr(one, kind)(other, number)
        assert adaptive.get_num_partitions() == plain.get_num_partitions()
        assert faces(adaptive.collect()) == faces(plain.collect())
        assert adaptive.map_partitions(lambda records: [1]).count() == plain.get_num_partitions()
        assert adaptive.partitioner is None


@given(left=rows, right=rows, number=few)
@settings(max_examples=12)
def test_inline(ctx: Context, left: Parts, right: Parts, number: int | None) -> None:
    check(ctx, left, right, number)


@pytest.mark.parametrize("plan", PLANS)
@given(left=rows, right=rows, number=few, seed=st.integers(0, 10_000))
@settings(max_examples=3)
def test_in_simulated_worlds_that_lose_everything(
    plan: str, left: Parts, right: Parts, number: int | None, seed: int
) -> None:
    with headrace.connect(f"sim://?workers=4&hosts=2&seed={seed}&faults=all&{PLANS[plan]}", progress=False) as ctx:
        check(ctx, left, right, number)


def dies_once(path: Path, at: int) -> Callable[[Any], Any]:
    def passed(pair: Any) -> Any:
        if pair[1] == at and not path.exists():
            path.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return pair

    return passed


@pytest.mark.parametrize("plan", ["broadcast", "split"])
def test_with_real_kills(plan: str, tmp_path: Path) -> None:
    left = [("hot" if number % 2 else number % 97, number) for number in range(4000)]
    right = [("hot", -1), ("hot", -2), *((number, -number) for number in range(90))]
    expected = [(key, (one, other)) for key, one in left for same, other in right if same == key]
    with headrace.connect(f"local://?workers=2&hosts=2&{PLANS[plan]}", progress=False) as ctx:
        one = ctx.parallelize(left, 4).map(dies_once(tmp_path / "measuring", 1501))
        joined = one.join(ctx.parallelize(right, 2), 5, skew="auto")
        late = joined.map(lambda pair: (pair[0], pair[1][0])).map(dies_once(tmp_path / "joining", 2501))
        assert late.count() == len(expected)
        assert {path.name for path in tmp_path.iterdir()} == {"measuring", "joining"}
        kill_host(ctx, "h0")
        assert Counter(joined.collect()) == Counter(expected), "what is dealt again is dealt as it was"


def skewed_pair(ctx: Context) -> tuple[Dataset[Any], Dataset[Any]]:
    left = ctx.parallelize([("hot" if number % 2 else number, number) for number in range(3000)], 6)
    return left, ctx.parallelize([("hot", 1), (2, 2), ("none", 3)], 3)


def test_a_heavy_key_is_split_evenly() -> None:
    with headrace.connect(f"inline://?{PLANS['split']}", progress=False) as ctx:
        left, right = skewed_pair(ctx)
        joined = left.join(right, 8, skew="auto")
        sizes = joined.map_partitions(lambda records: [sum(key == "hot" for key, _ in records)]).collect()
        assert sum(sizes) == 1500
        assert max(sizes) < 1500 / 8 + 10
        plain = left.join(right, 8).map_partitions(lambda records: [sum(key == "hot" for key, _ in records)])
        assert max(plain.collect()) == 1500, "without that, one partition has them all"


def test_the_large_side_is_not_shuffled_where_the_other_is_small() -> None:
    ran = TasksRun()
    with headrace.connect("inline://", progress=False, watchers=[ran]) as ctx:
        left, right = skewed_pair(ctx)
        joined = left.join(right, 8, skew="auto")
        joined.count()
        assert len(ran.stages()) == 4, "both sides are looked at, the small one is brought, and they are joined"
        joined.count()
        assert len(ran.stages()) == 1, "once it is settled, it stays so"
        assert "shuffle" not in joined.explain().partition("chosen")[0]


def test_explain_says_what_will_be_measured_and_what_was_found() -> None:
    with headrace.connect(f"inline://?{PLANS['split']}", progress=False) as ctx:
        left, right = skewed_pair(ctx)
        joined = left.left_outer_join(right, 8, skew="auto")
        assert "adapts:   left_outer_join: its sides are measured before it runs" in joined.explain()
        assert isinstance(joined._operator.body, Adaptive), "to explain is not to run"
        joined.count()
        assert "adapts" not in joined.explain()
        assert "chosen:   left_outer_join: 1 key is split: 'hot', about 1,500 of 3,000 records" in joined.explain()
        assert "split keys: 1 dealt" in joined.explain()


def test_sides_that_are_dealt_alike_are_joined_as_they_are_and_not_measured() -> None:
    ran = TasksRun()
    with headrace.connect("inline://", progress=False, watchers=[ran]) as ctx:
        left, right = (side.partition_by(4) for side in skewed_pair(ctx))
        joined = left.join(right, skew="auto")
        assert joined.count() == 1501
        assert len(ran.stages()) == 3
        assert isinstance(joined._operator.body, Join)
        assert "nothing moves" in joined.explain()


def test_a_side_that_is_larger_than_its_sample_said_is_not_brought() -> None:
    """One record in thousands is as large as all others together, and is not drawn."""
    with headrace.connect("inline://?broadcast_bytes=200KB", progress=False) as ctx:
        right = ctx.range(9000, num_slices=1).map(lambda x: (x, "x" * (1_000_000 if x == 8191 else 1)))
        left = ctx.range(100_000, num_slices=2).map(lambda x: (x, "y" * 20))
        joined = left.join(right, 4, skew="auto")
        assert joined.count() == 9000
        assert isinstance(joined._operator.body, Join)


def test_small_sides_are_forgotten_with_the_join() -> None:
    with headrace.connect("inline://", progress=False) as ctx:
        left, right = skewed_pair(ctx)
        joined = left.join(right, 2, skew="auto")
        joined.count()
        assert isinstance(joined._operator.body, PerPartition)
        call: Any = joined._operator.body.function.call
        path = ctx._engine.session.controller.layout.path(HOME, call.side.name)
        assert os.path.exists(path)
        del joined
        gc.collect()
        assert not os.path.exists(path)


def test_several_threads_measure_once() -> None:
    ran = TasksRun()
    with headrace.connect("local://?workers=2", progress=False, watchers=[ran]) as ctx:
        left, right = skewed_pair(ctx)
        joined = left.join(right, 2, skew="auto")
        found: list[int] = []
        threads = [threading.Thread(target=lambda: found.append(joined.count())) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [1501] * 3
        assert len(ran.stages()) == 3 + 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("records", [[1, 2], [([1], 2)]])
def test_what_cannot_be_joined_is_told_as_ever(ctx: Context, kind: str, records: list[Any]) -> None:
    good = ctx.parallelize([(1, 2)])
    for left, right in ((ctx.parallelize(records), good), (good, ctx.parallelize(records))):
        with pytest.raises(TaskFailed) as plain:
            getattr(left, kind)(right).collect()
        with pytest.raises(TaskFailed) as found:
            getattr(left, kind)(right, skew="auto").collect()
        said = str(plain.value).strip().splitlines()[0]
        assert said.startswith(("1 is not a pair", "[1] cannot be a key"))
        assert str(found.value).strip().startswith(said)


def test_an_unhashable_key_that_no_sample_saw_is_told(ctx: Context) -> None:
    left = ctx.range(9000, num_slices=1).map(lambda x: ([x] if x == 8191 else x, x))
    with pytest.raises(TaskFailed, match="cannot be a key"):
        left.join(ctx.parallelize([(1, 2)]), 3, skew="auto").collect()


def test_other_words_are_refused(ctx: Context) -> None:
    with pytest.raises(UsageError, match="auto"):
        ctx.parallelize([(1, 2)]).join(ctx.parallelize([(1, 2)]), skew="yes")  # type: ignore[arg-type]


def test_a_side_that_is_larger_than_the_sample_said_and_than_any_result_may_be_is_shuffled() -> None:
    """Few records have nearly all of its bytes, and are not among those that were weighed."""
    with headrace.connect("inline://?broadcast_bytes=80KB&max_result=100KB", progress=False) as ctx:
        small = ctx.parallelize(range(6000), 4).map(lambda i: (i, "x" * 50_000 if i % 1500 == 1499 else ""))
        large = ctx.parallelize(range(12_000), 4).map(lambda i: (i % 6000, i))
        joined = large.join(small, skew="auto")
        assert joined.map(lambda pair: len(pair[1][1])).sum() == 8 * 50_000
        assert isinstance(joined._operator.body, Join)
