"""Virtual time: a heap of things that will happen, and nothing else that moves.

Everything that looks like chance comes from streams derived from the seed and a purpose, so that a new draw for one purpose
shifts no other.  What happened is folded into a trace hash: the same seed gives the same hash in any process.

Source: the simulation frameworks of FoundationDB and TigerBeetle, as described by their authors; the code is ours.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Callable

from headrace.errors import InternalError

REST = "the simulated world has come to rest while somebody waits"


FOLDED = 1024  # events that are folded into the hash at once


class World:
    """A clock that jumps from one event to the next."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.time_ns = 0
        self.events = 0
        self.at_rest: Callable[[], Exception] = lambda: InternalError(REST)  # what is wrong when nothing will happen
        self._heap: list[tuple[int, int, str, Callable[[], None]]] = []
        self._named = 0
        self._streams: dict[str, random.Random] = {}
        self._trace = hashlib.blake2b(digest_size=8)
        self._told: list[str] = []  # what is not in it yet

    def now_ns(self) -> int:
        """Return the time: the world is its own clock."""
        return self.time_ns

    def chance(self, purpose: str) -> random.Random:
        """Return the stream of luck for one purpose."""
        if purpose not in self._streams:
            digest = hashlib.sha256(f"{self.seed}|{purpose}".encode()).digest()
            self._streams[purpose] = random.Random(int.from_bytes(digest, "big"))
        return self._streams[purpose]

    def later(self, delay_ns: int, label: str, happen: Callable[[], None]) -> None:
        """Have something happen.  Of what is due at the same time, the first asked for comes first."""
        self._named += 1
        heapq.heappush(
            self._heap, (self.time_ns + delay_ns if delay_ns > 0 else self.time_ns, self._named, label, happen)
        )

    def step(self) -> None:
        """Let the next thing happen."""
        if not self._heap:
            raise self.at_rest()
        self.time_ns, _, label, happen = heapq.heappop(self._heap)
        self.events += 1
        self._told.append(f"{self.time_ns} {label}\n")
        if len(self._told) == FOLDED:
            self._fold()
        happen()

    def _fold(self) -> None:
        """Fold what was told into the hash: many events at once, which is faster."""
        self._trace.update("".join(self._told).encode())
        self._told.clear()

    @property
    def trace(self) -> str:
        """The hash of all that has happened so far."""
        self._fold()
        return self._trace.hexdigest()
