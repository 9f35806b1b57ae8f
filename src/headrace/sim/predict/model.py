"""From a profile to what modelled tasks do: how long each computes, which bytes it reads and from where, what it leaves.

How many bytes a map task wrote for each reduce partition is not measured; a map task's bytes are dealt in the proportions
in which all of them were read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import accumulate, pairwise
from operator import attrgetter

from msgspec import Struct

from headrace.ids import StageId
from headrace.plan.flat import walk
from headrace.plan.profile import Profile, StageProfile
from headrace.plan.stages import Reads, StageSpec

GOLDEN = 0.6180339887498949  # its multiples modulo one are spread evenly
BYTES = 64 << 20  # that a simulation carries, about; of more, each stands for several
_first = attrgetter("first")


class Part(Struct, frozen=True):
    """What one task does.

    Attributes:
        compute_ns: while it reads; the rest of its time, `end_ns`, comes when it has read everything.
        near_ns: more, if everything that it reads lies on its own host.
        reads: shuffles, and which reduce partition of each.
        provided_bytes: that it reads from the program's store.

    """

    compute_ns: int
    end_ns: int
    near_ns: int
    reads: tuple[tuple[StageId, int], ...]
    provided_bytes: int
    records: int
    result_bytes: int
    cached: tuple[tuple[int, int], ...]


class StageModel:
    """What the tasks of a stage do.

    Args:
        is_apart: the run was measured where workers did not share a disk, so what it took to fetch was waiting.

    """

    def __init__(self, stage: StageProfile, *, is_apart: bool) -> None:
        self.spec, self._stage, self._is_apart = stage.spec, stage, is_apart
        self._usual = _usual(stage)
        self._shares = [1.0]
        self._written = _filled(stage.written_bytes, stage.ran_ns)
        self._firsts = [segment.first for segment in stage.spec.segments]

    def deal(self, shares: list[float]) -> None:
        """Say in which proportions the reduce partitions get its output."""
        total = sum(shares)
        self._shares = [share / total for share in shares] if total else [1 / len(shares)] * len(shares)

    @property
    def reduce_partitions(self) -> int:
        """How many parts its tasks write."""
        return len(self._shares)

    @property
    def written_bytes(self) -> int:
        """What its tasks write, together."""
        return sum(self._written)

    def part(self, partition: int) -> Part:
        """Say what a task does; one that did not run when it was measured does what the others do on average."""
        stage, p = self._stage, partition
        if not stage.ran_ns[p]:
            return Part(self._usual, 0, 0, self.reads(p), 0, 0, 0, ())
        end = stage.write_ns[p] + stage.commit_ns[p]
        fetch = stage.fetch_ns[p]
        reads = self.reads(p) if stage.read_bytes[p] else ()
        has_inputs = bool(reads) or self._is_kept(p)
        return Part(
            max(0, stage.ran_ns[p] - fetch - end),
            end,
            0 if self._is_apart else fetch,
            reads,
            0 if has_inputs else stage.read_bytes[p],
            stage.records[p],
            stage.result_bytes[p],
            stage.cached.get(p, ()),
        )

    def reads(self, partition: int) -> tuple[tuple[StageId, int], ...]:
        """List the shuffles that a task reads, and which reduce partition of each.

        What was to be kept, and was not left in anybody's keeping by the task, it had from somebody, and left alone what
        that is made of.
        """
        made = {operator for operator, _ in self._stage.cached.get(partition, ())}

        def is_computed(reads: Reads) -> bool:
            return reads.cut is None or reads.cut in made

        found: dict[tuple[StageId, int], None] = {}
        for reads in self._tree(partition, is_computed):
            if is_computed(reads):
                found.update(dict.fromkeys((stage, partition - reads.first) for stage in reads.stages))
        return tuple(found)

    def _is_kept(self, partition: int) -> bool:
        """Whether what it reads may be in some worker's keeping."""
        return any(reads.cut is not None for reads in self._tree(partition))

    def _tree(self, partition: int, below: Callable[[Reads], bool] = lambda reads: True) -> Iterable[Reads]:
        return walk(iter((self.spec.segments[bisect_right(self._firsts, partition) - 1].reads,)), below)

    def sizes(self, partition: int, scale: int) -> list[int]:
        """Return the bytes of each part of a map task's output, of which each stands for `scale`.

        They are rounded so that neither a task's parts nor those for one reducer add up to less than they should.
        """
        whole = self._written[partition] / scale
        offset = partition * GOLDEN % 1.0
        stops = [int(at + offset) for at in accumulate((share * whole for share in self._shares), initial=0.0)]
        return [stop - start for start, stop in pairwise(stops)]


