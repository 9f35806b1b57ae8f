"""One seed of one job: run it under a simulated disaster, and say what was wrong with it, if anything was."""

from __future__ import annotations

import signal
from typing import Any

import headrace
from headrace import config
from headrace.config import SECOND
from headrace.errors import PromiseBroken
from headrace.sim import bodies
from tests.mutants.jobs import JOBS, Job

WORKERS, HOSTS = 6, 3
RECORD_NS = 1_000_000  # that a record takes here: faults are drawn for jobs that take longer than these
HUNG_S = 5
PATIENCE_NS = 300 * SECOND  # of virtual time for a job to end once the world is kind


class Hung(BaseException):
    """A seed takes for ever, and virtual time stands still."""


class Stuck(AssertionError):
    """A job has not ended though the world is kind."""


def prepare() -> None:
    """Have small things take long, and let pieces of blocks be small; in a process that is for this alone."""
    bodies.RECORD_NS = RECORD_NS
    config.OPTIONS["piece"] = ("data", "piece_bytes", config._some_bytes)
    config.SCHEMES["sim"] = frozenset(config.OPTIONS)


def address(job: Job, faults: str, seed: int, options: str = "") -> str:
    """Return where a seed runs."""
    said = {"workers": f"{WORKERS}", "hosts": f"{HOSTS}", "seed": f"{seed}", "faults": faults}
    said |= dict(part.split("=") for part in f"{job.options}&{options}".split("&") if part)
    return "sim://?" + "&".join(f"{name}={value}" for name, value in said.items())


def outcome(job: Job, faults: str, seed: int, options: str = "") -> str:
    """Run a seed; return what was wrong, in words, or nothing."""
    expected = job.expected()
    try:
        with headrace.connect(address(job, faults, seed, options), progress=False) as ctx:
            session: Any = ctx._session
            session.world.later(session.plan.healed_ns + PATIENCE_NS, "patience ends", _give_up)
            found = job.run(ctx)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        said = error.evidence[0] if isinstance(error, PromiseBroken) and error.evidence else str(error).strip()
        return f"{type(error).__name__}: {said.partition(chr(10))[0]}"
    return "" if found == expected else f"Wrong: {_difference(found, expected)}"


def _give_up() -> None:
    raise Stuck("the job has not ended")


def _difference(found: Any, expected: Any) -> str:
    if isinstance(found, tuple) and isinstance(expected, tuple) and len(found) == len(expected):
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            if one != other:
                return f"part {number}: {str(one)[:60]} instead of {str(other)[:60]}"
    return f"{str(found)[:60]} instead of {str(expected)[:60]}"


def search(name: str, faults: str, seeds: int, options: str = "") -> tuple[int | None, str, int]:
    """Try seeds from 0 on until one finds something; return it, what it found, and how many were tried."""
    signal.signal(signal.SIGVTALRM, _hung)
    for seed in range(seeds):
        signal.setitimer(signal.ITIMER_VIRTUAL, HUNG_S, 1)  # and again: a body may catch the first
        by = outcome(JOBS[name], faults, seed, options)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        if by:
            return seed, by, seed + 1
    return None, "", seeds


def _hung(signum: int, frame: object) -> None:
    raise Hung(f"it has taken {HUNG_S} s of processor time")
