"""Promise: as many workers as were asked for are there, on the hosts where they were wanted; silence only suspects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from headrace.config import MembershipConfig
from headrace.ids import HostId, WorkerId
from headrace.protocols import membership
from headrace.sim.checkers import seen
from headrace.sim.checkers.checker import Checker
from headrace.sim.checkers.ledger import Ledger


class Present(Checker):
    """Knows who was welcomed and has not ended, and when each was last heard."""

    promise = "as many workers as were asked for are there, and silence only suspects"

    def __init__(self, ledger: Ledger, config: MembershipConfig) -> None:
        super().__init__(ledger)
        self._config = config
        self._wanted: dict[str, int] = {}  # by host, whichever of its lives it is in
        self._there: dict[WorkerId, HostId] = {}
        self._heard_ns: dict[WorkerId, int] = {}
        self._suspects: set[WorkerId] = set()
        self._given_up = False
        self.events = {
            membership.Opened: lambda event, _: self._wanted.update(event.wanted),
            membership.Ready: lambda event, _: self._heard(event.worker, event.now_ns),
            membership.Heard: lambda event, _: self._heard(event.worker, event.now_ns),
            membership.Ticked: self._ticked,
        }
        self.effects = {
            membership.Welcome: self._welcomed,
            membership.Suspect: lambda e: self._suspects.add(e.worker),
            membership.Trust: lambda e: self._suspects.discard(e.worker),
            membership.GiveUp: lambda _: setattr(self, "_given_up", True),
        }
        self.seen = {seen.WorkerEnded: lambda s: self._ended(s.worker)}

    def _welcomed(self, effect: membership.Welcome) -> None:
        if effect.worker not in self.ledger.dead:  # its greeting may come after its end
            self._there[effect.worker] = effect.host

    def _heard(self, worker: WorkerId, now_ns: int) -> None:
        self._heard_ns[worker] = now_ns

    def _ended(self, worker: WorkerId) -> None:
        self._there.pop(worker, None)
        self._suspects.discard(worker)

    def _ticked(self, event: membership.Ticked, effects: list[Any]) -> None:
        for effect in effects:
            if isinstance(effect, membership.Kill | membership.Suspect) and effect.worker in self._there:
                silent_ns = event.now_ns - self._heard_ns[effect.worker]
                killed = isinstance(effect, membership.Kill)
                if silent_ns < (self._config.hung_ns if killed else self._config.suspect_ns):
                    what = "killed" if killed else "suspected"
                    self.broken(f"{effect.worker} is {what}, and was heard {silent_ns / 1e9:.1f} s ago")

    def unfinished(self) -> Iterator[str]:
        """List hosts with too few workers or too many, and who is still suspected."""
        if self._given_up:
            return
        found = Counter(host.partition(".")[0] for host in self._there.values())
        for host in sorted({*self._wanted, *found}):
            if found[host] != self._wanted.get(HostId(host), 0):
                yield f"host {host} has {found[host]} workers, and {self._wanted.get(HostId(host), 0)} are wanted"
        for worker in sorted(self._suspects):
            yield f"{worker} is still suspected"
