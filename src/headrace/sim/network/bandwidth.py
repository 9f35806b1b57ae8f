"""How the flows that use a host's link share its bandwidth."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from headrace.config import SECOND
from headrace.sim.world import World

QUANTUM = 64 << 10  # bytes that a flow may send before another has its turn
PS = 1000  # picoseconds in a nanosecond

Flow = TypeVar("Flow")
Item = TypeVar("Item")


class Port(Generic[Flow, Item]):
    """One direction of a host's link: the flows that have something to send take turns, of one quantum each.

    Nothing is sent faster than the rate.  A frame of up to a quantum that finds no more than a quantum before it has its
    time at once, in O(1) and without an event of its own; others wait in line, for one event a quantum.  So of two flows
    that both have something to send all the time neither is ever ahead by more than three quanta, and a small frame waits
    for one quantum of each other flow and two that have their time already at most, however large what they send is.

    Source: deficit round robin (Shreedhar & Varghese 1995), with frames that may be cut anywhere.
    """

    def __init__(self, world: World, label: str, rate: int, sent: Callable[[Flow, int, Item, int], None]) -> None:
        self._world, self._label, self._sent = world, label, sent
        self._full_rate = rate
        self._shares: list[float] = []  # of the rate, while faults leave only so much of it
        self._turns: deque[Flow] = deque()
        self._backlog: dict[Flow, deque[_Waiting[Item]]] = {}
        self._free_ns = 0  # when all that has had its time is through
        self._set_rate()

    def _set_rate(self) -> None:
        rate = max(1, int(self._full_rate * min(self._shares, default=1.0)))
        self._byte_ps = max(1, SECOND * PS // rate)
        self._ahead_ns = self.time_of(QUANTUM)

    def narrow(self, share: float) -> None:
        """Leave only a share of the rate."""
        self._shares.append(share)
        self._set_rate()

    def widen(self, share: float) -> None:
        """End what `narrow` began."""
        self._shares.remove(share)
        self._set_rate()

    def time_of(self, size: int) -> int:
        """Return how long so many bytes take, in nanoseconds, when nothing else is sent."""
        return (size * self._byte_ps + PS - 1) // PS

    def take(self, flow: Flow, size: int, item: Item, begin_ns: int) -> int | None:
        """Send a frame, whose bytes were there from `begin_ns` on.

        Return when it is through; or None if it has to wait for others: then `sent` is called when that can be told.
        """
        free = self._free_ns
        start = free if free > begin_ns else begin_ns
        if not self._backlog:
            now = self._world.time_ns
            done = start + (size * self._byte_ps + PS - 1) // PS
            if done <= now or (size <= QUANTUM and start - now <= self._ahead_ns):
                self._free_ns = done
                return done
            self._free_ns = start
            self._world.later(start - now, self._label, self._turn)
        mine = self._backlog.get(flow)
        if mine is None:
            mine = self._backlog[flow] = deque()
            self._turns.append(flow)
        mine.append(_Waiting(size, item))
        return None

    def _turn(self) -> None:
        """Give the next flow its time."""
        flow = self._turns.popleft()
        mine, room, at = self._backlog[flow], QUANTUM, self._free_ns
        through: list[tuple[_Waiting[Item], int]] = []
        while mine and room:
            frame = mine[0]
            part = min(room, frame.left)
            room, frame.left, at = room - part, frame.left - part, at + self.time_of(part)
            if not frame.left:
                through.append((mine.popleft(), at))
        self._free_ns = at
        if mine:
            self._turns.append(flow)
        else:
            del self._backlog[flow]
        if self._turns:
            self._world.later(at - self._world.time_ns, self._label, self._turn)
        for frame, done in through:
            self._sent(flow, frame.size, frame.item, done)


class _Waiting(Generic[Item]):
    """A frame that waits, and how much of it is still to be sent."""

    __slots__ = ("item", "left", "size")

    def __init__(self, size: int, item: Item) -> None:
        self.size, self.item, self.left = size, item, size
