"""A join with one key that holds half of all rows: as it comes, and with skew="auto"."""

from __future__ import annotations

from typing import Any

import headrace
from bench.data import Library
from bench.timing import Report, in_turn, middle
from headrace.protocols import claims

ROWS, KEYS = 2_000_000, 200_000
URL = "local://?workers=2&broadcast_bytes=0"  # the other side is taken for too large to be sent to every worker


class Longest:
    """A watcher that keeps how long the longest task took."""

    def __init__(self) -> None:
        self.ran_ns = 0

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        """Look at one step."""
        for effect in effects:
            if isinstance(effect, claims.Committed):
                self.ran_ns = max(self.ran_ns, effect.ran_ns)


def measure(library: Library, report: Report, rounds: int) -> None:
    """Join two million rows with two hundred thousand."""
    del library
    longest = Longest()
    tasks: dict[str | None, float] = {}
    with headrace.connect(URL, progress=False, watchers=[longest]) as ctx:
        left = ctx.range(ROWS, num_slices=8).map(lambda row: (0 if row % 2 else row % KEYS, row))
        right = ctx.range(KEYS, num_slices=4).map(lambda key: (key, -key))

        def run(skew: Any) -> None:
            longest.ran_ns = 0
            assert left.join(right, 8, skew=skew).count() == ROWS
            tasks[skew] = longest.ran_ns / 1e9

        jobs = {"plain": lambda: run(None), "auto": lambda: run("auto")}
        seconds = {name: middle(times) for name, times in in_turn(rounds, jobs).items()}
    what = f"join of {ROWS:,} rows, half of one key, with {KEYS:,}"
    report.row(f"{what}: as it comes", seconds["plain"], f"s; the longest task took {tasks[None]:.2f} s")
    report.row(f'{what}: skew="auto"', seconds["auto"], f"s; the longest task took {tasks['auto']:.2f} s")
