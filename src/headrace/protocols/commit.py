"""From the end of an attempt to the word of whether its output counts.

A report is sent until it is settled, because the first may be lost; an output that was refused is discarded, whichever came
first, the refusal or the output.  The output of an attempt whose fate is unknown stays: somebody may be reading it.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from headrace.config import MS
from headrace.ids import AttemptId

SEND_AGAIN_NS = 1000 * MS


# What it is told.


class Began(Struct, frozen=True):
    """A body runs."""

    attempt: AttemptId


class Ended(Struct, frozen=True):
    """Its report is ready.  `left_output`: something of it lies on disk or in memory."""

    attempt: AttemptId
    left_output: bool
    now_ns: int


class Settled(Struct, frozen=True):
    """The program's word on a report."""

    attempt: AttemptId
    kept: bool


class Ticked(Struct, frozen=True):
    """Time passed."""

    now_ns: int


Event = Began | Ended | Settled | Ticked


# What it asks for.


class SendReport(Struct, frozen=True):
    """Send it, perhaps not for the first time."""

    attempt: AttemptId


class DropReport(Struct, frozen=True):
    """It is settled: nobody will ask for it again."""

    attempt: AttemptId


class Discard(Struct, frozen=True):
    """Remove what the attempt wrote."""

    attempt: AttemptId


Effect = SendReport | DropReport | Discard


# Where each attempt stands.


class Working(Struct, frozen=True):
    """Its body runs."""

    refused: bool = False  # already, while it still works: a copy was faster


class Reported(Struct, frozen=True):
    """Its report was sent and is not settled."""

    sent_ns: int
    left_output: bool


Standing = Working | Reported


class Commit:
    """All attempts of one worker that are not settled yet."""

    def __init__(self) -> None:
        self.standing: dict[AttemptId, Standing] = {}

    def step(self, event: Event) -> list[Effect]:
        """Take one event."""
        match event:
            case Began(attempt=attempt):
                self.standing.setdefault(attempt, Working())
                return []
            case Ended(attempt=attempt, left_output=left, now_ns=now):
                return self._ended(attempt, left, now)
            case Settled(attempt=attempt, kept=kept):
                return self._settled(attempt, kept)
            case Ticked(now_ns=now):
                return self._ticked(now)
        raise AssertionError(f"{type(event).__name__} is not an event of this protocol")

    def _ended(self, attempt: AttemptId, left_output: bool, now_ns: int) -> list[Effect]:
        match self.standing.get(attempt):
            case Working(refused=True):
                del self.standing[attempt]
                gone: list[Effect] = [Discard(attempt)] if left_output else []
                return [*gone, DropReport(attempt)]
            case Reported():
                return []  # an attempt ends once
            case Working() | None:  # None: it never began here, and is reported as given back
                self.standing[attempt] = Reported(now_ns, left_output)
                return [SendReport(attempt)]
        raise AssertionError(attempt)

    def _settled(self, attempt: AttemptId, kept: bool) -> list[Effect]:
        match self.standing.get(attempt):
            case Reported(left_output=left):
                del self.standing[attempt]
                gone: list[Effect] = [Discard(attempt)] if left and not kept else []
                return [*gone, DropReport(attempt)]
            case Working() if not kept:
                self.standing[attempt] = Working(refused=True)
                return []
            case Working():
                raise AssertionError(f"attempt {attempt} was kept before it ended")
            case None:
                return []  # settled already
        raise AssertionError(attempt)

    def _ticked(self, now_ns: int) -> list[Effect]:
        effects: list[Effect] = []
        for attempt, standing in sorted(self.standing.items()):
            if isinstance(standing, Reported) and now_ns - standing.sent_ns >= SEND_AGAIN_NS:
                self.standing[attempt] = replace(standing, sent_ns=now_ns)
                effects.append(SendReport(attempt))
        return effects
