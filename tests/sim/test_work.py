"""Modelled work: how much virtual time bodies take, whatever they take here."""

from __future__ import annotations

import operator
import time
from collections.abc import Iterable

import pytest

import headrace
from headrace.config import MS, parse_work
from headrace.errors import UsageError
from headrace.sim.work import draw, work_of
from headrace.sim.world import World

SECOND = 1000 * MS


def simulated(work: str, records: int = 4000, slices: int = 8, more: str = "") -> tuple[int, str]:
    """Run a job; return the virtual time that it took, and the trace."""
    with headrace.connect(f"sim://?workers=4&hosts=2&seed=9&work={work}{more}", progress=False) as ctx:
        session = ctx._session
        ctx.range(8).count()  # workers have started
        session.wait_until(session.controller.ports.gate.flag(), SECOND)
        began = session.now_ns()
        pairs = ctx.range(records, num_slices=slices).map(lambda x: (x % 7, 1))
        assert dict(pairs.reduce_by_key(operator.add, num_partitions=2).collect())[3] == len(range(3, records, 7))
        return session.now_ns() - began, session.summary()["trace"]


def test_time_grows_with_the_model_and_not_with_the_machine() -> None:
    short, _ = simulated("constant:1us")
    long, _ = simulated("constant:1ms")
    # 500 records, read and combined, in each of eight tasks on four workers: two of them in a row, and little else.
    assert 2 * SECOND <= long <= 2.5 * SECOND
    assert short <= long // 10
    chunked, _ = simulated("constant:0s,100ms")
    assert chunked >= 200 * MS


@pytest.mark.parametrize(
    "work", ["steady", "constant:3us", "uniform:1us,50us", "lognormal:10us,1.0,chunk", "exponential:9us"]
)
def test_a_model_that_is_drawn_comes_from_the_seed(work: str) -> None:
    assert simulated(work) == simulated(work)


@pytest.mark.parametrize(
    ("work", "middle", "mean"),
    [
        ("uniform:10us,50us", 30_000, 30_000),
        ("lognormal:10us,0.5", 10_000, 11_331),
        ("exponential:10us", 6_931, 10_000),
    ],
)
def test_what_is_drawn_is_distributed_as_it_says(work: str, middle: int, mean: int) -> None:
    config, chance = parse_work(work), World(4).chance("work")
    drawn = sorted(draw(config, chance) for _ in range(20_000))
    assert abs(drawn[10_000] - middle) < 0.05 * middle
    assert abs(sum(drawn) / len(drawn) - mean) < 0.05 * mean
    assert drawn[0] >= 0


def test_a_draw_is_for_an_attempt_or_for_a_chunk() -> None:
    for work, different in (("uniform:0s,1s", {3, 4}), ("uniform:0s,1s,chunk", {1, 2, 3, 4})):
        model = work_of(parse_work(work), World(4))
        assert model is not None
        costs = [model.cost_ns(1, None, attempt) for attempt in (5, 5, 5, 6, 7)]
        changed = {at for at in range(1, 5) if costs[at] != costs[at - 1]}
        assert changed == different


def test_draws_for_work_shift_no_other() -> None:
    one, other = World(5), World(5)
    model = work_of(parse_work("exponential:1us"), one)
    assert model is not None
    model.cost_ns(1, None, 1)
    assert one.chance("latency").random() == other.chance("latency").random()


def busy(records: Iterable[int]) -> Iterable[int]:
    until = time.thread_time() + 0.05
    while time.thread_time() < until:
        pass
    return records


def test_measured_work_is_the_processors_time() -> None:
    took = {}
    for scale in (1, 10):
        with headrace.connect(f"sim://?workers=1&seed=9&work=measured:{scale}", progress=False) as ctx:
            ctx.range(2, num_slices=1).count()
            began = ctx._session.now_ns()
            assert ctx.range(2, num_slices=1).map_partitions(busy).count() == 2
            took[scale] = ctx._session.now_ns() - began
    assert took[1] >= 50 * MS
    assert took[10] >= 500 * MS


def slow(record: int) -> int:
    time.sleep(0.001)
    return record


def test_a_recorded_run_gives_each_task_its_own_time() -> None:
    """In the real run two tasks took 20 ms each, and those of the other stage next to nothing."""
    took = []
    with headrace.connect("inline://", progress=False) as ctx:
        ctx.range(40, num_slices=2).map(slow).count()
        ctx.range(4000, num_slices=2).count()
    with headrace.connect(f"sim://?workers=2&seed=9&work=recorded:{ctx.run}", progress=False) as again:
        session = again._session
        session.wait_until(session.controller.ports.gate.flag(), SECOND)
        for numbers in (again.range(40, num_slices=2).map(int), again.range(40, num_slices=2)):
            began = session.now_ns()
            assert numbers.count() == 40
            took.append(session.now_ns() - began)
    assert took[0] >= 20 * MS
    assert took[1] <= took[0] // 2


def test_a_run_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="no-such-run"):
        headrace.connect("sim://?work=recorded:no-such-run")
