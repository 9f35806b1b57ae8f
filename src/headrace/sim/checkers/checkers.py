"""All checkers of one run: they are shown what happens, and the first promise that is broken ends the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from headrace.errors import PromiseBroken
from headrace.sim.checkers.checker import Broken, Checker
from headrace.sim.checkers.ledger import Ledger


class Checkers:
    """Shows each checker what it looks at.

    Attributes:
        broken: the first promise that was broken; raised wherever the program waits from then on.

    """

    def __init__(self, ledger: Ledger, checkers: Iterable[Checker], seed: int) -> None:
        self.ledger, self.checkers, self._seed = ledger, tuple(checkers), seed
        self.broken: PromiseBroken | None = None
        self.tell: Callable[[PromiseBroken], None] = lambda broken: None
        events: dict[type, list[Callable[[Any, list[Any]], None]]] = {}
        effects: dict[type, list[Callable[[Any], Any]]] = {}
        things: dict[type, list[Callable[[Any], Any]]] = {}
        listeners: list[Ledger | Checker] = [ledger, *self.checkers]
        for one in listeners:
            for kind, hear in one.events.items():
                events.setdefault(kind, []).append(hear)
            for kind, follow in one.effects.items():
                effects.setdefault(kind, []).append(follow)
            for kind, see in one.seen.items():
                things.setdefault(kind, []).append(see)
        for kind, follow in ledger.last.items():
            effects.setdefault(kind, []).append(follow)
        self._events, self._effects, self._seen = events, effects, things

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        """See one step of the program's machines."""
        if self.broken is not None:
            return
        hears = self._events.get(type(event))
        try:
            if hears is not None:
                for hear in hears:
                    hear(event, effects)
            for effect in effects:
                follows = self._effects.get(type(effect))
                if follows is not None:
                    for follow in follows:
                        follow(effect)
        except Broken as broken:
            self.fail(broken.promise, broken.evidence)

    def see(self, thing: Any) -> None:
        """See something pass a port."""
        if self.broken is None:
            try:
                for see in self._seen.get(type(thing), ()):
                    see(thing)
            except Broken as broken:
                self.fail(broken.promise, broken.evidence)

    def fail(self, promise: str, evidence: Iterable[str]) -> None:
        """A promise is broken."""
        self.end(PromiseBroken(promise, self._seed, tuple(evidence)))

    def end(self, broken: PromiseBroken) -> None:
        """A promise is broken: nothing more is looked at."""
        if self.broken is None:
            self.broken = broken
            self.tell(broken)

    def confirm(self) -> None:
        """Raise what was found, if anything was."""
        if self.broken is not None:
            raise self.broken

    def unfinished(self) -> list[tuple[str, str]]:
        """List what should have come to its end by now, each with the promise that it breaks."""
        return [(one.promise, what) for one in self.checkers for what in one.unfinished()]
