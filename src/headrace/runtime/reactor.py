"""One thread that waits for sockets, exits and time, and lets a loop run after each."""

from __future__ import annotations

import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol


class HasFileno(Protocol):
    """What can be waited for."""

    def fileno(self) -> int:
        """Return the descriptor."""
        ...


Callback = Callable[[int], None]


class Reactor:
    """Waits, then calls whoever is concerned, then the loop.

    Args:
        run: lets the loop run; called after anything has happened.
        tick: called about every `tick_ns`.

    """

    def __init__(self, run: Callable[[], None], tick: Callable[[], None], tick_ns: int) -> None:
        self._run, self._tick, self._tick_ns = run, tick, tick_ns
        self._selector = selectors.DefaultSelector()
        self._soon: deque[Callable[[], None]] = deque()
        self._waker, self._wakee = os.pipe()
        for fd in (self._waker, self._wakee):
            os.set_blocking(fd, False)
            os.set_inheritable(fd, False)
        self._awake = self._closed = False
        self._waking = threading.RLock()  # the collector of garbage may wake, even while it interrupts a wake
        self._selector.register(self._waker, selectors.EVENT_READ, self._woken)
        self.stopped = False

    def watch(self, file: HasFileno | int, events: int, callback: Callback) -> None:
        """Call back whenever a descriptor is ready; replaces what was watched for before."""
        try:
            self._selector.register(file, events, callback)
        except KeyError:
            self._selector.modify(file, events, callback)

    def forget(self, file: HasFileno | int) -> None:
        """Watch a descriptor no longer."""
        try:
            self._selector.unregister(file)
        except (KeyError, ValueError):
            pass

    def call_soon(self, function: Callable[[], None]) -> None:
        """Have the reactor's thread call a function; from any thread."""
        self._soon.append(function)
        self.wake()

    def wake(self) -> None:
        """Have the reactor's thread look around; from any thread."""
        if self._awake:
            return
        with self._waking:
            if not self._closed:  # by then the number of the pipe may be that of a file of the user's
                self._awake = True
                try:
                    os.write(self._wakee, b"!")
                except BlockingIOError:
                    pass  # the pipe is full, so it will wake

    def _woken(self, _: int) -> None:
        try:
            os.read(self._waker, 4096)
        except BlockingIOError:
            pass

    def serve(self) -> None:
        """Wait and call until stopped.  This thread is the reactor's."""
        due_ns = time.monotonic_ns() + self._tick_ns
        while not self.stopped:
            timeout = max(0, due_ns - time.monotonic_ns()) / 1e9
            for key, events in self._selector.select(timeout):
                key.data(events)
            self._awake = False  # at every turn: an interrupt may have kept somebody from writing what it announced
            while self._soon:
                self._soon.popleft()()
            if time.monotonic_ns() >= due_ns:
                due_ns = time.monotonic_ns() + self._tick_ns
                self._tick()
            self._run()

    def stop(self) -> None:
        """Have `serve` return; from any thread."""
        self.stopped = True
        self.wake()

    def close(self) -> None:
        """Let go of everything; `serve` has returned."""
        with self._waking:
            self._closed = True
            self._selector.close()
            os.close(self._waker)
            os.close(self._wakee)
