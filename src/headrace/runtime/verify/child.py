"""The main program of a process that runs attempts again, and tells what they did."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from typing import Any

from headrace.execute.canonical import Speller
from headrace.execute.tapping import NOTHING, Digests, TappedBody, places_of
from headrace.plan.hashing import class_name, printable, short
from headrace.runtime.bootstrap import read_bootstrap
from headrace.runtime.files import SystemFiles
from headrace.runtime.replay import Replay
from headrace.runtime.verify.talk import DIGEST_BYTES, Ask, Link, Passed, Place, Ran, Show, Shown
from headrace.runtime.worker_process import settle_in
from headrace.store.capsules import read_capsule

AT_ONCE = 256  # records that are told of at once
SHOWN = 4000  # characters of a record: two may differ far behind their beginning
NICE = 10  # the job itself goes first


class Enough(BaseException):
    """What was to be found has been found; not an exception that functions of the user's should catch."""


class Stepwise:
    """Tells of every record that passes, some at a time, and waits to be told to go on.

    Attributes:
        over: nobody wants to know more.

    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._speller = Speller()
        self._passed: list[tuple[int, bytes]] = []
        self._shown: list[Shown] = []
        self.over = False

    def saw(self, place: int, value: Any, given: Callable[[], Any]) -> None:
        """A value has passed; what it looks like is noted at once, for it may be changed later."""
        if self.over:
            raise Enough
        self._passed.append((place, hashlib.blake2b(self._speller.spell(value), digest_size=DIGEST_BYTES).digest()))
        source = given()
        self._shown.append(Shown(_face(value), _face(source) if source is not NOTHING else ""))
        if len(self._passed) == AT_ONCE:
            self.tell()

    def tell(self) -> None:
        """Tell of what has passed since."""
        if not self._passed:
            return
        self._link.send(Passed(tuple(self._passed)))
        answer = self._link.receive()
        if isinstance(answer, Show):
            self._link.send(self._shown[answer.number] if answer.number < len(self._shown) else Shown(""))
            self.over = True
            raise Enough
        self._passed.clear()
        self._shown.clear()


def _face(value: Any) -> str:
    return printable(short(value, SHOWN))


def run_again(ask: Ask, link: Link) -> Ran | None:
    """Run an attempt as asked; return what is to be told at its end, if anything is."""
    replay = Replay(read_capsule(SystemFiles(), ask.capsule), ask.shipped, ask.items, own=False)
    if ask.warm:
        replay.run()
    if ask.stepwise:
        return _stepwise(replay, Stepwise(link))
    digests = Digests()
    replay.run(functools.partial(TappedBody, tap=digests, inside=False))
    assert replay.program is not None
    places = [Place(p.name, p.site.file, p.site.line, p.site.function) for p in places_of(replay.program)]
    return Ran(tuple(places), tuple(map(digests.of, range(len(places)))), dict(digests.speller.unknown))


def _stepwise(replay: Replay, steps: Stepwise) -> Ran | None:
    try:
        replay.run(functools.partial(TappedBody, tap=steps))
        steps.tell()
    except BaseException:
        if not steps.over:
            raise
    return None if steps.over else Ran()


def serve(link: Link) -> None:
    """Run attempts until nobody asks any more."""
    while True:
        try:
            ask = link.receive()
        except (EOFError, OSError):
            return
        if not isinstance(ask, Ask):
            continue
        try:
            answer = run_again(ask, link)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return
        except BaseException as error:  # user code may raise anything
            answer = Ran(error=f"{class_name(error)}: {_said(error)}")
        if answer is not None:
            link.send(answer)


def _said(error: BaseException) -> str:
    try:
        return printable(str(error))[:300]
    except Exception:  # a user's __str__ may do anything
        return "?"


def main(descriptor: int) -> int:
    """Read the record from an inherited pipe, and work."""
    with os.fdopen(descriptor, "rb") as pipe:
        record = read_bootstrap(pipe.read())
    settle_in(record)
    os.nice(NICE)
    link = Link(record.control)
    os.set_inheritable(record.control, False)
    serve(link)
    os._exit(0)
