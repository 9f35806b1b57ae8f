"""The door to the simulated world, and disasters for real runs: tools for testing one's own jobs (docs/simulate.md).

Simulated: `run_simulated` and `run_seeds` run a function under failures that a `Scenario` says or a seed draws; the fixture
`simulated` does so in tests with pytest.  On worker processes, too: `CRASH`, a record at which a worker dies; `kill_worker`
and `kill_host`.
"""

from __future__ import annotations

from typing import Any

from headrace.campaign.scenario import (
    Scenario,
    ScenarioFailed,
    Simulated,
    crash,
    fault,
    lose_host,
    partition,
    pause,
    run_seeds,
    run_simulated,
)
from headrace.context import Context
from headrace.execute.crashing import CRASH
from headrace.ids import HostId, WorkerId
from headrace.sim.faults import Fault, FaultPlan, read_plan, write_plan

__all__ = [
    "CRASH",
    "Fault",
    "FaultPlan",
    "Recording",
    "Scenario",
    "ScenarioFailed",
    "Simulated",
    "crash",
    "fault",
    "kill_host",
    "kill_worker",
    "lose_host",
    "partition",
    "pause",
    "read_plan",
    "run_seeds",
    "run_simulated",
    "write_plan",
]


def kill_worker(ctx: Context, worker: str) -> None:
    """End a worker's process at once, as a disaster would."""
    ctx._session.kill_worker(WorkerId(worker))


def kill_host(ctx: Context, host: str) -> None:
    """Lose a virtual host: all its workers, and its disk."""
    ctx._session.kill_host(HostId(host))


class Recording:
    """A watcher that keeps every step, to replay it.

    >>> from headrace.protocols.claims import Claims, Ticked
    >>> recording = Recording()
    >>> recording("claims", Ticked(1), [])
    >>> recording.replay({"claims": Claims()})
    """

    def __init__(self) -> None:
        self.steps: list[tuple[str, Any, list[Any]]] = []

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        """Keep one step."""
        self.steps.append((machine, event, list(effects)))

    def replay(self, machines: dict[str, Any]) -> None:
        """Give fresh machines the same events.

        Raises:
            AssertionError: one of them asked for something else than it did then.

        """
        for number, (name, event, effects) in enumerate(self.steps):
            if name in machines:
                again = machines[name].step(event)
                assert again == effects, f"step {number}: {name} answered {event} with {again}, not {effects}"
