"""The checkers of one simulated run, set up, and what they look at when all is over."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from headrace.config import MS, SECOND, Config
from headrace.errors import PromiseBroken
from headrace.ids import HostId
from headrace.sim.checkers import seen
from headrace.sim.checkers.alone import Alone
from headrace.sim.checkers.announced import AnnouncedOutputs
from headrace.sim.checkers.checkers import Checkers
from headrace.sim.checkers.durable import Durable
from headrace.sim.checkers.ends import Ends
from headrace.sim.checkers.forgotten import Forgotten
from headrace.sim.checkers.inputs import Inputs
from headrace.sim.checkers.ledger import Ledger
from headrace.sim.checkers.once import Once
from headrace.sim.checkers.watching import Watching
from headrace.sim.disasters.disasters import Healed, Struck
from headrace.sim.disk import SimDisk
from headrace.sim.liveness import Liveness
from headrace.sim.world import World
from headrace.store.layout import HOME

if TYPE_CHECKING:
    from headrace.sim.session import SimSession

LOOK_NS = 500 * MS  # between two looks, at the end, at whether all has come to its end
REST_NS = 120 * SECOND  # by when it must have, in a world that is kind
LINES_MAX = 20  # of evidence


class Checking:
    """What a session has of its checkers.

    Attributes:
        watching: where they look.

    """

    def __init__(self, world: World, disk: SimDisk, config: Config) -> None:
        self._world, self._disk = world, disk
        ledger = Ledger(world.now_ns)
        self.ends = Ends(ledger, config.schedule)
        promises = (
            Once(ledger),
            Inputs(ledger),
            AnnouncedOutputs(ledger),
            Alone(ledger),
            self.ends,
            Durable(ledger, disk.unsynced),
            Forgotten(ledger, self._files),
        )
        self.checkers = Checkers(ledger, promises, world.seed)
        self.watching = Watching(self.checkers, disk)
        self.checkers.tell = self._broken
        self.tell: Callable[[Any], None] = lambda news: None

    @property
    def broken(self) -> PromiseBroken | None:
        """The first promise that was broken."""
        return self.checkers.broken

    def _files(self) -> Iterator[str]:
        """List the files of the hosts."""
        root = f"{self._disk.root}/"
        for path in sorted(self._disk.files):
            name = path.removeprefix(root)
            if not name.startswith(f"{HOME}/"):
                yield name

    def _broken(self, broken: PromiseBroken) -> None:
        """Have it raised by whoever moves the world, from now on."""
        self.tell(broken)

        def cry() -> None:
            self._world.later(0, "promise broken", cry)
            raise broken

        self._world.later(0, "promise broken", cry)

    def attend(self, session: SimSession) -> None:
        """Look at a session from now on."""
        watching, disasters = self.watching, session.disasters
        watching.program(session.controller, session.network)
        session.files = watching.files(session.files)
        session.place.born = watching.born
        show = disasters.watch
        self.tell = show
        liveness = self.liveness = Liveness(session, self.checkers)
        self.ends.kind_ns = self._world.time_ns if disasters.healed else None

        def happened(news: Any) -> None:
            if isinstance(news, Struck) and news.fault.kind == "reboot":
                self.checkers.see(seen.PowerLost(HostId(news.victim)))
            if isinstance(news, Healed):
                self.ends.kind_ns = self._world.time_ns
                liveness.begin()
            show(news)

        disasters.watch = happened

    def rest(self, session: SimSession) -> None:
        """After the last job: let the world go on until all has come to its end, and say what has not."""
        ledger = self.checkers.ledger
        if self.broken is not None:
            if sys.exc_info()[0] is None:
                raise self.broken
            return
        if not ledger.jobs or ledger.open_jobs() or sys.exc_info()[0] is not None:
            return
        if self.checkers.unfinished() and not session.disasters.healed:
            session.mover.ask(session.disasters.heal)
        until = self._world.time_ns + REST_NS
        never = session.gate.flag()
        while (found := self.checkers.unfinished()) and self._world.time_ns < until:
            session.wait_until(never, self._world.time_ns + LOOK_NS)
        if found:
            promise = found[0][0]
            lines = [what for its, what in found if its == promise]
            more = [f"... and {len(lines) - LINES_MAX} more"] if len(lines) > LINES_MAX else []
            self.checkers.fail(promise, lines[:LINES_MAX] + more)
        self.checkers.confirm()
