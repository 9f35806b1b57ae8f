"""Tasks that were drawn are run again beside the job that they are of, in processes kept for that."""

from __future__ import annotations

import contextlib
import os
import queue
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator

from msgspec import Struct, field

from headrace.config import SECOND
from headrace.ids import JobId
from headrace.loops.samples import Drawn
from headrace.runtime.verify.children import Unverifiable
from headrace.runtime.verify.judge import Difference, Judge, Verdict
from headrace.runtime.verify.talk import Ask
from headrace.store.shipped import Manifest

WAITING_BYTES = 1 << 30  # of what tasks were given that wait to be run again; more are left out
SLOWER = 30  # times longer than before a task may take, and
PATIENCE_S = 30.0  # at least so long
ABANDONED_S = 0.1  # after which those are ended that were being started meanwhile
TOO_MANY = "too many were waiting already. Draw fewer, with verify_determinism="


class Tally(Struct):
    """What is known of the tasks of a job that were drawn.

    Attributes:
        verified: do the same again.
        skipped: could not be verified, or are not to be: how many, by the reason.
        unknown: values that could not be compared, by the name of their type.
        waiting: are not run again yet.
        difference: the first task that does not, and how.

    """

    verified: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    waiting: int = 0
    difference: tuple[Drawn, Difference] | None = None


class Verifier:
    """Runs tasks again, in threads of its own.

    Args:
        shipped: gives what the program has shipped so far.
        limit: how many tasks are run again at once, at most.

    """

    def __init__(self, shipped: Callable[[], Manifest | None], limit: int) -> None:
        self._shipped, self._limit = shipped, limit
        self._tallies: dict[JobId, Tally] = {}
        self._queue: queue.SimpleQueue[Drawn | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._judges: list[Judge] = []
        self._bytes = 0
        self._closed = False

    def begin(self, job: JobId) -> None:
        """A job begins."""
        with self._changed:
            self._tallies[job] = Tally()

    def take(self, drawn: Drawn) -> None:
        """A task is to be verified; from any thread, and without waiting."""
        with self._changed:
            tally = self._tallies.get(drawn.job)
            wanted = tally is not None and tally.difference is None and not self._closed
            size = _size(drawn) if wanted and not drawn.why else 0
            why = drawn.why or (TOO_MANY if self._bytes + size > WAITING_BYTES else "")
            if tally is not None and why:
                tally.skipped[why] += 1
            if tally is None or not wanted or why:
                _remove(drawn)
                return
            self._bytes += size
            tally.waiting += 1
            self._queue.put(drawn)
            if len(self._threads) < min(self._limit, self._waiting()):
                thread = threading.Thread(target=self._work, name="headrace-verify", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _waiting(self) -> int:
        return sum(tally.waiting for tally in self._tallies.values())

    def settle(self, job: JobId) -> Tally:
        """Wait until all that was drawn of a job that has ended is verified, or something was found."""
        with self._changed:
            tally = self._tallies.get(job, Tally())
            try:
                self._changed.wait_for(lambda: not tally.waiting or tally.difference is not None or self._closed)
            finally:
                self._tallies.pop(job, None)
            return tally

    def drop(self, job: JobId) -> None:
        """Nobody wants to know any more."""
        with self._changed:
            self._tallies.pop(job, None)

    def close(self) -> None:
        """End the processes, and forget what waits."""
        with self._changed:
            self._closed = True
            self._tallies.clear()
            self._changed.notify_all()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            while thread.is_alive():
                for judge in list(self._judges):
                    judge.abandon()
                thread.join(ABANDONED_S)

    # The threads.

    def _work(self) -> None:
        judge = Judge()
        with self._changed:
            self._judges.append(judge)
        try:
            while (drawn := self._queue.get()) is not None:
                self._verify(judge, drawn)
        finally:
            judge.close()

    def _verify(self, judge: Judge, drawn: Drawn) -> None:
        size = _size(drawn)
        with self._changed:
            tally = self._tallies.get(drawn.job)
        found: Difference | None = None
        verdict: Verdict | None = None
        why = ""
        try:
            if tally is not None and tally.difference is None and not self._closed:
                with _file_of(drawn) as path:
                    verdict = judge.verify(self._asked(path), drawn.task.stage, drawn.output, _patience(drawn))
                found = verdict.difference
        except Unverifiable as error:
            why = str(error)
        except OSError as error:
            why = f"what it was given could not be read: {error}"
        finally:
            if found is None:
                _remove(drawn)
            with self._changed:
                self._bytes -= size
                if tally is not None:
                    tally.waiting -= 1
                    if why:
                        tally.skipped[why] += 1
                    elif found is not None:
                        tally.difference = tally.difference or (drawn, found)
                    elif verdict is not None:
                        tally.verified += 1
                        tally.unknown.update(verdict.unknown)
                self._changed.notify_all()

    def _asked(self, path: str) -> Ask:
        shipped = self._shipped()
        return Ask(path) if shipped is None else Ask(path, shipped.home, shipped.items)


@contextlib.contextmanager
def _file_of(drawn: Drawn) -> Iterator[str]:
    """Have what a task was given in a file that other processes can open."""
    if drawn.path:
        yield drawn.path
        return
    with tempfile.NamedTemporaryFile(prefix="headrace-verify-") as file:
        file.writelines(drawn.pieces)
        file.flush()
        yield file.name


def _patience(drawn: Drawn) -> float:
    return max(PATIENCE_S, SLOWER * drawn.ran_ns / SECOND)


def _size(drawn: Drawn) -> int:
    if not drawn.path:
        return sum(map(len, drawn.pieces))
    try:
        return os.path.getsize(drawn.path)
    except OSError:
        return 0


def _remove(drawn: Drawn) -> None:
    if drawn.path:
        with contextlib.suppress(OSError):
            os.unlink(drawn.path)
