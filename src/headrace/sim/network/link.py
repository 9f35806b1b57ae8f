"""Links between hosts: how long frames take on each, and whether they get through."""

from __future__ import annotations

import hashlib
import math
from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct

if TYPE_CHECKING:
    from headrace.sim.network.bandwidth import Port
    from headrace.sim.network.channel import End, Item

SPREADS = (0.1, 0.2, 0.4, 0.8)  # standard deviations of the logarithm of a latency: one for each kind of link
STEPS = 256  # of a distribution's table
UNIT = 1024  # of a table's factors

Number = TypeVar("Number", int, float)


class LinkModel(Struct, frozen=True):
    """What the links of a simulated cluster are like.

    Attributes:
        near_ns: the smallest and the largest median latency within a host; each host draws its own, as each pair does.
        far_ns: the same between two hosts.
        bytes_s: what a host may send, and also receive, in a second; all its processes share it.

    """

    near_ns: tuple[int, int] = (5_000, 30_000)
    far_ns: tuple[int, int] = (50_000, 500_000)
    bytes_s: int = 1_250_000_000


class Dial(Generic[Number]):
    """How bad something is, of which several faults may be in force: the worst counts."""

    def __init__(self, nothing: Number) -> None:
        self._nothing: Number = nothing
        self._active: list[Number] = []
        self.value: Number = nothing

    def add(self, strength: Number) -> None:
        """One more begins."""
        self._active.append(strength)
        self.value = max(self._active)

    def remove(self, strength: Number) -> None:
        """One of them ends."""
        self._active.remove(strength)
        self.value = max(self._active, default=self._nothing)


class Link:
    """The way from one host to another; the way back is another link.

    Attributes:
        median_ns, factors: the distribution of its latency: `median_ns * factors[i] / UNIT`, each `i` as likely as any.
        out, into: the ports that it begins and ends at; None within a host.
        back: the other direction.
        cuts, clogs: how many faults stop it; those that cut it break its channels if they last.
        ends: the ends of channels that send on it, in the order in which they began.

    """

    __slots__ = ("back", "blocked", "clogs", "cuts", "deaf", "ends", "factors", "into", "median_ns", "name", "out")

    def __init__(self, name: str, median_ns: int, factors: tuple[int, ...]) -> None:
        self.name, self.median_ns, self.factors = name, median_ns, factors
        self.back: Link = self
        self.out: Port[End, Item] | None = None
        self.into: Port[End, Item] | None = None
        self.cuts = self.clogs = 0
        self.blocked = False  # nothing gets through
        self.deaf = False  # who sends on it hears nothing of what became of that
        self.ends: dict[End, None] = {}

    def look(self) -> None:
        """See anew whether anything gets through."""
        self.blocked = self.cuts > 0 or self.clogs > 0
        self.deaf = self.cuts > 0 or self.back.cuts > 0


@cache
def factors_of(spread: float) -> tuple[int, ...]:
    """Return by how much a log-normal latency differs from its median, at evenly spaced quantiles, in units of 1/UNIT.

    >>> factors = factors_of(0.4)
    >>> factors[0] < factors[127] <= UNIT <= factors[128] < factors[-1]
    True
    """
    normal = NormalDist()
    return tuple(round(UNIT * math.exp(spread * normal.inv_cdf((i + 0.5) / STEPS))) for i in range(STEPS))


def draw_link(seed: int, source: str, target: str, model: LinkModel) -> Link:
    """Draw a link from the seed and its name alone, so that no link's nature depends on which others there are."""
    name = f"{source} to {target}"
    digest = hashlib.sha256(f"{seed}|link {name}".encode()).digest()
    low, high = model.near_ns if source == target else model.far_ns
    place = int.from_bytes(digest[:4], "big") / (1 << 32)
    return Link(name, round(low * (high / low) ** place), factors_of(SPREADS[digest[4] % len(SPREADS)]))
