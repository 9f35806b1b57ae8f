"""Virtual time that the work of bodies takes: user functions run for real, and what they take comes from a model.

Whatever is drawn comes from a stream of its own, in the order of the world's events: other draws stay where they are.
"""

from __future__ import annotations

import math
import time
from random import Random
from typing import Protocol

from msgspec.structs import replace

from headrace.config import WorkConfig
from headrace.ids import TaskId
from headrace.sim.world import World
from headrace.store.profiles import read_profile


class Work(Protocol):
    """What the work of one process takes."""

    def cost_ns(self, records: int, task: TaskId | None, attempt: int) -> int:
        """Return the time of what was done since the last call: a chunk of so many records, or something between chunks."""
        ...

    def rests(self) -> None:
        """The turn of the body is over, for now."""
        ...

    def resumed(self) -> None:
        """The body has its turn again."""
        ...


class ConstantWork:
    """A time for each record, and one for each chunk."""

    def __init__(self, config: WorkConfig) -> None:
        self._record_ns, self._chunk_ns = config.record_ns, config.chunk_ns

    def cost_ns(self, records: int, task: TaskId | None, attempt: int) -> int:
        """Return the time of a chunk."""
        return self._chunk_ns + records * self._record_ns

    def rests(self) -> None:
        """Nothing to do."""

    def resumed(self) -> None:
        """Nothing to do."""


class DrawnWork:
    """A time for each record that is drawn anew for every attempt, or for every chunk."""

    def __init__(self, config: WorkConfig, chance: Random) -> None:
        self._config, self._chance = config, chance
        self._attempt, self._record_ns = -1, 0

    def cost_ns(self, records: int, task: TaskId | None, attempt: int) -> int:
        """Return the time of a chunk."""
        if self._config.each_chunk or attempt != self._attempt:
            self._attempt, self._record_ns = attempt, draw(self._config, self._chance)
        return records * self._record_ns

    def rests(self) -> None:
        """Nothing to do."""

    def resumed(self) -> None:
        """Nothing to do."""


class MeasuredWork:
    """The processor time that the body has really used; a seed does not repeat that."""

    def __init__(self, config: WorkConfig) -> None:
        self._scale_ppm = config.scale_ppm
        self._used_ns, self._since_ns = 0, time.thread_time_ns()

    def cost_ns(self, records: int, task: TaskId | None, attempt: int) -> int:
        """Return what the body has used since the last call, in all its turns."""
        self.rests()
        used, self._used_ns = self._used_ns, 0
        return used * self._scale_ppm // 1_000_000

    def rests(self) -> None:
        """The turn of the body is over, for now."""
        now = time.thread_time_ns()
        self._used_ns += now - self._since_ns
        self._since_ns = now

    def resumed(self) -> None:
        """The body has its turn again."""
        self._since_ns = time.thread_time_ns()


class RecordedWork:
    """What the same task took in a real run, beside waiting for blocks; of others, what a task took there on average."""

    def __init__(self, config: WorkConfig) -> None:
        self._took = dict(config.took)
        every = [took for column in self._took.values() for took in column if took]
        self._usual_ns = sum(every) // max(1, len(every))
        self._attempt = -1

    def cost_ns(self, records: int, task: TaskId | None, attempt: int) -> int:
        """Return the time of the whole task with its first records, and nothing from then on."""
        if not records or task is None or attempt == self._attempt:
            return 0
        self._attempt = attempt
        column = self._took.get(task.stage, ())
        took = column[task.partition] if task.partition < len(column) else 0
        return took or (sum(column) // sum(map(bool, column)) if any(column) else self._usual_ns)

    def rests(self) -> None:
        """Nothing to do."""

    def resumed(self) -> None:
        """Nothing to do."""


def draw(config: WorkConfig, chance: Random) -> int:
    """Draw the time of a record."""
    if config.kind == "lognormal":
        return round(config.record_ns * math.exp(config.sigma * chance.gauss()))
    if config.kind == "uniform":
        return chance.randint(config.record_ns, config.most_ns)
    return round(chance.expovariate(1) * config.record_ns)


def work_of(config: WorkConfig, world: World) -> Work | None:
    """Make the model of one process; None for the usual one, which gates know by themselves."""
    match config.kind:
        case "steady":
            return None
        case "constant":
            return ConstantWork(config)
        case "measured":
            return MeasuredWork(config)
        case "recorded":
            return RecordedWork(config)
        case _:
            return DrawnWork(config, world.chance("work"))


def settle_work(config: WorkConfig) -> WorkConfig:
    """Read what a recorded run took, if the address names one.

    Raises:
        UsageError: there is no such run.  InputError: its profile cannot be read.

    """
    if config.kind != "recorded":
        return config
    profile = read_profile(config.run)
    took = tuple(
        (int(number), tuple(max(0, ran - fetched) for ran, fetched in zip(stage.ran_ns, stage.fetch_ns, strict=True)))
        for number, stage in sorted(profile.stages.items())
    )
    return replace(config, took=took)
