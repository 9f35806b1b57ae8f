"""One loop: an event, a step, its effects in order; what comes of them returns as events.

A loop is run by one thread at a time.  Ports, timers, signal handlers and other threads only call `tell`, which never
answers from inside a step, so effects happen in the order in which they were asked for.  Watchers see every step: progress,
the story, metrics and recordings all come from here, and machines stay silent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol


class Machine(Protocol):
    """A pure protocol: the state of one side, and how it answers events."""

    def step(self, event: Any) -> list[Any]:
        """Take one event; return what is asked for, in order."""
        ...


class Watcher(Protocol):
    """Somebody who looks on."""

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        """See one step."""
        ...


Handler = Callable[[Any], None]


def _nobody() -> None:
    """Nobody sleeps."""


class Loop:
    """Machines by name, and a handler for every kind of effect that they may ask for."""

    def __init__(self) -> None:
        self.machines: dict[str, Machine] = {}
        self.watchers: list[Watcher] = []
        self.wake: Callable[[], None] = _nobody  # has somebody run the loop who may; for other threads after `tell`
        self._inbox: deque[tuple[str, Any]] = deque()  # appending is safe from any thread
        self._handlers: dict[type, Handler] = {}

    def add(self, name: str, machine: Machine) -> None:
        """Add a machine; its handlers were given before."""
        self.machines[name] = machine

    def remove(self, name: str) -> None:
        """Forget a machine; events for it are dropped from now on."""
        self.machines.pop(name, None)

    def handle(self, handlers: dict[type, Handler], effects: Iterable[type]) -> None:
        """Say what carries out each of a machine's effects; all of them, so that none is forgotten."""
        forgotten = set(effects) - set(handlers)
        assert not forgotten, f"effects without a handler: {sorted(kind.__qualname__ for kind in forgotten)}"
        self._handlers.update(handlers)

    def tell(self, machine: str, event: Any) -> None:
        """Let a machine know something, soon."""
        self._inbox.append((machine, event))

    @property
    def waiting(self) -> bool:
        """Whether there is something to deal with."""
        return bool(self._inbox)

    def run(self) -> None:
        """Step until nothing is waiting.  Only one thread at a time calls this."""
        inbox, machines, handlers, watchers = self._inbox, self.machines, self._handlers, self.watchers
        while inbox:
            name, event = inbox.popleft()
            machine = machines.get(name)
            if machine is None:
                continue  # it has ended, and so has what the news is about
            effects = machine.step(event)
            for watch in watchers:
                watch(name, event, effects)
            for effect in effects:
                handlers[type(effect)](effect)
