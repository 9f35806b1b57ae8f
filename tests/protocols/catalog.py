"""Small random lineage graphs, as the scheduler sees them: stages, segments, cuts.  No functions, no data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random

from hypothesis import strategies as st

from headrace.ids import OperatorId, StageId
from headrace.plan.stages import Reads, Segment, StageSpec

GANG_MAX = 3  # tasks that run at once: there are that many workers in a kind world
PARTITIONS_MAX = 6  # of one dataset: enough for every shape, few enough to finish


@dataclass(frozen=True)
class Tree:
    """What one partition is computed from; like `Reads`, with an operator that may be cached or not."""

    operator: OperatorId | None = None
    first: int = 0
    stages: tuple[StageId, ...] = ()
    below: tuple[Tree, ...] = ()

    def shifted(self, by: int) -> Tree:
        return replace(self, first=self.first + by, below=tuple(tree.shifted(by) for tree in self.below))

    def reads(self, cached: frozenset[OperatorId]) -> Reads:
        cut = self.operator if self.operator in cached else None
        return Reads(cut, self.first, self.stages, tuple(tree.reads(cached) for tree in self.below))

    def all_stages(self) -> Iterator[StageId]:
        yield from self.stages
        for tree in self.below:
            yield from tree.all_stages()


@dataclass(frozen=True)
class Dataset:
    """Runs of partitions that are computed from the same; only a union has several."""

    runs: tuple[tuple[int, Tree], ...]
    operator: OperatorId | None = None  # that may be cached

    @property
    def partitions(self) -> int:
        return sum(count for count, _ in self.runs)

    def stages(self) -> tuple[StageId, ...]:
        return tuple(dict.fromkeys(stage for _, tree in self.runs for stage in tree.all_stages()))

    def segments(self, cached: frozenset[OperatorId]) -> tuple[Segment, ...]:
        found, first = [], 0
        for count, tree in self.runs:
            found.append(Segment(first, first + count, tree.reads(cached)))
            first += count
        return tuple(found)


@dataclass
class Catalog:
    """All datasets of a program, and the shuffles between them."""

    datasets: list[Dataset] = field(default_factory=list)
    shuffles: dict[StageId, Dataset] = field(default_factory=dict)  # what each writes
    operators: list[OperatorId] = field(default_factory=list)
    barriers: set[StageId] = field(default_factory=set)  # shuffles whose tasks run all at once

    def spec(self, stage: StageId, cached: frozenset[OperatorId]) -> StageSpec:
        dataset = self.shuffles[stage]
        segments = dataset.segments(cached)
        return StageSpec(stage, f"map {stage}", dataset.partitions, True, segments, barrier=stage in self.barriers)

    def may_meet(self, dataset: Dataset) -> bool:
        """Whether tasks that make a dataset can run all at once."""
        return len(dataset.runs) == 1 and dataset.partitions <= GANG_MAX

    def closure(self, dataset: Dataset) -> list[StageId]:
        """All shuffles that a dataset comes from, parents first."""
        found: dict[StageId, None] = {}

        def visit(one: Dataset) -> None:
            for stage in one.stages():
                visit(self.shuffles[stage])
                found[stage] = None

        visit(dataset)
        return list(found)

    def shuffle(self, dataset: Dataset) -> StageId:
        stage = StageId(len(self.shuffles) + 1)
        self.shuffles[stage] = dataset
        return stage


def put_barriers(catalog: Catalog, chosen: Callable[[], bool]) -> Catalog:
    """Have the tasks of some shuffles run all at once."""
    catalog.barriers |= {s for s, dataset in catalog.shuffles.items() if catalog.may_meet(dataset) and chosen()}
    return catalog


KINDS = ("shuffle", "shuffle", "union", "cached", "join", "narrow join")


@st.composite
def catalogs(draw: st.DrawFn, most: int = 5) -> Catalog:
    """A source, and some datasets made of it and of one another; the last is the most interesting."""
    catalog = Catalog([Dataset(((draw(st.integers(1, 3)), Tree()),))])
    for kind in draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=most)):
        one = draw(st.sampled_from(catalog.datasets[-2:]))
        other = draw(st.sampled_from(catalog.datasets))
        count = draw(st.integers(1, 3))
        catalog.datasets.append(_made(catalog, kind, one, other, count))
    return catalog


def random_catalog(chance: Random, most: int = 5) -> Catalog:
    """The same, without Hypothesis: for many of them."""
    catalog = Catalog([Dataset(((chance.randint(1, 3), Tree()),))])
    for _ in range(chance.randint(1, most)):
        one, other = chance.choice(catalog.datasets[-2:]), chance.choice(catalog.datasets)
        catalog.datasets.append(_made(catalog, chance.choice(KINDS), one, other, chance.randint(1, 3)))
    return catalog


def _made(catalog: Catalog, kind: str, one: Dataset, other: Dataset, count: int) -> Dataset:
    if kind == "union" and one.partitions + other.partitions <= PARTITIONS_MAX:
        shifted = tuple((n, tree.shifted(one.partitions)) for n, tree in other.runs)
        return Dataset(one.runs + shifted)
    if kind == "cached":
        operator = OperatorId(len(catalog.operators) + 1)
        catalog.operators.append(operator)
        return Dataset(tuple((n, Tree(operator, below=(tree,))) for n, tree in one.runs), operator)
    if kind == "join":
        return Dataset(((count, Tree(stages=(catalog.shuffle(one), catalog.shuffle(other)))),))
    if kind == "narrow join" and len(other.runs) == 1:
        return Dataset(((other.partitions, Tree(stages=(catalog.shuffle(one),), below=(other.runs[0][1],))),))
    return Dataset(((count, Tree(stages=(catalog.shuffle(one),))),))
