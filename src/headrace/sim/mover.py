"""The one thread in which a world moves, while some thread of the program waits for something.

Greenlets can be switched to in one thread only, and several threads of a program may wait at once.  So whoever waits wakes
this thread, and sleeps; what else the program's threads want of the world is done here between two steps, in the order in
which it was asked for.  A program of one thread sleeps while the world moves: all is as if it moved the world itself.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

from msgspec import Struct

from headrace.errors import ContextClosed, UsageError
from headrace.ports import Flag
from headrace.sim.world import World


class _Wait(Struct, eq=False):
    """Somebody sleeps.

    Attributes:
        over: taken; let go of when there is nothing more to wait for.

    """

    flag: Flag
    until_ns: int | None
    over: threading.Lock
    error: BaseException | None = None


class Mover:
    """Moves a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._asked: deque[Callable[[], object]] = deque()  # appending is safe from any thread
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._waits: list[_Wait] = []  # of the mover's thread alone
        self._error: BaseException | None = None  # raised while nobody waited
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._ended = self._closed = False

    def is_here(self) -> bool:
        """Whether this is the thread in which the world moves."""
        return self._thread is not None and self._thread.ident == threading.get_ident()

    def ask(self, function: Callable[[], object]) -> None:
        """Have something done before the next thing happens; from any thread, also in the middle of a step."""
        self._asked.append(function)

    def wait(self, flag: Flag, until_ns: int | None = None) -> None:
        """Sleep until something has happened, or a time has come.  What is raised meanwhile in the world is raised here."""
        if flag.is_set():
            return
        if os.getpid() != self._pid:
            raise ContextClosed(
                "this context belongs to the process that this one was forked from. Connect anew in the child."
            )
        if self.is_here():
            raise UsageError("what a simulated world calls, such as a watcher, cannot wait for a job in that world.")
        wait = _Wait(flag, until_ns, threading.Lock())
        wait.over.acquire()
        try:
            with self._starting:
                if self._ended:
                    raise ContextClosed("this context is closed. Connect anew with headrace.connect().")
                self.ask(lambda: self._begin(wait))
                self._wake()
            wait.over.acquire()
        except BaseException:
            self.ask(lambda: self._give_up(wait))
            raise
        if wait.error is not None:
            raise wait.error

    def end(self, last: Callable[[], None], seconds: float) -> None:
        """Do a last thing in the world's thread, and end that; wait so long for it, should user code be busy there."""
        with self._starting:
            if self._ended:
                return
            self._ended = True
            thread = self._thread
            if thread is None:
                self._do_what_is_asked()
                last()
                return
            self.ask(last)
            self.ask(self._close)
            self._wake()
        if not self.is_here():
            thread.join(seconds)

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="headrace-world", daemon=True)
            self._thread.start()
        self._bell.put(None)

    # The thread.

    def _serve(self) -> None:
        while not self._closed:
            self._bell.get()
            while not self._try_to_move():
                pass  # whoever else waits, or has asked for something, is not to blame

    def _try_to_move(self) -> bool:
        """Move until nobody waits; whether nothing was raised."""
        try:
            self._do_what_is_asked()
            self._move()
        except BaseException as error:
            self._error = error
            self._tell()
            return False
        return True

    def _move(self) -> None:
        world, waits, asked = self._world, self._waits, self._asked
        step = world.step
        while waits:
            for wait in waits:
                if wait.flag.is_set() or (wait.until_ns is not None and world.time_ns >= wait.until_ns):
                    self._finish([wait])
                    break
            else:
                step()
                if asked:
                    self._do_what_is_asked()

    def _do_what_is_asked(self) -> None:
        while self._asked:
            self._asked.popleft()()

    def _begin(self, wait: _Wait) -> None:
        self._waits.append(wait)
        if self._error is not None:
            self._tell()
        elif wait.until_ns is not None:
            self._world.later(wait.until_ns - self._world.time_ns, "program waits no longer", lambda: None)

    def _give_up(self, wait: _Wait) -> None:
        if wait in self._waits:
            self._waits.remove(wait)

    def _close(self) -> None:
        self._closed = True
        self._finish(self._waits, ContextClosed("this context was closed meanwhile."))

    def _tell(self) -> None:
        """Tell those who wait what was raised, or else whoever is the next to wait."""
        if self._waits:
            self._finish(self._waits, self._error)
            self._error = None

    def _finish(self, waits: list[_Wait], error: BaseException | None = None) -> None:
        for wait in list(waits):
            self._waits.remove(wait)
            wait.error = error
            wait.over.release()
