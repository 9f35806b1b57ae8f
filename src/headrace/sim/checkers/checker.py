"""What a checker of a promise is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NoReturn

from headrace.ids import AttemptId
from headrace.sim.checkers.ledger import Ledger


class Broken(Exception):
    """A promise is broken, and what shows it."""

    def __init__(self, promise: str, evidence: Iterable[str]) -> None:
        self.promise, self.evidence = promise, tuple(evidence)
        super().__init__(promise, self.evidence)


class Checker:
    """Looks for the first time that a promise is broken.

    Attributes:
        events: for each event of the program's machines that it looks at, who is given it with the effects it had.
        effects: for each of their effects that it looks at, who is given it.
        seen: the same for what passes the ports.

    """

    promise: ClassVar[str]

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.events: dict[type, Callable[[Any, list[Any]], None]] = {}
        self.effects: dict[type, Callable[[Any], None]] = {}
        self.seen: dict[type, Callable[[Any], Any]] = {}

    def broken(self, what: str, *attempts: AttemptId) -> NoReturn:
        """Say that the promise is broken; what is known of some attempts is shown with it."""
        raise Broken(self.promise, (what, *(self.ledger.describe(attempt) for attempt in dict.fromkeys(attempts))))

    def unfinished(self) -> Iterable[str]:
        """Once the world is kind, no job is open and some time has passed: list what should have come to its end."""
        return ()
