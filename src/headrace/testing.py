"""The door to the simulated world, and disasters for real runs: tools for testing one's own jobs.

The full set (scenarios, schedules of faults, fixtures) is to come; here are the ones that the engine's own tests use.
"""

from __future__ import annotations

from typing import Any

from headrace.context import Context
from headrace.ids import HostId, WorkerId


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
