"""The checkers of one simulated run, set up, and what they look at when all is over."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from headrace.config import MS, SECOND, Config
from headrace.errors import PromiseBroken
from headrace.ids import HostId, OperatorId
from headrace.plan.levels import StorageLevel
from headrace.sim.checkers import seen
from headrace.sim.checkers.alone import Alone
from headrace.sim.checkers.announced import AnnouncedOutputs
from headrace.sim.checkers.checkers import Checkers
from headrace.sim.checkers.durable import Durable
from headrace.sim.checkers.ends import Ends
from headrace.sim.checkers.forgotten import Forgotten
from headrace.sim.checkers.inputs import Inputs
from headrace.sim.checkers.kept import Held, Kept
from headrace.sim.checkers.ledger import Ledger
from headrace.sim.checkers.once import Once
from headrace.sim.checkers.present import Present
from headrace.sim.checkers.watching import Watching
from headrace.sim.disasters.disasters import Healed, Struck
from headrace.sim.disk import SimDisk
from headrace.sim.liveness import Liveness
from headrace.sim.world import World
from headrace.store.layout import HOME

if TYPE_CHECKING:
    from headrace.sim.session import SimSession

WORD_NS = 50 * MS  # until what the program has let go of last has come about everywhere, if all goes well
LOOK_NS = 200 * MS  # between two looks, at the end, at whether all has come to its end
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
        self._held: Callable[[], Iterable[Held]] = tuple
        self._kept = Kept(ledger, lambda: self._held())
        promises = (
            Once(ledger),
            Inputs(ledger),
            AnnouncedOutputs(ledger),
            Alone(ledger),
            self.ends,
            Durable(ledger, disk.unsynced),
            Forgotten(ledger, self._files),
            Present(ledger, config.membership),
            self._kept,
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
        self._watch_kept(session)
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

    def _watch_kept(self, session: SimSession) -> None:
        """Know what the program wants kept, and what workers hold."""
        controller, processes = session.controller, session.place.processes
        keep, uncache = controller.keep, controller.uncache

        def keeps(operator: OperatorId, level: StorageLevel) -> None:
            self._kept.keep(operator, level)
            keep(operator, level)

        def uncaches(operator: OperatorId) -> None:
            self._kept.give_up(operator)
            uncache(operator)

        setattr(controller, "keep", keeps)  # noqa: B010
        setattr(controller, "uncache", uncaches)  # noqa: B010
        self._held = lambda: [(p.id, p.host, key) for p in processes.values() for key in p.loop.cache.contents()]

    def rest(self, session: SimSession) -> None:
        """After the last job: let the world go on until all has come to its end, and say what has not."""
        ledger = self.checkers.ledger
        if self.broken is not None:
            if sys.exc_info()[0] is None:
                raise self.broken
            return
        if not ledger.jobs or ledger.open_jobs() or sys.exc_info()[0] is not None:
            return
        never = session.gate.flag()
        session.wait_until(never, self._world.time_ns + WORD_NS)
        if self.checkers.unfinished() and not session.disasters.healed:
            session.mover.ask(session.disasters.heal)
        until = self._world.time_ns + REST_NS
        while (found := self.checkers.unfinished()) and self._world.time_ns < until:
            session.wait_until(never, self._world.time_ns + LOOK_NS)
        if found:
            promise = found[0][0]
            lines = [what for its, what in found if its == promise]
            more = [f"... and {len(lines) - LINES_MAX} more"] if len(lines) > LINES_MAX else []
            self.checkers.fail(promise, lines[:LINES_MAX] + more)
        self.checkers.confirm()
