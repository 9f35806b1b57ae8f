"""What clocks and gates promise, in threads and in virtual time."""

from __future__ import annotations

import threading
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.config import MS
from headrace.ports import Clock, Gate
from headrace.runtime.clock import SystemClock
from headrace.runtime.gate import ThreadGate
from headrace.sim.clock import SimClock
from headrace.sim.mover import Mover
from headrace.sim.session import ProgramGate
from headrace.sim.world import World


class ClockContract:
    @pytest.fixture
    def clock(self) -> Clock:
        raise NotImplementedError("return a clock")

    def advance(self, clock: Clock) -> None:
        raise NotImplementedError("let some time pass")

    def test_it_never_goes_back(self, clock: Clock) -> None:
        times = []
        for _ in range(50):
            times.append(clock.now_ns())
            self.advance(clock)
        assert times == sorted(times)
        assert clock.now_ns() > times[0]


class TestSystemClock(ClockContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return SystemClock()

    def advance(self, clock: Clock) -> None:
        pass  # it does so by itself


class TestVirtualTime(ClockContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return World(0)

    def advance(self, clock: Clock) -> None:
        assert isinstance(clock, World)
        clock.later(MS, "tick", lambda: None)
        clock.step()


class TestProcessClock(ClockContract):
    """A clock that runs wrong and jumps both ways keeps the promise all the same."""

    @pytest.fixture
    def clock(self) -> Clock:
        self.virtual, self.turns = World(3), 0
        return SimClock(self.virtual)

    def advance(self, clock: Clock) -> None:
        assert isinstance(clock, SimClock)
        self.virtual.time_ns += MS
        self.turns += 1
        clock.rate_ppm = (900_000, 1_100_000, 37, 1_000_000)[self.turns % 4]
        clock.offset_ns += (-3 * MS, 5 * MS, 0)[self.turns % 3]


@given(st.lists(st.tuples(st.integers(0, 10**10), st.integers(1, 3_000_000)), max_size=20))
def test_a_wrong_clock_gains_what_its_rates_say_and_its_timers_agree(spans: list[tuple[int, int]]) -> None:
    world, exact = World(5), Fraction(77)
    clock = SimClock(world, 77)
    for span, rate in spans:
        clock.rate_ppm = rate
        before = clock.now_ns()
        world.time_ns += span
        exact += Fraction(span * rate, 10**6)
        tick = 10**6 // rate + 1  # of virtual time
        assert abs(clock.true_ns(clock.now_ns() - before) - span) <= 2 * tick
    assert exact - len(spans) - 1 <= clock.now_ns() <= exact


class GateContract:
    @pytest.fixture
    def gate(self) -> Gate:
        raise NotImplementedError("return a gate")

    def test_a_flag_that_is_set_is_not_waited_for(self, gate: Gate) -> None:
        flag = gate.flag()
        assert not flag.is_set()
        flag.set()
        assert flag.is_set()
        gate.wait(flag)
        gate.pause(10)
        gate.confirm()

    def test_a_cleared_flag_is_waited_for_again(self, gate: Gate) -> None:
        flag = gate.flag()
        flag.set()
        flag.clear()
        assert not flag.is_set()


class TestThreadGate(GateContract):
    @pytest.fixture
    def gate(self) -> Gate:
        return ThreadGate()

    def test_waiting_ends_when_another_thread_sets_the_flag(self, gate: Gate) -> None:
        flag = gate.flag()
        thread = threading.Thread(target=flag.set)
        thread.start()
        gate.wait(flag)
        thread.join()
        assert flag.is_set()


class TestProgramGate(GateContract):
    @pytest.fixture
    def world(self) -> World:
        return World(0)

    @pytest.fixture
    def gate(self, world: World) -> Gate:
        return ProgramGate(Mover(world))

    def test_waiting_lets_the_world_go_on(self, gate: Gate, world: World) -> None:
        flag = gate.flag()
        world.later(7 * MS, "set", flag.set)
        gate.wait(flag)
        assert world.now_ns() == 7 * MS
