"""Everybody who looks on at one run: the story, the progress, and who shows what workers print."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from headrace.config import as_lines
from headrace.loops.loop import Watcher
from headrace.loops.session import Session
from headrace.observe.ledger import Ledger
from headrace.observe.notebook import is_notebook
from headrace.observe.printed import Printed
from headrace.observe.profiles import Profiler
from headrace.observe.progress import Display, Progress
from headrace.observe.stories import StoryFile
from headrace.observe.story import Line, Story
from headrace.observe.terminal import is_terminal, tell_end, tell_stalls, write
from headrace.plan.profile import FORMAT, Begun
from headrace.store.profiles import ProfileFile
from headrace.version import VERSION

IDLE = (
    "headrace: datasets were made, but no action asked for their records, so nothing was computed. Call one, such as "
    "collect(), count() or save_as_text_file(path): with its brackets.\n"
)


class Onlookers:
    """Made before the session, because they see its first step; told of it as soon as it has a name.

    Args:
        progress: whether to show any; None: a live table in a terminal or a notebook, plain lines elsewhere.
        measured: whether what tasks take is worth keeping: where time is not simulated.

    """

    def __init__(self, progress: bool | None, *, measured: bool = True) -> None:
        self.printed = Printed()
        self.progress = Progress() if progress is not False else None
        self._live = is_terminal(sys.stderr)
        self._display: Display | None = None
        self._early: list[Line] = []  # told before there was a file
        self._file: StoryFile | None = None
        self.story = Story(self._tell)
        self.ledger = Ledger()
        self.watchers: list[Watcher] = [self.story, self.ledger]
        self._profiler = Profiler(self._profile) if measured else None
        self._profile_file: ProfileFile | None = None
        if self._profiler is not None:
            self.watchers.append(self._profiler)
        if self.progress is not None:
            self.watchers += [self.progress, tell_stalls]

    def _tell(self, line: Line) -> None:
        if self._file is not None:
            self._file.tell(line)
        else:
            self._early.append(line)

    def _profile(self, *lines: Any) -> None:
        if self._profile_file is not None:
            self._profile_file.tell(*lines)

    def begin(self, session: Session) -> None:
        """The run has a name."""
        file = StoryFile(session.run)
        file.tell(
            {
                "t": 0.0,
                "what": "run begun",
                "run": session.run,
                "version": VERSION,
                "began": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                "program": sys.argv[0] if sys.argv else "",
                "settings": as_lines(session.config),
                **session.about(),
            }
        )
        self._file = file
        self.story.set_clock(session.now_ns)
        self.ledger.now_ns = session.now_ns
        early, self._early = self._early, []
        for line in early:
            file.tell(line)
        if self._profiler is not None:
            self._profile_file = ProfileFile(session.run)
            self._profiler.begin(_begun(session), session.now_ns)
        if self.progress is not None:
            self._display = Display(self.progress, live=self._live, notebook=is_notebook())

    def close(self, session: Session, *, idle: bool = False) -> None:
        """The run has ended.

        Args:
            idle: datasets were made from others, and nothing asked for any of them.

        """
        if self._display is not None:
            self._display.close()
        self.printed.close()
        summary: dict[str, Any] = {"totals": self.story.totals, **session.summary()}
        if self.progress is not None:
            tell_end(session.run, self.story.totals, summary)
            if idle:
                write(2, IDLE)
        self.story.line("run done", **summary)
        if self._file is not None:
            self._file.close()
        if self._profiler is not None and self._profile_file is not None:
            self._profiler.close()
            self._profile_file.close(session.now_ns())


def _begun(session: Session) -> Begun:
    config = session.config
    return Begun(
        FORMAT,
        session.run,
        VERSION,
        session.now_ns(),
        config.workers,
        config.hosts,
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        config.scheme,
        config.memory.worker_bytes if config.memory is not None else 0,
    )
