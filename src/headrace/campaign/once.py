"""One run of the program, in the process that is there for it alone."""

from __future__ import annotations

import atexit
import os
import random
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from headrace.campaign.address import simulated
from headrace.campaign.words import Job, Request, World
from headrace.context import Connecting, Context
from headrace.protocols import schedule_words
from headrace.runtime.script import execute
from headrace.sim.faults import write_plan
from headrace.sim.session import SimSession

STORY_LINES = 400  # of one run, at most: its first ones


class Place(Struct, frozen=True):
    """Where one run happens.

    Attributes:
        folder: the copy of the program's folder.
        aside: a folder for what is noted of the run, for its temporary files and its stories.

    """

    folder: str
    aside: str

    def path(self, name: str) -> str:
        """Return the path of something that is noted."""
        return os.path.join(self.aside, name)


class Notes(Struct):
    """What the run itself can say of itself; the rest is seen from outside."""

    error: str = ""
    message: str = ""
    worlds: list[World] = field(default_factory=list)
    threads: int = 1


def run(job: Job, request: Request, place: Place) -> None:
    """Run the program; end this process with its exit status."""
    notes = Notes()
    worlds: list[tuple[Context, set[int]]] = []
    _settle_in(place)
    _lay_over(request, place, worlds)
    script = os.path.relpath(os.path.abspath(os.path.join(job.folder, job.script)), job.folder)
    script = script if not script.startswith("..") else os.path.join(job.folder, job.script)

    def raised(error: BaseException) -> None:
        notes.error = type(error).__name__
        notes.message = str(error)

    status = execute(script, job.arguments, raised=raised)
    threading._shutdown()  # type: ignore[attr-defined] # as at Python's end: the program's threads, then what is to be done
    for context, _ in worlds:
        try:
            context.close()
        except BaseException as error:  # a promise that turns out broken when all is counted
            raised(error)
            sys.excepthook(type(error), error, error.__traceback__)
            status = status or 1
    atexit._run_exitfuncs()
    notes.worlds = [_tell(context._session, request.whole) for context, _ in worlds]
    notes.threads = max((len(threads) for _, threads in worlds), default=1)
    with open(place.path("notes"), "wb") as file:
        file.write(msgspec.json.encode(notes))
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            status = status or 120  # what Python ends with then
    os._exit(status & 0xFF)


def _settle_in(place: Place) -> None:
    os.makedirs(place.path("tmp"))
    for number, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, place.path("out"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, place.path("err"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        descriptor = os.open(name, flags, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(place.folder)
    os.environ.update(PWD=place.folder, TMPDIR=place.path("tmp"), HEADRACE_STORIES=place.path("stories"))
    tempfile.tempdir = None
    random.seed()  # a fork would have the luck of all others
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def _lay_over(request: Request, place: Place, worlds: list[tuple[Context, set[int]]]) -> None:
    """Have every connect of the program go to the simulated cluster, and know of all."""
    plan: str | None = None
    if request.plan is not None:
        plan = place.path("plan")
        with open(plan, "wb") as file:
            file.write(write_plan(request.plan))

    def opened(context: Context) -> None:
        threads: set[int] = set()

        def watch(machine: str, event: Any, effects: list[Any]) -> None:  # noqa: ARG001
            if machine == "schedule" and type(event) is schedule_words.JobSubmitted:
                threads.add(threading.get_ident())

        assert isinstance(context._session, SimSession)
        context._session.controller.loop.watchers.append(watch)
        worlds.append((context, threads))

    Connecting.rewrite = lambda said: simulated(said, request.cluster, request.seed, plan)
    Connecting.opened = opened
    Connecting.progress = False


def _tell(session: Any, whole: bool) -> World:
    from headrace.observe.stories import find

    summary = session.summary()
    return World(
        trace=summary["trace"],
        events=summary["events"],
        simulated_s=summary["simulated_s"],
        plan=session.plan,
        hits=tuple((struck.fault.kind, struck.during) for struck in session.disasters.struck),
        story=told(find(session.run)) if whole else (),
    )


def told(path: Path) -> tuple[str, ...]:
    """Return a story in words, its first lines only if it is long."""
    from headrace.errors import UsageError
    from headrace.observe.stories import read, tell_all

    try:
        lines = [line for said in tell_all(read(path)) for line in said.splitlines()]
    except UsageError:  # it had not begun
        lines = []
    left_out = len(lines) - STORY_LINES
    return (*lines[:STORY_LINES], *([f"... and {left_out} more"] if left_out > 0 else []))
