"""``headrace demo``: the main job on real text, while workers are killed; the result is checked, word by word."""

from __future__ import annotations

import operator
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import headrace
from headrace.context import Context
from headrace.errors import InputError, UsageError
from headrace.observe.stories import read
from headrace.protocols import claims, membership
from headrace.protocols import schedule_words as words

SECONDS = 3.0  # that the job should last
LOST = ("worker lost", "lost outputs", "attempt lost", "copy", "task done again")


class Killer:
    """A watcher that kills workers while they are within an attempt.

    It strikes when a worker has just said how far its attempt is, and again if that attempt turned out to have ended.
    """

    def __init__(self, kills: int) -> None:
        self.wanted = kills
        self.killed: list[str] = []
        self.rerun: list[str] = []
        self.context: Context | None = None
        self._victims: set[Any] = set()
        self._hit: dict[Any, Any] = {}  # attempts that died, by task

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        """See one step."""
        if machine == "schedule" and isinstance(event, words.AttemptProgressed):
            self._consider(event)
        for effect in effects:
            if isinstance(effect, membership.Bury) and effect.worker in self._victims:
                self._victims.discard(effect.worker)
                if effect.victim is None:
                    self.wanted += 1  # it was between two attempts: that shows nothing
            elif isinstance(effect, words.Note) and effect.what == "attempt lost":
                self._hit[effect.task] = effect.attempt
            elif isinstance(effect, claims.Claimed) and effect.task in self._hit and not effect.copy:
                dead = self._hit.pop(effect.task)
                self.rerun.append(f"task {effect.task}: attempt {dead} died, attempt {effect.attempt} took its place")

    def _consider(self, event: words.AttemptProgressed) -> None:
        if len(self.killed) >= self.wanted or self._victims or self.context is None:
            return
        for worker in self.context.workers():
            if worker.state == "running" and worker.pid and 0 < event.progress < 900:
                self._victims.add(worker.id)
                self.killed.append(f"{worker.id} (pid {worker.pid}) in task {worker.task}")
                os.kill(worker.pid, signal.SIGKILL)
                return


def demo(books: str | None, workers: int, kills: int, progress: bool | None) -> int:
    """Run the job; return 0 if the result is right and something had to be run again."""
    if workers < 1 or kills < 0:
        raise UsageError("demo needs at least one worker, and kills cannot be negative.")
    files = find_books(books)
    size = sum(file.stat().st_size for file in files)
    print(f"Counting the words of {len(files)} files ({size / 1e6:.1f} MB) in one process, to know what is right ...")
    began = time.perf_counter()
    expected = Counter[str]()
    for file in files:
        expected.update(Counter(read_book(file).split()))
    alone = time.perf_counter() - began
    rounds = max(1, round(SECONDS * 1.5 / alone))
    print(
        f"That took {alone:.2f} s. Now {rounds} times the same text ({rounds * size / 1e6:.0f} MB) on {workers} worker "
        f"processes, {kills} of which will be killed at work:"
    )
    killer = Killer(kills)
    began = time.perf_counter()
    with headrace.connect(f"local://?workers={workers}&heartbeat=100ms", progress=progress, watchers=[killer]) as ctx:
        killer.context = ctx
        counts = (
            ctx.text_file([str(file) for file in files] * rounds)
            .flat_map(str.split)
            .map(lambda word: (word, 1))
            .reduce_by_key(operator.add)
        )
        found = counts.collect_as_map()
        took = time.perf_counter() - began
        best = counts.top(10, key=lambda pair: pair[1])
        run = ctx.run
    return report(killer, run, found, {word: n * rounds for word, n in expected.items()}, best, kills, took)


def report(
    killer: Killer,
    run: str,
    found: dict[str, int],
    expected: dict[str, int],
    best: list[tuple[str, int]],
    kills: int,
    took: float,
) -> int:
    """Say what came of it."""
    print(f"\nThe ten commonest of {len(found):,} words, after {took:.2f} s:")
    for word, number in best:
        print(f"  {number:>10,}  {word}")
    print("\nWhat was lost and what was run again:")
    for line in read_story(run):
        print(f"  {line}")
    for line in killer.rerun:
        print(f"  {line}")
    print(f"  (all of it: headrace story {run})")
    if found != expected:
        wrong = [word for word in {**found, **expected} if found.get(word) != expected.get(word)]
        print(f"\nWRONG: {len(wrong):,} words differ, {wrong[0]!r} for one.", file=sys.stderr)
        return 1
    if kills and len(killer.rerun) < kills:
        print("\nFAILED: no kill hit a running attempt, so nothing had to be run again.", file=sys.stderr)
        return 1
    print(
        f"\nRight: all {len(expected):,} words, counted {sum(expected.values()):,} times, as one process counts them."
    )
    return 0


def read_story(run: str) -> list[str]:
    """Return the lines of a story that tell of losses."""
    from headrace.observe.stories import find, tell

    return [tell(line) for line in read(find(run)) if line["what"] in LOST]


def read_book(file: Path) -> str:
    """Read a text in the plainest way.

    Raises:
        InputError: it cannot be read.

    """
    try:
        return file.read_bytes().decode()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}. Name another folder with --books.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file} has bytes at offset {error.start:,} that are not UTF-8. Convert it, or take it out of the folder."
        ) from error


def find_books(folder: str | None) -> list[Path]:
    """List the text files of a folder; by default of those shipped with the repository.

    Raises:
        UsageError: there are none.

    """
    if folder is not None:
        where = [Path(folder)]
    else:
        where = [Path("examples/books"), *(parent / "examples/books" for parent in Path(__file__).parents)]
    for place in where:
        files = sorted(place.glob("*.txt"))
        if files:
            return files
    raise UsageError(f"there are no .txt files in {where[0]}. Name a folder that has some with --books.")
