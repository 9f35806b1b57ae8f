"""All disasters of one world: has faults happen when they are due, keeps what they hit, and heals the world."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from msgspec import Struct

from headrace.sim.faults import KINDS, Fault, FaultPlan
from headrace.sim.world import World


class Struck(Struct, frozen=True):
    """A fault has hit something.  Watchers see it as a step of the machine "world".

    Attributes:
        victim: what it hit: a process, a host, a path between two hosts, or a file.
        during: what the victim was doing, as far as it does anything.

    """

    fault: Fault
    victim: str
    during: str = ""


class Healed(Struct, frozen=True):
    """The world is kind from now on.  Watchers see it as a step of the machine "world"."""


Handler = Callable[[Fault], Struck | None]  # None: nobody was there for it to happen to


class Realm(Protocol):
    """What faults of some kinds happen to: the machines, the network, the disks."""

    @property
    def handlers(self) -> dict[str, Handler]:
        """What carries out each kind of fault.  What ends by itself sees to its end."""
        ...

    def heal(self) -> None:
        """End whatever still goes wrong, and let nothing go wrong by itself any more."""
        ...


class Disasters:
    """Has the faults of a plan happen.

    Attributes:
        struck: which faults hit something.
        healed: whether the world is kind by now.

    """

    def __init__(self, world: World, plan: FaultPlan, realms: Iterable[Realm]) -> None:
        self.plan, self._world, self._realms = plan, world, tuple(realms)
        self.struck: list[Struck] = []
        self.healed = not plan.faults
        self.watch: Callable[[Struck | Healed], None] = lambda news: None
        self._handlers = {kind: handler for realm in self._realms for kind, handler in realm.handlers.items()}
        forgotten = set(KINDS) - set(self._handlers)
        assert not forgotten, f"faults that nothing carries out: {sorted(forgotten)}"

    def begin(self) -> None:
        """The first job begins: faults are due from now on."""
        for fault in self.plan.faults:
            self._world.later(fault.at_ns, f"fault {fault.kind}", lambda fault=fault: self.befall(fault))  # type: ignore[misc]
        if self.plan.faults:
            self._world.later(self.plan.healed_ns, "world heals", self.heal)

    def befall(self, fault: Fault) -> None:
        """Let a fault happen, to something that is there."""
        struck = self._handlers[fault.kind](fault)
        if struck is not None:
            self.struck.append(struck)
            self.watch(struck)

    def heal(self) -> None:
        """From now on nothing goes wrong."""
        for realm in self._realms:
            realm.heal()
        self.healed = True
        self.watch(Healed())
