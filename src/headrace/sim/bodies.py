"""Bodies under simulation: each has a stack of its own, and one at a time runs.

A body gives the world its turn whenever it pauses or waits; the world gives it back when virtual time has come.  A body
whose process has died meanwhile does not return from its wait: it is unwound by an exception that no user code should
catch.  Stacks are greenlets, all in the world's own thread, where `greenlet` is installed, or else threads, of which one at
a time may run: slower, and the same otherwise.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Protocol

from headrace.errors import UsageError
from headrace.ids import WorkerId
from headrace.ports import Flag
from headrace.sim.work import Work

try:
    import greenlet
except ImportError:  # pragma: no cover
    greenlet = None

RECORD_NS = 10_000  # of virtual time for a record
PAUSE_NS = 20_000  # for a chunk, whatever it holds
OWN_THREAD = (
    "a thread that a function of yours has started asks for records that are not there yet. In a simulated world only the "
    "function's own thread can wait: take the records there, and hand them to the other."
)


class SimCrash(BaseException):
    """The process that this body belonged to is dead."""


class Mortal(Protocol):
    """A process, as its bodies and its files see it.

    Attributes:
        slowness: how many times longer everything takes here.
        charged_ns: virtual time that the running body owes for its use of the disk.
        waits: what its body waits for that others bring, to look at.

    """

    id: WorkerId
    alive: bool
    slowness: float
    charged_ns: int
    waits: Flag | None
    work: Work | None
    body: Body | None

    def check(self) -> None:
        """Unwind whatever is still running in a dead process."""
        ...

    def die(self) -> None:
        """End from within, and unwind."""
        ...

    def press(self) -> None:
        """Raise MemoryError in the running body, if there is to be no more memory."""
        ...

    def took_ns(self, records: int) -> int | None:
        """Return the time of what the body has done since its last turn began; None where the usual is meant."""
        ...

    def resume(self, body: Body, delay_ns: int) -> None:
        """Give a body its next turn."""
        ...


class SimFlag:
    """Something to wait for, in the world's one thread of control."""

    def __init__(self) -> None:
        self._set = False
        self.waiter: Callable[[], None] | None = None

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._set

    def set(self) -> None:
        """Say that it has happened."""
        self._set = True
        if self.waiter is not None:
            wake, self.waiter = self.waiter, None
            wake()

    def clear(self) -> None:
        """Make it wait for the next time."""
        self._set = False


class Body(Protocol):
    """One body, between its first turn and its end.

    Attributes:
        running: it is its turn.
        ended: it has no more turns.

    """

    running: bool
    ended: bool

    def turn(self) -> None:
        """Let the body run until it waits or ends.  Called by the world."""
        ...

    def can_rest(self) -> bool:
        """Whether the caller can give the world its turn: not if it is a thread that the body has started."""
        ...

    def rest(self) -> None:
        """Let the world run until the body's turn comes again.  Called by the body."""
        ...

    def frame(self) -> FrameType | None:
        """Return the innermost frame of a body that rests."""
        ...


class GreenletBody:
    """A body on a stack of its own, in the world's thread."""

    def __init__(self, process: Mortal, run: Callable[[], None]) -> None:
        self._process, self._run = process, run
        self.running = self.ended = False
        self._error: BaseException | None = None
        self._world = greenlet.getcurrent()
        self._here = greenlet.greenlet(self._main)
        self._thread = threading.get_ident()

    def _main(self) -> None:
        self._error = _run_to_end(self._process, self._run)
        self.ended = True

    def turn(self) -> None:
        """Let the body run until it waits or ends."""
        self.running = True
        self._here.switch()
        self.running = False
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def can_rest(self) -> bool:
        """Whether the caller is in the world's thread."""
        return threading.get_ident() == self._thread

    def rest(self) -> None:
        """Let the world run until the body's turn comes again."""
        self._here = greenlet.getcurrent()  # user code may have greenlets of its own
        events = sys.modules.get("asyncio.events")
        loop = events._get_running_loop() if events is not None else None
        if loop is None:
            self._world.switch()
        else:  # user code runs a loop while it takes records; others may run theirs meanwhile
            events._set_running_loop(None)  # type: ignore[union-attr]
            self._world.switch()
            events._set_running_loop(loop)  # type: ignore[union-attr]
        self._process.check()

    def frame(self) -> FrameType | None:
        """Return the innermost frame of a body that rests."""
        frame: FrameType | None = self._here.gr_frame
        return frame


