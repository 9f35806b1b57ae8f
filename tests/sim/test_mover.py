"""The thread that moves a world: who waits sleeps, is told what went wrong, and may give up at any time."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from headrace.config import MS
from headrace.errors import ContextClosed, InternalError, UsageError
from headrace.sim.bodies import SimFlag
from headrace.sim.mover import Mover
from headrace.sim.world import World


@pytest.fixture
def world() -> World:
    """A world with a tick a millisecond, for ever."""
    world = World(1)

    def tick() -> None:
        world.later(MS, "tick", tick)

    tick()
    return world


@pytest.fixture
def mover(world: World) -> Iterator[Mover]:
    mover = Mover(world)
    yield mover
    mover.end(lambda: None, 5)


def failing() -> None:
    raise LookupError("it is not there")


def in_thread(function: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def test_the_world_stops_with_the_step_that_was_waited_for(world: World, mover: Mover) -> None:
    flag = SimFlag()
    world.later(7 * MS, "set", flag.set)
    mover.wait(flag)
    events = world.events
    assert world.time_ns == 7 * MS
    mover.wait(flag)
    mover.wait(SimFlag(), 7 * MS)
    assert (world.time_ns, world.events) == (7 * MS, events), "there was nothing to wait for"


def test_what_is_raised_in_the_world_reaches_who_waits_and_the_world_goes_on(world: World, mover: Mover) -> None:
    flag = SimFlag()
    world.later(2 * MS, "fails", failing)
    world.later(5 * MS, "set", flag.set)
    with pytest.raises(LookupError, match="not there"):
        mover.wait(flag)
    mover.wait(flag)
    assert world.time_ns == 5 * MS


def test_what_is_raised_while_nobody_waits_is_told_to_the_next_who_does(world: World, mover: Mover) -> None:
    order = []
    mover.ask(failing)
    mover.ask(lambda: order.append("asked after"))
    with pytest.raises(LookupError):
        mover.wait(SimFlag())
    assert order == ["asked after"]
    mover.wait(SimFlag(), world.time_ns + MS)


def test_a_world_at_rest_says_so() -> None:
    mover = Mover(World(1))
    with pytest.raises(InternalError, match="come to rest"):
        mover.wait(SimFlag())
    mover.end(lambda: None, 5)


def test_what_is_asked_for_is_done_in_order_before_the_next_thing_happens(world: World, mover: Mover) -> None:
    done: list[object] = []
    flag = SimFlag()

    def within() -> None:
        mover.ask(lambda: done.append("within a step"))
        world.later(0, "set", flag.set)
        world.later(0, "another", lambda: done.append("not any more"))

    for number in range(3):
        mover.ask(lambda number=number: done.append(number))  # type: ignore[misc]
    mover.ask(lambda: world.later(MS, "within", within))
    mover.wait(flag)
    assert done == [0, 1, 2, "within a step"]


def test_many_threads_wait_and_each_goes_on_in_its_time(world: World, mover: Mover) -> None:
    flags = [SimFlag() for _ in range(6)]
    seen: dict[int, int] = {}

    def wait(number: int) -> None:
        mover.wait(flags[number])
        seen[number] = world.time_ns

    for number, flag in enumerate(flags):
        world.later((number + 1) * 20 * MS, "set", flag.set)
    threads = [in_thread(lambda number=number: wait(number)) for number in range(6)]  # type: ignore[misc]
    for thread in threads:
        thread.join(10)
    assert sorted(seen) == list(range(6))
    assert all(seen[number] >= (number + 1) * 20 * MS for number in seen)


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="Ctrl-C is for the main thread")
def test_an_interrupt_ends_the_wait_and_breaks_nothing(world: World, mover: Mover) -> None:
    main = threading.main_thread().ident
    assert main is not None
    world.later(5 * MS, "Ctrl-C", lambda: signal.pthread_kill(main, signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        mover.wait(SimFlag())
    flag = SimFlag()
    mover.ask(lambda: world.later(5 * MS, "set", flag.set))
    mover.wait(flag)
    before = world.events
    mover.wait(SimFlag(), world.time_ns + 3 * MS)
    assert 3 <= world.events - before <= 5, "whoever has given up waits no more"


def test_whoever_still_waits_at_the_end_is_told(mover: Mover) -> None:
    errors: list[BaseException] = []
    last = []

    def wait() -> None:
        try:
            mover.wait(SimFlag())
        except ContextClosed as error:
            errors.append(error)

    thread = in_thread(wait)
    while not mover._waits:
        time.sleep(0.001)
    mover.end(lambda: last.append(threading.current_thread().name), 10)
    thread.join(10)
    assert len(errors) == 1
    assert last == ["headrace-world"]
    with pytest.raises(ContextClosed):
        mover.wait(SimFlag())


def test_what_the_world_calls_cannot_wait_for_it(world: World, mover: Mover) -> None:
    world.later(0, "waits", lambda: mover.wait(SimFlag()))
    with pytest.raises(UsageError, match="cannot wait"):
        mover.wait(SimFlag())


def test_the_end_does_not_wait_for_ever_for_code_of_the_user(world: World) -> None:
    mover, go_on, busy = Mover(world), threading.Event(), threading.Event()

    def stuck() -> None:
        busy.set()
        go_on.wait(20)

    world.later(0, "is stuck", stuck)

    def wait() -> None:
        with pytest.raises(ContextClosed):
            mover.wait(SimFlag())

    thread = in_thread(wait)
    assert busy.wait(10)
    mover.end(lambda: None, 0.01)
    go_on.set()
    thread.join(10)
    assert not thread.is_alive()


def test_a_forked_child_is_refused(world: World, mover: Mover) -> None:
    mover.wait(SimFlag(), MS)
    child = os.fork()
    if not child:
        code = 1
        try:
            mover.wait(SimFlag(), 2 * MS)
        except ContextClosed:
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