def _usual(stage: StageProfile) -> int:
    ran = [number for number in stage.ran_ns if number]
    return sum(ran) // len(ran) if ran else 0


def _filled(column: list[int], ran_ns: list[int]) -> list[int]:
    """Give those tasks that did not run what the others have on average."""
    known = [number for number, ran in zip(column, ran_ns, strict=True) if ran]
    usual = sum(known) // len(known) if known else 0
    return [number if ran else usual for number, ran in zip(column, ran_ns, strict=True)]


def models_of(profile: Profile) -> dict[StageId, StageModel]:
    """Make a model of each stage, and have the output of each dealt as it was read."""
    is_apart = profile.begun.hosts > 1
    models = {number: StageModel(stage, is_apart=is_apart) for number, stage in profile.stages.items()}
    shares: dict[StageId, list[float]] = {}
    for number, model in models.items():
        read = profile.stages[number].read_bytes
        for shuffle, wanted in _wanted(model).items():
            taken = [float(sum(read[p] for p in partitions)) for partitions in wanted]
            if shuffle not in shares or (any(taken) and not any(shares[shuffle])):
                shares[shuffle] = taken
            more = len(taken) - len(shares[shuffle])
            shares[shuffle] += [0.0] * max(0, more)  # another stage reads more of it
    for shuffle, dealt in shares.items():
        if shuffle in models:
            models[shuffle].deal(dealt)
    return models


def _wanted(model: StageModel) -> dict[StageId, list[list[int]]]:
    """List for each shuffle that a stage reads, and for each reduce partition of it, the tasks that read that."""
    found: dict[StageId, list[list[int]]] = {}
    for partition in range(model.spec.partitions):
        for shuffle, part in model.reads(partition):
            readers = found.setdefault(shuffle, [])
            readers.extend([] for _ in range(part + 1 - len(readers)))
            readers[part].append(partition)
    return found


def scale_for(models: dict[StageId, StageModel], room: int = BYTES) -> int:
    """Say for how many bytes one has to stand, for a simulation to carry no more than there is room for."""
    total = sum(model.written_bytes for model in models.values() if model.spec.is_map)
    return max(1, -(-total // room))


def longest_path(profile: Profile, models: dict[StageId, StageModel], startup_ns: int = 0, speed: float = 1.0) -> int:
    """Return how long it takes at least, whatever the number of workers, in nanoseconds.

    The program's own time, or the start of the workers where that is longer than its time before the first job; and of each
    job the longest chain of stages, each as long as its longest task.
    """

    def longest(spec: StageSpec) -> int:
        parts = (models[spec.id].part(p) for p in range(spec.partitions))
        return max((part.compute_ns + part.end_ns for part in parts), default=0)

    first, *gaps = gaps_of(profile) or [0]
    total = max(first, startup_ns) + sum(gaps)
    for job in profile.jobs.values():
        ends: dict[StageId, int] = {}
        for number in job.stages if job.state == "done" else ():
            begin = max((ends.get(read, 0) for read in profile.stages[number].reads), default=0)
            ends[number] = begin + longest(models[number].spec)
        total += int(max(ends.values(), default=0) / speed)
    return total


def gaps_of(profile: Profile) -> list[int]:
    """List the times in which no job ran and the program itself was at work, from the beginning of the run on."""
    gaps: list[int] = []
    free = 0
    spans = sorted((job.at_ns, job.ended_ns) for job in profile.jobs.values() if job.ended_ns is not None)
    for begin, end in spans:
        gaps.append(max(0, begin - free))
        free = max(free, end)
    return gaps
