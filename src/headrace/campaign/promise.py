"""What a program promises: that failures change nothing of what it does; and how a run broke that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from msgspec import Struct

from headrace.campaign.words import Outcome, Written

SHOWN = 200  # characters of a line
ERR_LINES = 12
# Of our own checkers: a bug in headrace, or a program that cannot be carried out, not another output.
BROKEN = frozenset({"PromiseBroken", "NoProgress", "InternalError"})


class Violation(Struct, frozen=True):
    """How a run differs from one without failures.

    Attributes:
        kind: `promise`, `error`, `status`, `hang`, `output`, `files` or `course`.
        what: of errors and promises, the name of the exception.
        says: what differs, in words and lines.

    """

    kind: str
    what: str
    says: str

    @property
    def reason(self) -> tuple[str, str]:
        """What is the same for two violations that have, as far as can be seen, the same cause."""
        return self.kind, self.what


class Promise:
    """What the program does when nothing fails: the run that all others are compared with.

    Args:
        ignored: lines that match one of these are not compared.

    """

    def __init__(self, outcome: Outcome, ignored: Sequence[str] = ()) -> None:
        self.outcome = outcome
        self._ignored = [re.compile(pattern) for pattern in ignored]

    def _lines(self, text: str) -> list[str]:
        return [line for line in text.split("\n") if not any(pattern.search(line) for pattern in self._ignored)]

    def broken_by(self, outcome: Outcome) -> Violation | None:
        """Say how a run breaks the promise; None if it keeps it."""
        ours = self.outcome
        if outcome.hung:
            return Violation("hang", "", f"it did not end within {outcome.seconds:.0f} s of real time, and was ended")
        if (outcome.status, outcome.error) != (ours.status, ours.error):
            return _ended_otherwise(ours, outcome)
        return self._printed(outcome) or self._files(outcome)

    def _printed(self, outcome: Outcome) -> Violation | None:
        ours = self.outcome
        if outcome.digest == ours.digest:
            return None
        for number, (was, now) in enumerate(zip_longest(self._lines(ours.out), self._lines(outcome.out)), start=1):
            if was != now:
                return Violation("output", "", _differing(f"line {number} of what it prints", was, now))
        if ours.out == outcome.out:
            return Violation("output", "", f"what it prints differs, beyond the first {len(ours.out):,} characters")
        return None  # in lines that are ignored

    def _files(self, outcome: Outcome) -> Violation | None:
        was, now = self.outcome.written, outcome.written
        told = []
        for name in sorted({*was, *now}):
            if name not in now:
                told.append(f"{name} is missing")
            elif name not in was:
                told.append(f"{name} is one file too many")
            elif was[name].digest != now[name].digest:
                found = self._contents(name, was[name], now[name])
                if found:
                    told.append(found)
        for name in sorted({*self.outcome.removed} ^ {*outcome.removed}):
            told.append(f"{name} was {'removed' if name in outcome.removed else 'not removed'}")
        if not told:
            return None
        more = [f"and {len(told) - 3} more files differ"] if len(told) > 3 else []
        return Violation("files", "", "\n".join([*told[:3], *more]))

    def _contents(self, name: str, was: Written, now: Written) -> str | None:
        if was.text is None or now.text is None:
            return f"{name} differs: {was.size:,} bytes without failures, {now.size:,} now"
        for number, (one, other) in enumerate(zip_longest(self._lines(was.text), self._lines(now.text)), start=1):
            if one != other:
                return _differing(f"line {number} of {name}", one, other)
        return None


def _ended_otherwise(was: Outcome, now: Outcome) -> Violation:
    said = [*(line for line in now.err.rstrip().split("\n")[-ERR_LINES:] if line)]
    tail = "".join(f"\n  {line[:SHOWN]}" for line in said)
    if now.error:
        kind = "promise" if now.error in BROKEN else "error"
        return Violation(kind, now.error, f"it ended with {now.error}:{tail}")
    if now.status < 0:
        return Violation("status", f"{now.status}", f"it was ended by signal {-now.status}{':' + tail if tail else ''}")
    return Violation(
        "status",
        f"{now.status}",
        f"it ended with exit status {now.status}, and with {was.status} without failures{':' + tail if tail else ''}",
    )


def _differing(where: str, was: str | None, now: str | None) -> str:
    return f"{where}\n  without failures: {_cut(was)}\n  with them:        {_cut(now)}"


def _cut(line: str | None) -> str:
    if line is None:
        return "(nothing more)"
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}... ({len(line):,} characters)"


def other_course(once: Outcome, again: Outcome) -> Iterator[str]:
    """Say how two runs of the same seed took different courses, world by world."""
    if len(once.worlds) != len(again.worlds):
        yield f"it connected {len(once.worlds)} times in one process, and {len(again.worlds)} times in another"
    for number, (one, other) in enumerate(zip(once.worlds, again.worlds, strict=False), start=1):
        if (one.trace, one.events) != (other.trace, other.events):
            yield f"context {number}: trace {one.trace} in one process, and {other.trace} in another"
