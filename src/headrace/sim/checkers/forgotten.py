"""Promise: nothing is forgotten: what was begun comes to one end, and what nobody needs is freed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from headrace.ids import AttemptId, HostId, StageId, WorkerId
from headrace.protocols import schedule_words as words
from headrace.sim.checkers import seen
from headrace.sim.checkers.checker import Checker
from headrace.sim.checkers.ledger import Ledger

SHUFFLE = re.compile(r"shuffle/(\d+)/\d+-(\d+)\.\w+")
RESULT = re.compile(r"result/(\d+)")
ASIDE = re.compile(r"(w[\w-]*)/(\d+)\.[\w.]+")


class Forgotten(Checker):
    """Knows what has begun and not ended, and what lies on the disks.

    Args:
        files: lists all files of the hosts, below the run's folder.

    """

    promise = "every job, attempt, report and pull comes to one end, and what nobody needs is freed"

    def __init__(self, ledger: Ledger, files: Callable[[], Iterable[str]]) -> None:
        super().__init__(ledger)
        self._files = files
        self._running: dict[WorkerId, AttemptId] = {}
        self._reported: dict[tuple[WorkerId, AttemptId], None] = {}
        self._streams: dict[tuple[str, str], None] = {}
        self._lost_hosts: set[HostId] = set()
        self._rebooted: set[HostId] = set()
        self.events = {
            words.OutputCommitted: lambda event, _: self._ended(event.attempt, "done"),
            words.AttemptFailed: lambda event, _: self._ended(event.attempt, "failed"),
            words.AttemptStarved: lambda event, _: self._ended(event.attempt, "starved"),
            words.AttemptStopped: lambda event, _: self._ended(event.attempt, "stopped"),
            words.HostGone: lambda event, _: self._lost_hosts.add(event.host),
        }
        self.seen = {
            seen.BodyBegan: lambda s: self._running.__setitem__(s.worker, s.attempt),
            seen.BodyEnded: lambda s: self._running.pop(s.worker, None),
            seen.WorkerEnded: self._worker_ended,
            seen.Said: lambda s: self._reported.__setitem__((s.worker, AttemptId(s.report.attempt)), None),
            seen.Settled: lambda s: self._reported.pop((s.worker, s.attempt), None),
            seen.PowerLost: lambda s: self._rebooted.add(s.host),
            seen.StreamBegan: lambda s: self._streams.__setitem__((s.process, s.name), None),
            seen.StreamEnded: lambda s: self._streams.pop((s.process, s.name), None),
        }

    def _ended(self, attempt: AttemptId, how: str) -> None:
        found = self.ledger.attempts.get(attempt)
        if found is not None and found.end not in (how, "lost", "refused", ""):
            self.broken(f"attempt {attempt} has ended as {found.end}, and ends as {how}", attempt)

    def _worker_ended(self, ended: seen.WorkerEnded) -> None:
        worker = ended.worker
        self._running.pop(worker, None)
        for key in [key for key in self._reported if key[0] == worker]:
            del self._reported[key]
        for process, name in [key for key in self._streams if key[0] == worker]:
            del self._streams[process, name]

    def unfinished(self) -> Iterator[str]:
        """List what is forgotten."""
        for attempt in self.ledger.unended():
            yield f"nobody knows what became of {attempt.describe()}"
        for worker, running in sorted(self._running.items()):
            yield f"{worker} still runs {self.ledger.describe(running)}"
        for worker, reported in sorted(self._reported):
            yield f"{worker} was never told what became of {self.ledger.describe(reported)}"
        for process, name in sorted(self._streams):
            yield f"{process} still pulls blocks ({name})"
        for path in self._files():
            if why := self._needless(path):
                yield f"{path} is still there: {why}"

    def _needless(self, path: str) -> str:
        """Say why a file should be gone; empty if it may be there."""
        host, _, name = path.partition("/")
        if HostId(host) in self._lost_hosts:
            return f"{host} was lost"
        if HostId(host) in self._rebooted:
            return ""  # what was removed there may have come back
        if found := SHUFFLE.fullmatch(name):
            attempt = self.ledger.attempts.get(AttemptId(int(found[2])))
            if StageId(int(found[1])) in self.ledger.freed:
                return "its shuffle was freed"
            if attempt is not None and attempt.verdict == "discarded" and attempt.worker not in self.ledger.dead:
                return attempt.describe()
        elif found := RESULT.fullmatch(name):
            return f"its job has ended; {self.ledger.describe(AttemptId(int(found[1])))}"
        elif found := ASIDE.fullmatch(name):
            return f"it was written aside; {self.ledger.describe(AttemptId(int(found[2])))}"
        return ""
