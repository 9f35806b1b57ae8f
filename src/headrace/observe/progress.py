"""Progress while jobs run: a live table in a terminal or below a notebook's cell, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from headrace.ids import JobId, StageId
from headrace.observe.notebook import Cell
from headrace.observe.terminal import is_terminal, write
from headrace.protocols import claims
from headrace.protocols import schedule_words as words

if TYPE_CHECKING:
    from rich.table import Table

PATIENCE = 0.5  # seconds before a table is shown: most jobs are over by then
PLAIN_EVERY = 5.0  # seconds before the first plain lines, and between them
FRAME = 0.125  # seconds between frames of the live table
CELL_FRAME = 0.25  # and of the one in a notebook, where each is a message to a browser
ROWS_MAX = 12  # of a table; with more stages, the oldest that are done share one


class StageProgress(Struct):
    """How far a stage is."""

    name: str
    partitions: int
    done: int = 0
    running: int = 0
    records: int = 0
    bytes: int = 0


class Progress:
    """A watcher that counts."""

    def __init__(self) -> None:
        self.stages: dict[StageId, StageProgress] = {}
        self.jobs: dict[JobId, tuple[str, StageId]] = {}
        self.since: float | None = None  # when the oldest job that runs began
        self.lost = 0
        self._changed = threading.Condition()

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        """See one step."""
        if machine == "schedule":
            if isinstance(event, words.OutputCommitted):
                self._committed(event)
            elif isinstance(event, words.JobSubmitted):
                self._submitted(event)
            for effect in effects:
                if isinstance(effect, words.FinishJob | words.FailJob):
                    self._ended(effect.job)
        elif machine == "claims":
            for effect in effects:
                gang = effect.members if isinstance(effect, claims.GangClaimed) else ()
                for claim in gang or ((effect,) if isinstance(effect, claims.Claimed) else ()):
                    stage = self.stages.get(claim.task.stage)
                    if stage is not None:
                        stage.running += 1
        elif machine == "membership":
            self.lost += sum(type(effect).__name__ == "Bury" for effect in effects)

    def _submitted(self, event: words.JobSubmitted) -> None:
        with self._changed:
            if not self.jobs:
                self.since = time.monotonic()
                self.stages.clear()
            *_, result = event.stages
            self.jobs[event.job] = (result.name, result.id)
            for spec in event.stages:
                wanted = spec.partitions if spec.is_map else len(event.wanted)
                self.stages.setdefault(spec.id, StageProgress(spec.name, wanted))
            self._changed.notify_all()

    def _committed(self, event: words.OutputCommitted) -> None:
        stage = self.stages.get(event.task.stage)
        if stage is not None:
            stage.done = min(stage.partitions, stage.done + 1)
            stage.running = max(0, stage.running - 1)
            stage.records += event.output.records
            stage.bytes += event.output.read_bytes + event.output.written_bytes

    def _ended(self, job: JobId) -> None:
        with self._changed:
            self.jobs.pop(job, None)
            if not self.jobs:
                self.since = None
            self._changed.notify_all()

    def lines(self) -> list[tuple[str, str, str, str, str]]:
        """Return a row for each stage that was begun: stage, tasks, running, records, bytes."""
        begun = [(str(number), stage) for number, stage in list(self.stages.items()) if stage.done or stage.running]
        finished = [row for row in begun if row[1].done == row[1].partitions]
        shared = finished[: len(begun) - ROWS_MAX + 1] if len(begun) > ROWS_MAX else []
        if len(shared) > 1:
            whole = StageProgress(f"to {shared[-1][0]}, done", 0)
            for _, stage in shared:
                whole.partitions, whole.done = whole.partitions + stage.partitions, whole.done + stage.done
                whole.records, whole.bytes = whole.records + stage.records, whole.bytes + stage.bytes
            begun = [(shared[0][0], whole), *(row for row in begun if row not in shared)]
        return [
            (
                f"{number} {stage.name}",
                f"{stage.done}/{stage.partitions}",
                str(stage.running),
                f"{stage.records:,}",
                size(stage.bytes),
            )
            for number, stage in begun
        ]

    def wait(self, closed: Callable[[], bool]) -> float | None:
        """Sleep until a job has run for a while; return since when, or None at the end."""
        with self._changed:
            while not closed():
                if self.since is None:
                    self._changed.wait()
                    continue
                left = self.since + PATIENCE - time.monotonic()
                if left <= 0:
                    return self.since
                self._changed.wait(left)
        return None

    def wake(self) -> None:
        """Let `wait` look around."""
        with self._changed:
            self._changed.notify_all()


def size(number: int) -> str:
    """Show a number of bytes.

    >>> size(1536), size(3 << 20)
    ('1.5 kB', '3.0 MB')
    """
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TB"


class Display:
    """Shows a `Progress` from a thread of its own, which sleeps while no job runs."""

    def __init__(self, progress: Progress, *, live: bool, notebook: bool = False) -> None:
        self._progress, self._live, self._notebook = progress, live, notebook
        self._closed = False
        self._thread = threading.Thread(target=self._show, name="headrace-progress", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and leave the terminal as it was."""
        self._closed = True
        self._progress.wake()
        self._thread.join()

    def _show(self) -> None:
        while (since := self._progress.wait(lambda: self._closed)) is not None:
            if self._notebook:
                self._show_cell(since)
            elif self._live:
                self._show_live(since)
            else:
                self._show_plain(since)

    def _running(self, since: float) -> bool:
        return not self._closed and self._progress.since == since

    def _sleep(self, since: float, seconds: float) -> None:
        with self._progress._changed:
            if self._running(since):
                self._progress._changed.wait(seconds)

    def _show_plain(self, since: float) -> None:
        while True:
            self._sleep(since, PLAIN_EVERY)
            if not self._running(since):
                return
            for stage, tasks, running, records, bytes_ in self._progress.lines():
                write(
                    2,
                    f"headrace {time.monotonic() - since:5.1f} s  stage {stage}: {tasks} tasks, {running} running, "
                    f"{records} records, {bytes_}\n",
                )

    def _show_live(self, since: float) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        shared = is_terminal(sys.stdout)  # what goes to a file is not shown with the table
        with Live(console=console, auto_refresh=False, transient=True, redirect_stdout=shared) as live:
            while self._running(since):
                live.update(self._table(since), refresh=True)
                self._sleep(since, FRAME)

    def _show_cell(self, since: float) -> None:
        cell = Cell()
        while self._running(since):
            cell.show(self._title(since), self._progress.lines())
            self._sleep(since, CELL_FRAME)
        cell.show(f"ended after {self._title(since)}", self._progress.lines())

    def _title(self, since: float) -> str:
        lost = f", {self._progress.lost} workers lost" if self._progress.lost else ""
        return f"{time.monotonic() - since:.1f} s{lost}"

    def _table(self, since: float) -> Table:
        from rich.table import Table

        table = Table(title=self._title(since), title_justify="left", box=None, pad_edge=False)
        for name in ("stage", "tasks", "running", "records", "data"):
            table.add_column(name, justify="left" if name == "stage" else "right")
        for row in self._progress.lines():
            table.add_row(*row)
        return table