class ThreadBody:
    """A body and its thread."""

    def __init__(self, process: Mortal, run: Callable[[], None]) -> None:
        self._process, self._run = process, run
        self.running = self.ended = False
        self._error: BaseException | None = None
        self._go = threading.Lock()  # taken; the world lets go of it to let the body on
        self._back = threading.Lock()  # taken; the body lets go of it to give the world its turn
        self._go.acquire()
        self._back.acquire()
        self._thread = threading.Thread(target=self._main, name=f"sim-{process.id}", daemon=True)
        self._thread.start()

    def _main(self) -> None:
        self._go.acquire()
        self._error = _run_to_end(self._process, self._run)
        self.ended = True
        self._back.release()

    def turn(self) -> None:
        """Let the body run until it waits or ends."""
        self.running = True
        self._go.release()
        self._back.acquire()
        self.running = False
        if self.ended:
            self._thread.join()
            if self._error is not None:
                error, self._error = self._error, None
                raise error

    def can_rest(self) -> bool:
        """Whether the caller is in the body's thread."""
        return threading.get_ident() == self._thread.ident

    def rest(self) -> None:
        """Let the world run until the body's turn comes again."""
        self._back.release()
        self._go.acquire()
        self._process.check()

    def frame(self) -> FrameType | None:
        """Return the innermost frame of a body that rests."""
        return sys._current_frames().get(self._thread.ident or 0)


def body_kind(name: str) -> Callable[[Mortal, Callable[[], None]], Body]:
    """Return what makes bodies: "greenlets", "threads", or whichever is better and there.

    Raises:
        UsageError: greenlets were asked for, and are not installed.

    """
    if name == "threads":
        return ThreadBody
    if greenlet is not None:
        return GreenletBody
    if name == "greenlets":
        raise UsageError("bodies=greenlets needs greenlet. Run pip install 'headrace[sim]', or use bodies=threads.")
    return ThreadBody


def _run_to_end(process: Mortal, run: Callable[[], None]) -> BaseException | None:
    """Run a body; return what went wrong with us: the body of a task catches what user code raises."""
    try:
        if process.alive:
            run()
    except SimCrash:
        pass
    except BaseException as error:
        return error
    return None


class SimGate:
    """Where the bodies of one process pause and wait."""

    def __init__(self, process: Mortal) -> None:
        self._process, self._pid = process, os.getpid()

    def flag(self) -> SimFlag:
        """Make something to wait for."""
        return SimFlag()

    def wait(self, flag: Flag) -> None:
        """Let the world go on until it has happened."""
        assert isinstance(flag, SimFlag)
        body = self._process.body
        assert body is not None, "only bodies wait"
        while not flag.is_set():
            if not body.can_rest():
                raise UsageError(OWN_THREAD)
            flag.waiter = lambda: self._process.resume(body, 0)
            self._process.waits = flag
            self._rest(body)
        self._process.waits = None

    def pause(self, records: int) -> None:
        """Let virtual time pass for what was done."""
        self.confirm()
        process, body = self._process, self._process.body
        assert body is not None, "only bodies pause"
        took = process.took_ns(records)
        process.charged_ns += PAUSE_NS + records * RECORD_NS if took is None else took
        if body.can_rest():
            process.resume(body, int(process.charged_ns * process.slowness))
            process.charged_ns = 0
            self._rest(body)
            process.press()

    def _rest(self, body: Body) -> None:
        work = self._process.work
        if work is None:
            body.rest()
        else:
            work.rests()
            body.rest()
            work.resumed()

    def confirm(self) -> None:
        """A dead process touches nothing; nor does a child that user code has forked and that returned into the engine."""
        if os.getpid() != self._pid:
            os._exit(0)
        self._process.check()

    def die(self) -> None:
        """End this process at once."""
        self._process.die()


class SimRunner:
    """Starts bodies; the first turn comes as an event."""

    def __init__(self, process: Mortal, kind: Callable[[Mortal, Callable[[], None]], Body]) -> None:
        self._process, self._kind = process, kind

    def frame(self) -> FrameType | None:
        """Return the innermost frame of the body, which rests while anybody can ask."""
        body = self._process.body
        return body.frame() if body is not None else None

    def start(self, body: Callable[[], None]) -> None:
        """Run a body soon."""
        made = self._kind(self._process, body)
        self._process.body = made
        self._process.resume(made, 0)
