"""The cluster that a run is predicted on, and what is predicted."""

from __future__ import annotations

import math

from msgspec import Struct

from headrace.config import MS, SECOND


class Cluster(Struct, frozen=True, kw_only=True):
    """What a cluster is like.

    Attributes:
        hosts: machines; 0: as many as the workers need.
        slots: workers on one machine, where `hosts` does not say; they share a disk and a link.
        bytes_s: what a machine can send, and receive, in a second.
        latency_ns: between two machines; the smallest and the largest median of a pair.
        speed: of a worker, beside those that the run was measured on.
        failure_ns: of one worker, on average; 0: none fails.
        startup_ns: from starting a worker until it is ready.
        loop_ns: of the program's loop for a task.
        price: of a worker for an hour.
        seed: of all that is drawn.

    """

    hosts: int = 0
    slots: int = 1
    bytes_s: int = 1_250_000_000
    latency_ns: tuple[int, int] = (50_000, 500_000)
    speed: float = 1.0
    failure_ns: int = 0
    startup_ns: int = 100 * MS
    loop_ns: int = 0
    price: float = 1.0
    seed: int = 0

    def hosts_for(self, workers: int) -> int:
        """How many machines so many workers are on."""
        return min(workers, self.hosts or -(-workers // self.slots))


class Prediction(Struct, frozen=True):
    """What came of one number of workers.

    Attributes:
        took_ns: from the beginning of the run to the end of its last job.
        events: that were simulated.
        failures: workers that failed.
        attempts: at tasks, of which so many were copies.
        moved_bytes: between machines, of data.
        why: it did not end; the reason.

    """

    workers: int
    hosts: int
    took_ns: int
    events: int = 0
    failures: int = 0
    attempts: int = 0
    copies: int = 0
    moved_bytes: int = 0
    why: str = ""

    @property
    def seconds(self) -> float:
        """The time; infinite if it did not end."""
        return math.inf if self.why else self.took_ns / SECOND
