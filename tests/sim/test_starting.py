"""Workers that are ended before they are there: the place tells of it, and they never come."""

from __future__ import annotations

import pytest

import headrace
from headrace.ids import HostId, WorkerId
from headrace.ports import Exit
from headrace.sim.place import Supervisor
from headrace.sim.session import SimSession


class Listener:
    """Notes who has ended, and tells the controller."""

    def __init__(self, inner: Supervisor) -> None:
        self.inner = inner
        self.told: list[tuple[WorkerId, int | None, bool]] = []

    def exited(self, worker: WorkerId, exit_: Exit) -> None:
        self.told.append((worker, exit_.signal, exit_.asked))
        self.inner.exited(worker, exit_)

    def launch_failed(self, worker: WorkerId, why: str, *, passing: bool = False) -> None:
        self.inner.launch_failed(worker, why)

    def host_lost(self, host: HostId) -> None:
        self.inner.host_lost(host)


@pytest.mark.parametrize("later_ns", [0, 1_000_000])
def test_a_worker_that_is_killed_while_it_starts_is_told_of_once(later_ns: int) -> None:
    with headrace.connect("sim://?workers=1&seed=5&check=no", progress=False) as ctx:
        session = ctx._session
        assert isinstance(session, SimSession)
        assert session.place.supervisor is not None
        listener = session.place.supervisor = Listener(session.place.supervisor)
        session.place.launch(WorkerId("late"), HostId("h0"))
        session.world.later(later_ns, "kills", lambda: session.place.kill(WorkerId("late")))
        assert ctx.range(10_000, num_slices=4).sum() == sum(range(10_000))
        assert listener.told == [("late", 9, True)]
        assert session.place.pid(WorkerId("late")) is None
