"""No progress while the world is kind is a bug, and is shown with the chain of who waits for what.

Progress is what brings a job nearer to its end: a task that is done, or an attempt that gets further than any did before at
its task; a meeting of a gang; a job that begins or ends.  What is done over and over counts once, so that retries that go
round and round are no progress.  The longest that an attempt was at work counts, too: a user's function may take as long as
it likes, once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from headrace.config import SECOND, Config
from headrace.errors import NoProgress
from headrace.ids import AttemptId, TaskId, WorkerId
from headrace.protocols import schedule_words as words
from headrace.sim.bodies import SimFlag
from headrace.sim.waiting import Line, attempt_waits, waiting

if TYPE_CHECKING:
    from headrace.sim.checkers.checkers import Checkers
    from headrace.sim.process import SimProcess
    from headrace.sim.session import SimSession

PATIENCE_NS = 120 * SECOND  # at least
ATTEMPTS_MAX = 1000  # and so many for each worker may end, before that is no progress
LOOK_NS = SECOND
PROMISE = "a job gets on while nothing goes wrong in its world"
LINES_MAX = 60


def patience_ns(config: Config) -> int:
    """How long nothing may happen: longer than anything that the engine waits for before it does something."""
    member, schedule = config.membership, config.schedule
    longest = max(member.hung_ns, member.ready_ns, member.suspect_ns, schedule.task_timeout_ns)
    return max(PATIENCE_NS, 3 * longest + schedule.cancel_grace_ns)


class Liveness:
    """A watcher of the program's loop that looks, now and then, at how far everybody is."""

    def __init__(self, session: SimSession, checkers: Checkers) -> None:
        self._session, self._checkers = session, checkers
        self._patience_ns = patience_ns(session.config)
        self.moved_ns = self._looked_ns = self._tried = 0
        self._done: set[object] = set()  # what has counted since the world is kind
        self._best: dict[TaskId, tuple[int, int, int, int]] = {}
        self._worked: dict[AttemptId, int] = {}  # looks at which it was at work
        session.controller.loop.watchers.append(self)
        session.world.at_rest = self._at_rest

    def begin(self) -> None:
        """The world is kind from now on."""
        self._done.clear()
        self._best.clear()
        self._worked.clear()
        self._looked_ns = self._session.world.time_ns
        self._further()

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        """See a step."""
        if machine != "schedule":
            return
        kind = type(event)
        if kind is words.Ticked:
            self._look()
        elif kind is words.AttemptClaimed:
            self._tried += 1
        elif kind is words.OutputCommitted:
            self._moved(("done", event.task))
        elif kind is words.GangStands:
            self._moved(("met", event.stage, event.met))
        elif kind is words.JobSubmitted:
            self._moved(("job", event.job))
        for effect in effects:
            if type(effect) is words.FinishJob or type(effect) is words.FailJob:
                self._moved(("ended", effect.job))

    def _moved(self, what: object) -> None:
        if what not in self._done:
            self._done.add(what)
            self._further()

    def _further(self) -> None:
        self.moved_ns, self._tried = self._session.world.time_ns, 0

    def _look(self) -> None:
        session, now = self._session, self._session.world.time_ns
        if now - self._looked_ns < LOOK_NS:
            return
        self._looked_ns = now
        if not session.disasters.healed or not self._checkers.ledger.open_jobs():
            self._further()
            return
        for process in session.place.processes.values():
            if not process.paused:
                self._measure(process)
        if now - self.moved_ns >= self._patience_ns:
            self._stands_still(f"nothing got any further for {(now - self.moved_ns) / 1e9:.0f} s")
        elif self._tried > ATTEMPTS_MAX * (1 + len(session.place.processes)):
            self._stands_still(f"{self._tried:,} attempts were made, and nothing got any further")

    def _measure(self, process: SimProcess) -> None:
        """Look how far the attempt is that a worker runs, in comparison with others at its task."""
        for attempt, running in process.loop.attempts.items():
            task = self._checkers.ledger.task_of(attempt)
            if running.report is not None or task is None:
                continue
            if process.body is not None and not process.body.ended and not is_waiting(process):
                self._worked[attempt] = self._worked.get(attempt, 0) + 1
            port = running.port
            far = (port.records, port.progress, port.read_bytes + port.written_bytes, self._worked.get(attempt, 0))
            best = self._best.get(task, (0, 0, 0, 0))
            if any(new > old for new, old in zip(far, best, strict=True)):
                self._best[task] = tuple(map(max, far, best))  # type: ignore[assignment]
                self._further()

    def _at_rest(self) -> NoProgress:
        return self._broken("nothing is going to happen any more, and somebody waits")

    def _stands_still(self, why: str) -> None:
        self._checkers.end(self._broken(why))

    def _broken(self, why: str) -> NoProgress:
        return NoProgress(PROMISE, self._session.world.seed, (f"{why}:", *self.chain()[:LINES_MAX]))

    def chain(self) -> list[str]:
        """Say who waits for what."""
        session = self._session
        return waiting(session.controller, session.world.time_ns, self._ask)

    def _ask(self, worker: WorkerId, attempt: AttemptId) -> Iterator[Line]:
        """Look into a worker."""
        session = self._session
        process = session.place.processes.get(worker)
        if process is None:
            yield 0, f"{worker} has ended, and the program was not told"
            return
        if process.paused:
            yield 0, f"{worker} is stopped"
        yield from attempt_waits(process.loop, attempt, process.phase, process.clock.now_ns())
        asked = {
            state.asked_of for fetch in process.loop.plane.fetches.values() for state in fetch.states if state.asked
        }
        for name in ("program", *sorted(asked)):
            yield 0, self._channel(process, name)

    def _channel(self, process: SimProcess, name: str) -> str:
        """Say how the channel from one process to another is."""
        ends = [end for end in process.network.ends.values() if end.far.network.name == name]
        if not ends:
            there = "" if name in self._session.wire.networks else f", and {name} has ended"
            return f"no channel leads from {process.id} to {name}{there}"
        end = ends[-1]
        said = [f"the channel from {process.id} to {name} is {'open' if end.open else 'not open yet'}"]
        if end.given_up or not end.far.alive:
            said.append("one side has given it up")
        if end.link.blocked or end.link.back.blocked:
            said.append("nothing gets through")
        if end.stopped or end.far.stopped:
            said.append(f"{len(end.stopped) + len(end.far.stopped)} frames are held back")
        elif end.coming or end.far.coming:
            said.append(f"{len(end.coming) + len(end.far.coming)} frames are on their way")
        else:
            said.append("nothing is on its way")
        return ", ".join(said)


def is_waiting(process: SimProcess) -> bool:
    """Whether a body waits for something that is to come to it."""
    flag = process.waits
    return isinstance(flag, SimFlag) and not flag.is_set()
