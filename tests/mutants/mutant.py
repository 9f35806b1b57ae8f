"""What a planted bug is."""

from __future__ import annotations

from dataclasses import dataclass

from tests.mutants.planting import Edit

ANY = "crash,churn,host,reboot,pause,slow,clock,network,sluggish,corrupt"  # whatever a job survives, in any number

SOON = "heartbeat=40ms&suspect=120ms&backup_after=60ms"  # copies, which these jobs are too short for otherwise


@dataclass(frozen=True)
class Mutant:
    """A bug, the promise that it breaks, and where it is to be found.

    Attributes:
        job: which of the jobs runs.
        faults: kinds of fault that are drawn.
        first: the seed that finds it, when it was last measured.
        within: so many seeds at most, from 0 on.
        options: of the address, beside those of the job.

    """

    name: str
    breaks: str
    promise: str
    edits: tuple[Edit, ...]
    job: str
    faults: str
    first: int
    within: int
    options: str = ""

    @property
    def scenario(self) -> tuple[str, str, str]:
        """What runs, whatever the bug."""
        return self.job, self.faults, self.options


def bug(
    name: str,
    breaks: str,
    promise: str,
    edit: tuple[str, str, str],
    job: str,
    faults: str = ANY,
    *,
    first: int = 0,
    within: int = 0,
    options: str = "",
    more: tuple[tuple[str, str, str], ...] = (),
) -> Mutant:
    """Make one of a file, what is there and what comes in its place.

    Args:
        within: unless said, five times as many seeds as it took, and ten more, for what shifts a draw shifts the seed.

    """
    edits = tuple(Edit(*one) for one in (edit, *more))
    return Mutant(name, breaks, promise, edits, job, faults, first, within or 5 * (first + 1) + 10, options)
