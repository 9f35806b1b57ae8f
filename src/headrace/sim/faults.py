"""What goes wrong in a simulated world: explicit data, drawn from a seed or read from a file, and over after a while.

Each seed draws its own mix of kinds and their strength (swarm testing).  Then the world heals: whatever could not be
finished until then must be finished now.  A plan is data, so it can be saved, shrunk to what matters, edited by hand and run
again, whatever is drawn for that seed in a later version.

Source: A. Groce et al., Swarm Testing (2012), for the mixes; safety first, then liveness, as TigerBeetle's simulator does.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import msgspec
from msgspec import Struct

from headrace.config import MS, SECOND
from headrace.errors import UsageError

STARTED_NS = 60 * MS  # of virtual time from the first job on: the first workers are there
HORIZON_NS = 2 * SECOND  # after that, no fault begins
FORMAT = 1  # of a plan in a file


class Kind(Struct, frozen=True):
    """A kind of fault, and how it is drawn.

    Attributes:
        group: the name under which people ask for it and its like.
        most: how many of it one run has at most, for so many workers; at least one.
        for_ns: the shortest and the longest; none for what is over at once, or lasts until the world heals.
        forms: what it may look like.
        strength: the weakest and the strongest; the kind says what of.
        means: in words, what happens.

    """

    name: str
    group: str
    means: str
    most: float = 2
    for_ns: tuple[int, int] | None = None
    forms: tuple[str, ...] = ("",)
    strength: tuple[float, float] | None = None


LONG = (200 * MS, 45 * SECOND)
SHORT = (100 * MS, 15 * SECOND)
CATALOGUE: tuple[Kind, ...] = (
    # Processes.
    Kind(
        "crash",
        "processes",
        "a worker's process ends at once, or within what it does with its disk: half a write, no rename",
        0.5,
        forms=("at once", "within"),
    ),
    Kind(
        "churn",
        "processes",
        "workers end one after the other; strength: how many, of a dozen",
        1,
        SHORT,
        strength=(0.1, 1),
    ),
    Kind("reboot", "hosts", "a host loses its workers and what was not synced, and comes back with its disk"),
    Kind("host", "hosts", "a host is lost, with its workers and its disk", 1),
    Kind("pause", "processes", "a process stops, and goes on as if nothing had happened", 2, LONG),
    Kind(
        "slow",
        "hosts",
        "all that a host does takes longer; strength: how much, of thirty times",
        2,
        LONG,
        ("constant", "intermittent", "growing"),
        (0.03, 1),
    ),
    Kind(
        "memory",
        "processes",
        "a task needs more memory than there is: the kernel ends its process, or it raises MemoryError",
        2,
        forms=("killed", "error"),
    ),
    Kind("clock", "hosts", "a host's clocks run wrong; strength: by how much, of a tenth", 2, strength=(0, 1)),
    # The network.
    Kind(
        "partition",
        "network",
        "two hosts cannot reach each other",
        2,
        SHORT,
        ("both ways", "one way", "flapping"),
    ),
    Kind("clog", "network", "what one host sends to another waits", 3, (10 * MS, 5 * SECOND)),
    Kind("latency", "network", "frames take longer; strength: how much, of a second", 2, LONG, strength=(0.001, 1)),
    Kind(
        "narrow", "network", "a host's link is narrow; strength: how much of it is left", 1, LONG, strength=(0.001, 0.5)
    ),
    Kind("loss", "network", "frames are lost and sent again; strength: how many", 1, LONG, strength=(0.001, 0.2)),
    Kind("double", "network", "frames come twice; strength: how many", 1, LONG, strength=(0.001, 0.3)),
    # Disks: never the program's own, without which there is no run.
    Kind(
        "full",
        "disk",
        "a host's disk has no space left; not the only host's, where nothing could be done",
        1,
        (100 * MS, 8 * SECOND),
    ),
    Kind(
        "sluggish", "disk", "a host's disk is slow; strength: how much, of a hundred times", 1, LONG, strength=(0.02, 1)
    ),
    Kind(
        "unreadable",
        "disk",
        "reads of a host's disk fail, not the only host's; strength: how many",
        1,
        SHORT,
        strength=(0.01, 0.5),
    ),
    Kind("corrupt", "disk", "a file of a host has a flipped bit, or is gone", 2, forms=("flipped", "gone")),
    # Later ones come last: what is drawn of the others stays as it was.
    Kind(
        "launch",
        "processes",
        "a worker ends, and its host starts no other for a while, or takes long to",
        1,
        SHORT,
        ("fail", "long"),
    ),
)
BY_NAME = {kind.name: kind for kind in CATALOGUE}
KINDS = tuple(BY_NAME)
GROUPS = tuple(dict.fromkeys(kind.group for kind in CATALOGUE))


class Fault(Struct, frozen=True, omit_defaults=True):
    """Something that goes wrong.

    Attributes:
        at_ns: when, in virtual time after the first job began.
        pick: chooses among what is there at that time.
        for_ns: how long, where it ends by itself; otherwise the world's healing ends it.
        form: which of the kind's forms.
        strength: how bad, where the kind has degrees.

    """

    kind: str
    at_ns: int
    pick: int = 0
    for_ns: int = 0
    form: str = ""
    strength: float = 0.0

    def __str__(self) -> str:
        said = f"{self.kind} ({self.form})" if self.form else self.kind
        said += f" at {self.at_ns / 1e6:.1f} ms"
        said += f" for {self.for_ns / 1e6:.1f} ms" if self.for_ns else ""
        return said + (f", strength {self.strength:.3g}" if self.strength else "")


class FaultPlan(Struct, frozen=True):
    """All that goes wrong in one run, in the order of time."""

    faults: tuple[Fault, ...] = ()
    format: int = FORMAT

    @property
    def healed_ns(self) -> int:
        """When all is over, after the first job began: from then on the world is kind."""
        return max((fault.at_ns + fault.for_ns for fault in self.faults), default=0) + SECOND

    def describe(self) -> list[str]:
        """Say it in lines."""
        return [str(fault) for fault in self.faults]


def read_plan(data: bytes) -> FaultPlan:
    """Read a plan that was saved as JSON.

    Raises:
        UsageError: it is not one, or names a kind of fault that there is not.

    >>> read_plan(b'{"faults": [{"kind": "crash", "at_ns": 70000000}], "format": 1}').describe()
    ['crash at 70.0 ms']

    """
    try:
        plan = msgspec.json.decode(data, type=FaultPlan)
    except msgspec.MsgspecError as error:
        raise UsageError(f"this is not a plan of faults: {error}. `headrace simulate` writes them.") from None
    if plan.format != FORMAT:
        raise UsageError(f"this plan of faults has format {plan.format}; this version reads format {FORMAT}.")
    for fault in plan.faults:
        kinds_of((fault.kind,))
        if fault.form not in ("", *BY_NAME[fault.kind].forms):
            raise UsageError(
                f"{fault.kind} has no form {fault.form!r}. Use one of {', '.join(BY_NAME[fault.kind].forms)}."
            )
    return FaultPlan(tuple(sorted(plan.faults, key=lambda fault: fault.at_ns)))


def write_plan(plan: FaultPlan) -> bytes:
    """Write a plan as JSON, a fault a line.

    >>> read_plan(write_plan(FaultPlan((Fault("crash", 5),)))).faults
    (Fault(kind='crash', at_ns=5, pick=0, for_ns=0, form='', strength=0.0),)
    """
    lines = b",\n  ".join(msgspec.json.encode(fault) for fault in plan.faults)
    return b'{"format": %d, "faults": [\n  %s\n]}\n' % (plan.format, lines)


def kinds_of(asked: Iterable[str]) -> frozenset[str]:
    """Return the kinds of fault that some names of kinds or groups mean.

    Raises:
        UsageError: there is no such kind.

    >>> sorted(kinds_of(["pause", "disk"]))
    ['corrupt', 'full', 'pause', 'sluggish', 'unreadable']

    """
    found: set[str] = set()
    for name in asked:
        meant = {kind.name for kind in CATALOGUE if name in (kind.name, kind.group, "all")}
        if name == "all":
            meant = set(KINDS)
        if not meant:
            raise UsageError(
                f"there is no fault {name!r}. Use some of {', '.join(dict.fromkeys((*GROUPS, *KINDS)))}, or all."
            )
        found |= meant
    return frozenset(found)


def draw_plan(asked: Iterable[str], workers: int, chance: Random, horizon_ns: int = HORIZON_NS) -> FaultPlan:
    """Draw a run's faults: each seed leaves some of the kinds out, and the others differ in number and strength.

    Raises:
        UsageError: there is no such kind.

    """
    kinds = kinds_of(asked)
    faults: list[Fault] = []
    for kind in CATALOGUE:  # drawn for every kind, each from a stream of its own, so that asking for more shifts none
        luck = Random(chance.getrandbits(64))
        if kind.name in kinds:
            faults += _draw(kind, workers, luck, horizon_ns, alone=len(kinds) == 1)
    return FaultPlan(tuple(sorted(faults, key=lambda fault: fault.at_ns)))


def _draw(kind: Kind, workers: int, luck: Random, horizon_ns: int, *, alone: bool) -> list[Fault]:
    most = int(kind.most) if kind.most >= 1 else max(2, int(kind.most * workers))
    there, number = luck.random() < 0.5, luck.randint(1, most)
    faults = []
    for _ in range(number if there or alone else 0):
        at_ns, pick, form = _early(luck, horizon_ns), luck.randrange(1 << 30), luck.choice(kind.forms)
        for_ns = int(_between(kind.for_ns, luck)) if kind.for_ns else 0
        strength = round(_between(kind.strength, luck), 4) if kind.strength else 0.0
        faults.append(Fault(kind.name, at_ns, pick, for_ns, form, strength))
    return faults


def _between(ends: tuple[float, float], luck: Random) -> float:
    """Draw a number whose logarithm is spread evenly."""
    low, high = max(ends[0], 1e-3), ends[1]
    return float(low * (high / low) ** luck.random())


def _early(luck: Random, horizon_ns: int) -> int:
    """Draw a time: once workers have started, and rather early, because small jobs are soon over."""
    return STARTED_NS + int(MS * (horizon_ns / MS) ** luck.random())


def choose(candidates: list[str], pick: int) -> str | None:
    """Choose one of what is there."""
    return candidates[pick % len(candidates)] if candidates else None
