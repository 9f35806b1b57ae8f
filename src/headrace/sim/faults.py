"""What goes wrong in a simulated world: drawn from the seed, written down, and over after a while.

Each seed draws its own mix and strength.  After the last fault the world is kind: whatever could not be finished until then
must be finished now.
"""

from __future__ import annotations

from random import Random

from msgspec import Struct

from headrace.config import MS, SECOND
from headrace.errors import UsageError

KINDS = ("crash", "pause", "host", "partition", "loss", "double", "slow", "corrupt")
STARTED_NS = 60 * MS  # of virtual time from the first job on: the first workers are there
HORIZON_NS = 2 * SECOND  # after that
PAUSE_NS = (200 * MS, 45 * SECOND)
CUT_NS = (100 * MS, 15 * SECOND)


class Fault(Struct, frozen=True):
    """Something that goes wrong.

    Attributes:
        at_ns: when, after the first job began.
        pick: chooses among what is there at that time.
        for_ns: how long, where it ends.

    """

    kind: str
    at_ns: int
    pick: int
    for_ns: int = 0


class FaultPlan(Struct, frozen=True):
    """All that goes wrong in one run."""

    faults: tuple[Fault, ...]
    loss: float
    double: float

    def describe(self) -> list[str]:
        """Say it in lines."""
        lines = [
            f"{f.kind} at {f.at_ns / 1e6:.1f} ms" + (f" for {f.for_ns / 1e6:.1f} ms" if f.for_ns else "")
            for f in self.faults
        ]
        if self.loss:
            lines.append(f"{self.loss:.1%} of frames lost")
        if self.double:
            lines.append(f"{self.double:.1%} of frames doubled")
        return lines


def draw_plan(kinds: tuple[str, ...], workers: int, chance: Random, horizon_ns: int = HORIZON_NS) -> FaultPlan:
    """Draw a run's faults.

    Raises:
        UsageError: there is no such kind.

    """
    if "all" in kinds:
        kinds = KINDS
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise UsageError(f"there is no fault {unknown[0]!r}. Use some of {', '.join(KINDS)}, or all.")
    faults: list[Fault] = []
    most = {"crash": max(2, workers // 2), "pause": 2, "host": 1, "partition": 2, "slow": 2, "corrupt": 2}
    for kind in KINDS:
        if kind not in most:
            continue
        for _ in range(chance.randint(0, most[kind])):  # drawn for every kind, so that asking for more shifts none
            at, pick = _early(chance, horizon_ns), chance.randrange(1 << 30)
            low, high = CUT_NS if kind == "partition" else PAUSE_NS
            for_ns = int(low * (high / low) ** chance.random()) if kind in ("pause", "partition") else 0
            if kind in kinds:
                faults.append(Fault(kind, at, pick, for_ns))
    loss, double = chance.random() * 0.2, chance.random() * 0.3
    return FaultPlan(
        tuple(sorted(faults, key=lambda fault: fault.at_ns)),
        loss if "loss" in kinds else 0.0,
        double if "double" in kinds else 0.0,
    )


def _early(chance: Random, horizon_ns: int) -> int:
    """Draw a time: once workers have started, and rather early, because small jobs are soon over."""
    return STARTED_NS + int(MS * (horizon_ns / MS) ** chance.random())


def choose(candidates: list[str], pick: int) -> str | None:
    """Choose one of what is there."""
    return candidates[pick % len(candidates)] if candidates else None
