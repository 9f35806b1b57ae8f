"""Small jobs that together use everything, each with its result worked out apart from the engine.

Each takes some tens of milliseconds under ``sim://``, comes to some hundreds of virtual ones, and returns something that can
be compared with what any seed must give.
"""

from __future__ import annotations

import operator
import os
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

from headrace import BarrierTaskContext, Context, StorageLevel, TaskContext
from headrace.errors import JobCancelled, TaskFailed

TEXT = "to be or not to be that is the question whether tis nobler in the mind"
WORDS = TEXT.split()
LINES = [f"{WORDS[i % 15]} {WORDS[i * 7 % 15]} {i % 11}" for i in range(160)]
PAIRS = [(i % 23, i) for i in range(120)]
SIZES = [(i % 23, i * i) for i in range(0, 90, 3)]
ROUNDS = 4
GANG = 4
PADDING = "x" * 400


class Wrong(AssertionError):
    """A job's result is not what it must be."""


# Words counted, with accumulators: a shuffle, and contributions that count once.


def words(ctx: Context) -> Any:
    """Count words, and beside that the lines of each partition."""
    lines, letters = ctx.accumulator(0), ctx.accumulator(0)

    def split(line: str) -> list[str]:
        lines.add(1)
        return line.split()

    def measured(pair: tuple[str, int]) -> tuple[str, int]:
        letters.add(len(pair[0]))
        return pair

    source = ctx.parallelize(LINES, 8).flat_map(split).map(lambda word: (word, 1))
    counts = source.reduce_by_key(operator.add, 6).map(measured).collect_as_map()
    return counts, lines.value, letters.value


def words_expected() -> Any:
    counts = Counter(word for line in LINES for word in line.split())
    return dict(counts), len(LINES), sum(map(len, counts))


# Many short tasks: workers hold several, and give back what others have time for.


def crowd(ctx: Context) -> Any:
    """Count words in many small tasks."""
    pairs = ctx.parallelize(LINES, 40).flat_map(str.split).map(lambda word: (word, 1))
    return pairs.reduce_by_key(operator.add, 15).collect_as_map()


def crowd_expected() -> Any:
    return words_expected()[0]


# Several shuffles, one read by two stages; large results that are fetched as files.


def rows(ctx: Context) -> Any:
    """Group and join what was shuffled, and bring more than fits into reports."""
    padded = ctx.parallelize(PAIRS, 8).map(lambda pair: (pair[0], f"{pair[1]} {PADDING}"))
    grouped = padded.group_by_key(6)
    joined = grouped.join(ctx.parallelize(SIZES, 4), 6)
    wide = sorted((key, sorted(texts), size) for key, (texts, size) in joined.collect())
    counts = grouped.map_values(len).collect_as_map()
    return wide, counts


def rows_expected() -> Any:
    texts = defaultdict(list)
    for key, value in PAIRS:
        texts[key].append(f"{value} {PADDING}")
    wide = sorted((key, sorted(texts[key]), size) for key, size in SIZES)
    return wide, {key: len(found) for key, found in texts.items()}


# Kept partitions, by one worker and by several, read again and again, and given up.


def kept(ctx: Context) -> Any:
    """Keep what was shuffled, read it thrice, give it up and keep something else."""
    return _kept(ctx, StorageLevel.MEMORY_AND_DISK)


def replicated(ctx: Context) -> Any:
    """The same with two keepers for each partition."""
    return _kept(ctx, StorageLevel.MEMORY_AND_DISK_2)


HELD: list[Any] = []  # what is still wanted when a run ends, and all is looked at


def _kept(ctx: Context, level: StorageLevel) -> Any:
    touched = ctx.accumulator(0)

    def touch(pair: tuple[int, list[int]]) -> tuple[int, list[int]]:
        touched.add(1)
        return pair

    sums = ctx.parallelize(PAIRS, 6).reduce_by_key(operator.add, 5).map_values(lambda total: [total]).persist(level)
    few = sums.filter(lambda pair: pair[0] < 5).persist(level)
    HELD[:] = [few]
    number = few.count()
    doubled = sums.map_values(lambda total: total[0] * 2).collect_as_map()
    joined = sums.join(ctx.parallelize(SIZES, 3), 5).map(lambda pair: (pair[0], pair[1][0][0], pair[1][1]))
    some = sorted(joined.collect())
    again = sums.map(touch).map_values(sum).reduce_by_key(operator.add, 3).collect_as_map()
    sums.unpersist()
    return doubled, some, again, number, sorted(few.collect()), touched.value


