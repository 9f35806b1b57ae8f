"""The worker's mailbox: which attempt runs, which wait for what, which were called off before they came.

Everything may be said twice or out of date: an attempt is run at most once by a worker, whatever arrives.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from headrace.config import MS
from headrace.ids import AttemptId

ASK_AGAIN_NS = 1000 * MS
REMEMBERED = 4096  # attempts that are over, kept to know doubled news by


# What it is told.


class Assigned(Struct, frozen=True):
    """Run these, in this order, when what they need is here."""

    attempts: tuple[AttemptId, ...]
    needs: tuple[str, ...]
    now_ns: int


class Supplied(Struct, frozen=True):
    """Things that attempts may need have come."""

    things: tuple[str, ...]


class Forgotten(Struct, frozen=True):
    """Things that had come were dropped; no attempt that waits needs them."""

    things: tuple[str, ...]


class CalledOff(Struct, frozen=True):
    """Stop these, whether they wait, run, or have not even come."""

    attempts: tuple[AttemptId, ...]


class AskedBack(Struct, frozen=True):
    """Give back those of these that have not begun."""

    attempts: tuple[AttemptId, ...]


class BodyEnded(Struct, frozen=True):
    """The running attempt's body has ended, in whatever way."""

    attempt: AttemptId


class Retiring(Struct, frozen=True):
    """Begin nothing more, and leave when nothing runs."""


class Ticked(Struct, frozen=True):
    """Time passed."""

    now_ns: int


Event = Assigned | Supplied | Forgotten | CalledOff | AskedBack | BodyEnded | Retiring | Ticked


# What it asks for.


class Start(Struct, frozen=True):
    """Run a body."""

    attempt: AttemptId


class Interrupt(Struct, frozen=True):
    """Let the running body end at its next pause."""

    attempt: AttemptId


class Return(Struct, frozen=True):
    """Report an attempt as stopped that never began."""

    attempt: AttemptId


class Ask(Struct, frozen=True):
    """Ask the program for things that are needed here."""

    things: tuple[str, ...]


class Leave(Struct, frozen=True):
    """End the process."""


Effect = Start | Interrupt | Return | Ask | Leave


class Worker:
    """One slot."""

    def __init__(self) -> None:
        self.waiting: dict[AttemptId, tuple[str, ...]] = {}  # in order, each with what it lacks
        self.running: AttemptId | None = None
        self.interrupted = False
        self.here: set[str] = set()
        self.asked_ns: dict[str, int] = {}
        self.over: dict[AttemptId, None] = {}  # the latest attempts that ended or were called off
        self.retiring = False

    def step(self, event: Event) -> list[Effect]:
        """Take one event."""
        match event:
            case Assigned(attempts=attempts, needs=needs, now_ns=now):
                return self._assigned(attempts, needs, now)
            case Supplied(things=things):
                self.here.update(things)
                for thing in things:
                    self.asked_ns.pop(thing, None)
                for attempt, lacks in self.waiting.items():
                    self.waiting[attempt] = tuple(thing for thing in lacks if thing not in self.here)
                return self._begin()
            case Forgotten(things=things):
                self.here.difference_update(things)
                return []
            case BodyEnded(attempt=attempt):
                assert attempt == self.running, "only the running body can end"
                self.running = None
                self._remember(attempt)
                return self._begin()
            case CalledOff(attempts=attempts):
                effects: list[Effect] = []
                for attempt in attempts:
                    effects += self._call_off(attempt)
                return effects
            case AskedBack(attempts=attempts):
                return [
                    effect for attempt in attempts if attempt in self.waiting for effect in self._give_back(attempt)
                ]
            case Retiring():
                self.retiring = True
                back = [effect for attempt in list(self.waiting) for effect in self._give_back(attempt)]
                return [*back, *self._begin()]
            case Ticked(now_ns=now):
                late = sorted(thing for thing, at in self.asked_ns.items() if now - at >= ASK_AGAIN_NS)
                self.asked_ns.update(dict.fromkeys(late, now))
                return [Ask(tuple(late))] if late else []
        raise AssertionError(f"{type(event).__name__} is not an event of this protocol")

    def _assigned(self, attempts: Iterable[AttemptId], needs: tuple[str, ...], now_ns: int) -> list[Effect]:
        lacks = tuple(thing for thing in needs if thing not in self.here)
        fresh = [a for a in attempts if a not in self.over and a not in self.waiting and a != self.running]
        for attempt in fresh:
            self.waiting[attempt] = lacks
        if self.retiring:
            return [effect for attempt in fresh for effect in self._give_back(attempt)]
        unasked = tuple(thing for thing in lacks if thing not in self.asked_ns) if fresh else ()
        self.asked_ns.update(dict.fromkeys(unasked, now_ns))
        return [*([Ask(unasked)] if unasked else []), *self._begin()]

    def _begin(self) -> list[Effect]:
        """Start the first attempt that lacks nothing, if none runs."""
        if self.running is not None:
            return []
        if self.retiring:
            return [Leave()]
        for attempt, lacks in self.waiting.items():
            if not lacks:
                del self.waiting[attempt]
                self.running, self.interrupted = attempt, False
                return [Start(attempt)]
        return []

    def _call_off(self, attempt: AttemptId) -> list[Effect]:
        if attempt == self.running:
            if self.interrupted:
                return []  # said twice
            self.interrupted = True
            return [Interrupt(attempt)]
        if attempt in self.waiting:
            return self._give_back(attempt)
        if attempt in self.over:
            return []  # it ended by itself; its report is on the way
        self._remember(attempt)  # it has not come yet: when it does, it will not be run
        return [Return(attempt)]

    def _give_back(self, attempt: AttemptId) -> list[Effect]:
        del self.waiting[attempt]
        self._remember(attempt)
        return [Return(attempt)]

    def _remember(self, attempt: AttemptId) -> None:
        self.over[attempt] = None
        while len(self.over) > REMEMBERED:
            del self.over[next(iter(self.over))]
