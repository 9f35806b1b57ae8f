"""Bodies under simulation: each on a thread of its own, of which one at a time may run.

A body hands the baton back whenever it pauses or waits; the world hands it on when virtual time has come.  A body whose
process has died meanwhile does not return from its wait: it is unwound by an exception that no user code should catch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from headrace.ids import WorkerId
from headrace.ports import Flag

RECORD_NS = 10_000  # of virtual time for a record
PAUSE_NS = 20_000  # for a chunk, whatever it holds


class SimCrash(BaseException):
    """The process that this body belonged to is dead."""


class Mortal(Protocol):
    """A process, as its bodies and its files see it.

    Attributes:
        slowness: how many times longer everything takes here.
        charged_ns: virtual time that the running body owes for its use of the disk.

    """

    id: WorkerId
    alive: bool
    slowness: float
    charged_ns: int
    body: Body | None

    def check(self) -> None:
        """Unwind whatever is still running in a dead process."""
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


class Body:
    """One body and its thread."""

    def __init__(self, process: Mortal, run: Callable[[], None]) -> None:
        self.process = process
        self._go = threading.Lock()  # taken; the world lets go of it to let the body on
        self._back = threading.Lock()  # taken; the body lets go of it to give the world its turn
        self._go.acquire()
        self._back.acquire()
        self._run = run
        self.running = self.ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name=f"sim-{process.id}", daemon=True)
        self._thread.start()

    def _main(self) -> None:
        self._go.acquire()
        try:
            if self.process.alive:
                self._run()
        except SimCrash:
            pass
        except BaseException as error:  # ours: the body of a task catches what user code raises
            self._error = error
        self.ended = True
        self._back.release()

    def turn(self) -> None:
        """Let the body run until it waits or ends.  Called by the world."""
        self.running = True
        self._go.release()
        self._back.acquire()
        self.running = False
        if self.ended:
            self._thread.join()
            if self._error is not None:
                raise self._error

    def rest(self) -> None:
        """Let the world run until the body's turn comes again.  Called by the body."""
        self._back.release()
        self._go.acquire()
        self.process.check()


class SimGate:
    """Where the bodies of one process pause and wait."""

    def __init__(self, process: Mortal) -> None:
        self._process = process

    def flag(self) -> SimFlag:
        """Make something to wait for."""
        return SimFlag()

    def wait(self, flag: Flag) -> None:
        """Let the world go on until it has happened."""
        assert isinstance(flag, SimFlag)
        body = self._process.body
        assert body is not None, "only bodies wait"
        while not flag.is_set():
            flag.waiter = lambda: self._process.resume(body, 0)
            body.rest()

    def pause(self, records: int) -> None:
        """Let virtual time pass for what was done."""
        process, body = self._process, self._process.body
        assert body is not None, "only bodies pause"
        process.resume(body, int((PAUSE_NS + records * RECORD_NS + process.charged_ns) * process.slowness))
        process.charged_ns = 0
        body.rest()

    def confirm(self) -> None:
        """A dead process touches nothing."""
        self._process.check()


class SimRunner:
    """Starts bodies; the first turn comes as an event."""

    def __init__(self, process: Mortal) -> None:
        self._process = process

    def start(self, body: Callable[[], None]) -> None:
        """Run a body soon."""
        made = Body(self._process, body)
        self._process.body = made
        self._process.resume(made, 0)