def kept_expected() -> Any:
    sums: Counter[int] = Counter()
    for key, value in PAIRS:
        sums[key] += value
    joined = sorted((key, sums[key], size) for key, size in SIZES)
    few = sorted((key, [total]) for key, total in sums.items() if key < 5)
    return {key: 2 * total for key, total in sums.items()}, joined, dict(sums), len(few), few, len(sums)


# Output folders.


def saved(ctx: Context) -> Any:
    """Write text twice, once over what was there, and read what lies in the folder."""
    folder = tempfile.mkdtemp(prefix="headrace-mutants-")
    try:
        out = f"{folder}/out"
        ctx.parallelize(range(40), 4).map(str).save_as_text_file(out)
        counts = ctx.parallelize(LINES, 6).map(lambda line: (line.split()[0], 1)).reduce_by_key(operator.add, 5)
        counts.map(lambda pair: f"{pair[0]} {pair[1]}").save_as_text_file(out, overwrite=True)
        lines: list[str] = []
        for name in sorted(os.listdir(out)):
            with open(f"{out}/{name}", encoding="utf-8") as file:
                lines += file.read().splitlines()
        return sorted(lines), sorted(os.listdir(out)), sorted(os.listdir(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def saved_expected() -> Any:
    counts = Counter(line.split()[0] for line in LINES)
    names = ["_SUCCESS", *(f"part-{p:05d}" for p in range(5))]
    return sorted(f"{word} {number}" for word, number in counts.items()), names, ["out"]


# Tasks that meet.


def gang(ctx: Context) -> Any:
    """Have four tasks tell each other what they hold, twice; what counts must have met."""
    met = ctx.accumulator(0)

    def meet(number: int, records: Iterator[tuple[int, int]]) -> Iterator[tuple[int, str, str, str]]:
        here = sum(value for _, value in records)
        task = BarrierTaskContext.get()
        attempts = task.all_gather(str(task.task_attempt_id()))
        sums = task.all_gather(f"{number}: {here}")
        met.add(len(sums))
        task.barrier()
        yield number, " ".join(attempts), ", ".join(sums), ", ".join(task.all_gather(f"bye {number}"))

    source = ctx.parallelize(PAIRS, 6).partition_by(GANG, lambda key: key)
    found = source.barrier().map_partitions_with_index(meet)
    direct = sorted(found.collect())
    # By one reader: another might read what another gang made, should this one's outputs be lost between the two.
    gangs = found.map(lambda told: (told[1], 1)).reduce_by_key(operator.add, 1).values().collect()
    said = [(number, sums, byes) for number, _, sums, byes in direct]
    return said, len({attempts for _, attempts, _, _ in direct}), gangs, met.value


def gang_expected() -> Any:
    sums = [sum(value for key, value in PAIRS if key % GANG == p) for p in range(GANG)]
    said = ", ".join(f"{p}: {sums[p]}" for p in range(GANG))
    byes = ", ".join(f"bye {p}" for p in range(GANG))
    return [(p, said, byes) for p in range(GANG)], 1, [GANG], 2 * GANG * GANG


# Actions that want some partitions only, or few records of each.


def takes(ctx: Context) -> Any:
    """Take some, the first, the largest; what is left of a job is of no concern to the next."""
    totals = ctx.parallelize(PAIRS, 6).reduce_by_key(operator.add, 8)
    ordered = totals.sort_by_key(num_partitions=4)
    return (
        ordered.take(7),
        ordered.first(),
        totals.top(3, key=lambda pair: pair[1]),
        totals.filter(lambda pair: pair[0] > 20).is_empty(),
        list(ordered.to_local_iterator()),
        ctx.range(100, num_slices=5).zip_with_index().map(lambda pair: pair[0] - pair[1]).sum(),
    )


def takes_expected() -> Any:
    totals: Counter[int] = Counter()
    for key, value in PAIRS:
        totals[key] += value
    ordered = sorted(totals.items())
    largest = sorted(ordered, key=lambda pair: pair[1], reverse=True)[:3]
    return ordered[:7], ordered[0], largest, False, ordered, 0


# Rounds: shuffles that are freed, a broadcast value for each round, a lineage that is cut.


def rounds(ctx: Context) -> Any:
    """Move values about in rounds, each reading what the round before made and a broadcast value."""
    folder = tempfile.mkdtemp(prefix="headrace-mutants-")
    try:
        ctx.set_checkpoint_dir(folder)
        state = ctx.parallelize(PAIRS, 5).reduce_by_key(operator.add, 5)
        sums = []
        for number in range(ROUNDS):
            steps = ctx.broadcast({key: (key * 5 + number) % 23 for key in range(23)})
            moved = state.map(lambda pair, steps=steps: (steps.value[pair[0]], pair[1] + 1))  # type: ignore[misc]
            state = moved.reduce_by_key(operator.add, 5)
            if number == 1:
                state.checkpoint()
            sums.append(state.values().sum())
        return sums, state.collect_as_map()
    finally:
        ctx.wait_for_checkpoints()
        shutil.rmtree(folder, ignore_errors=True)


def rounds_expected() -> Any:
    state: Counter[int] = Counter()
    for key, value in PAIRS:
        state[key] += value
    sums = []
    for number in range(ROUNDS):
        moved: Counter[int] = Counter()
        for key, value in state.items():
            moved[(key * 5 + number) % 23] += value + 1
        state = moved
        sums.append(sum(state.values()))
    return sums, dict(state)


# Functions that fail, for a while or for good, and tasks that take too long.


def failing(ctx: Context) -> Any:
    """Have tasks fail as often as they may, and one more often than that."""

    def fails_thrice(pair: tuple[int, int]) -> tuple[int, int]:
        task = TaskContext.get()
        assert task is not None
        if task.partition_id() == 1 and task.attempt_number() < 3:
            raise LookupError(f"try {task.attempt_number()}")
        return pair

    fine = ctx.parallelize(PAIRS, 5).map(fails_thrice).reduce_by_key(operator.add, 4).collect_as_map()
    try:
        ctx.parallelize(PAIRS, 4).map(lambda pair: 1 // (pair[1] - 70)).sum()
        tries = 0
    except TaskFailed as error:
        tries = len(error.history)
    return fine, tries >= 4, ctx.range(20, num_slices=4).sum()


def failing_expected() -> Any:
    sums: Counter[int] = Counter()
    for key, value in PAIRS:
        sums[key] += value
    return dict(sums), True, sum(range(20))


def late(ctx: Context) -> Any:
    """Have the first try of some tasks go on for ever."""

    def work(number: int, records: Iterator[int]) -> Iterator[int]:
        task = TaskContext.get()
        assert task is not None
        yield sum(records)
        if number in (1, 2) and task.attempt_number() == 0:
            yield from repeat(0)

    numbers = ctx.range(60, num_slices=5).map_partitions_with_index(work)
    return numbers.map(lambda x: (x % 3, x)).reduce_by_key(operator.add, 3).collect_as_map()


def late_expected() -> Any:
    found: Counter[int] = Counter()
    for first in range(0, 60, 12):
        part = sum(range(first, first + 12))
        found[part % 3] += part
    return dict(found)


def cancelled(ctx: Context) -> Any:
    """Cancel a job in its midst, and run another on the same shuffle."""
    once, twice = ctx.accumulator(0), ctx.accumulator(0)
    ended = False
    totals = ctx.parallelize(PAIRS, 8).reduce_by_key(operator.add, 6)

    def tell(pair: tuple[int, int]) -> tuple[int, int]:
        once.add(1)
        return pair

    session: Any = ctx._session
    session.world.later(300_000_000, "user cancels", lambda: None if ended else ctx.cancel_all_jobs())
    try:
        first: Any = sorted(totals.map(tell).collect())
        complete = first == sorted(kept_expected()[2].items()) and once.value == len(first)
    except JobCancelled:
        complete = once.value <= len(kept_expected()[2])  # it may have counted some of them, none twice
    ended = True

    def again(pair: tuple[int, int]) -> tuple[int, int]:
        twice.add(1)
        return pair

    second = totals.map(again).collect_as_map()
    return complete, second, twice.value


def cancelled_expected() -> Any:
    sums = kept_expected()[2]
    return True, sums, len(sums)


class Job:
    """A job, what it must give, and options of the address that it needs."""

    def __init__(self, run: Callable[[Context], Any], expected: Callable[[], Any], options: str = "") -> None:
        self.run, self.expected, self.options = run, expected, options
        self.name = run.__name__


JOBS = {
    job.name: job
    for job in (
        Job(words, words_expected),
        Job(crowd, crowd_expected),
        Job(rows, rows_expected, "inline=500&piece=700"),
        Job(kept, kept_expected),
        Job(replicated, kept_expected),
        Job(saved, saved_expected),
        Job(gang, gang_expected, "max_losses=100"),
        Job(takes, takes_expected),
        Job(rounds, rounds_expected),
        Job(failing, failing_expected),
        Job(late, late_expected, "task_timeout=2s&max_failures=20"),
        Job(cancelled, cancelled_expected),
    )
}
