"""Two kinds of execution, three kinds of recovery, and which of them protects a stage.

The table is the project's one idea, as data; every front-end falls into one or two of its cells.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from headrace.plan.formats import Frames
from headrace.plan.operators import Body, Kept, ReadFiles
from headrace.plan.stages import Stage

Execution = Literal["task", "vertex"]
Recovery = Literal["re-run", "checkpoint", "replicate"]


class Cell(Struct, frozen=True):
    """One way to survive.

    Attributes:
        built: whether this version has it.

    """

    execution: Execution
    recovery: Recovery
    means: str
    built: bool


TABLE: tuple[Cell, ...] = (
    Cell("task", "re-run", "lineage: lost partitions are computed again from what they were made of", True),
    Cell("task", "checkpoint", "a long lineage is cut by writing its partitions to a shared store", True),
    Cell(
        "task",
        "replicate",
        "slow tasks get backup copies, and the first to commit wins; what is kept may be so by several workers",
        True,
    ),
    Cell("vertex", "re-run", "its input is replayed into an empty state", False),
    Cell("vertex", "checkpoint", "its state is restored from a consistent cut, and its input rewound to it", False),
    Cell("vertex", "replicate", "another process holds the same state", False),
)


def cell(execution: Execution, recovery: Recovery) -> Cell:
    """Look a cell up.

    >>> cell("task", "re-run").built
    True
    """
    return next(c for c in TABLE if (c.execution, c.recovery) == (execution, recovery))


class Protection(Struct, frozen=True):
    """How a stage is protected, and why so.

    Attributes:
        twice: of what there are or may be several at once, where it is replicated.

    """

    cells: tuple[Cell, ...]
    because: str
    twice: tuple[str, ...] = ()

    def __str__(self) -> str:
        named = {"replicate": f"replicate ({' and '.join(self.twice)})"} if self.twice else {}
        kinds = ", ".join(named.get(cell.recovery, cell.recovery) for cell in self.cells)
        return f"{kinds}, because {self.because}"


def protection(stage: Stage, *, copies: bool) -> Protection:
    """Say which cells of the table a stage falls in.

    Args:
        copies: whether the run makes backup copies at all.

    """
    found = _of_tasks(stage, copies=copies)
    keepers = max((node.level.replication for node in stage.program.nodes if node.cached), default=1)
    if keepers > 1:
        cells = tuple(dict.fromkeys((*found.cells, cell("task", "replicate"))))
        because = f"{found.because}; what is kept outlives a worker"
        found = Protection(cells, because, (*found.twice, f"{keepers} replicas of what is kept"))
    if any(is_checkpoint(node.body) for node in stage.program.nodes):
        because = f"{found.because}; it begins at a checkpoint, and nothing before that is run again"
        found = Protection((*found.cells, cell("task", "checkpoint")), because, found.twice)
    return found


def is_checkpoint(body: Body) -> bool:
    """Whether records lie in files or with workers, and nothing else is known of how they were made."""
    return isinstance(body, Kept) or (isinstance(body, ReadFiles) and isinstance(body.format, Frames))


def _of_tasks(stage: Stage, *, copies: bool) -> Protection:
    rerun = cell("task", "re-run")
    if stage.spec.barrier:
        return Protection(
            (rerun,), "its tasks run at once and meet: if one is lost, all are re-run, and none is copied"
        )
    if stage.spec.has_effects:
        return Protection((rerun,), "its functions have effects, so a task is re-run if lost but never copied")
    if not copies:
        return Protection((rerun,), "its tasks read immutable input; backup copies are switched off")
    return Protection(
        (rerun, cell("task", "replicate")),
        "its tasks read immutable input and write once, so running one twice is safe",
        ("backup copies of slow tasks",),
    )
