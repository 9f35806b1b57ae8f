"""A function of one's own under simulated failures, in this very process: for tests."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from headrace.campaign.address import simulated
from headrace.campaign.shrink import OutOfTime, shrink
from headrace.campaign.words import Cluster
from headrace.config import parse_duration
from headrace.context import Context, connect
from headrace.errors import UsageError
from headrace.observe.prose import prose
from headrace.observe.story import Line, Story
from headrace.plan.hashing import short
from headrace.sim.disasters import Struck
from headrace.sim.faults import BY_NAME, Fault, FaultPlan, kinds_of, write_plan
from headrace.sim.session import SimSession
from headrace.store.archive import ENVIRONMENT

T = TypeVar("T")
NOTHING: Any = object()  # no result: the function raised


class Scenario(Struct, frozen=True, kw_only=True):
    """A simulated cluster, and what goes wrong in it.

    Attributes:
        seed: decides everything that is left to chance.
        faults: kinds or groups of faults that are drawn from the seed, such as ("crash", "disk") or ("all",); or faults
            that are said one by one: (crash(at="70ms"), pause(at="80ms", lasts="2s")).
        options: of the address, such as {"memory": "4MB"}.

    """

    workers: int = 8
    hosts: int = 4
    seed: int = 0
    faults: tuple[str | Fault, ...] = ("all",)
    options: tuple[tuple[str, str], ...] | dict[str, str] = ()

    @property
    def cluster(self) -> Cluster:
        """What it runs on, with the kinds of faults that are drawn."""
        kinds = tuple(fault for fault in self.faults if isinstance(fault, str))
        kinds_of(kinds)
        options = tuple(self.options.items()) if isinstance(self.options, dict) else self.options
        return Cluster(workers=self.workers, hosts=min(self.hosts, self.workers), faults=kinds, options=options)

    @property
    def plan(self) -> FaultPlan | None:
        """The faults that are said one by one; None if they are to be drawn.

        Raises:
            UsageError: some are said, and others are to be drawn.

        """
        said = [fault for fault in self.faults if isinstance(fault, Fault)]
        if said and len(said) < len(self.faults):
            raise UsageError(
                "faults are either kinds, to be drawn, or said one by one: leave out the ones or the others."
            )
        return FaultPlan(tuple(sorted(said, key=lambda fault: fault.at_ns))) if said or not self.faults else None


class Simulated(Struct, Generic[T]):
    """What a function did in a simulated world.

    Attributes:
        result: what it returned.
        story: what happened, in lines.
        lines: the same, as data (docs/story.md).
        hits: the faults that hit something.
        plan: the faults that were to happen.
        trace: the hash of all that happened.

    """

    scenario: Scenario
    result: T
    story: tuple[str, ...]
    lines: tuple[Line, ...]
    hits: tuple[Struck, ...]
    plan: FaultPlan
    trace: str
    events: int
    simulated_s: float


class ScenarioFailed(AssertionError):
    """A function did something else under failures than without: `__cause__` is what it raised, if it did.

    Attributes:
        scenario: what brings it about: give it to `run_simulated`.
        plan: the faults.
        outcome: what is known of the run.

    """

    def __init__(self, message: str, scenario: Scenario, plan: FaultPlan, outcome: Simulated[Any]) -> None:
        self.scenario, self.plan, self.outcome = scenario, plan, outcome
        super().__init__(message)


class _Wrong(Exception):
    """What was wrong, in words."""


Check = Callable[[Any], Any]


def run_simulated(
    function: Callable[[Context], T],
    scenario: Scenario | None = None,
    *,
    check: Check | None = None,
    shrink_s: float = 10.0,
) -> Simulated[T]:
    """Run a function in a simulated world, and compare with what it returns when nothing fails.

    Args:
        function: is given a context, and returns something that can be compared.
        scenario: the cluster and the faults; by default eight workers, and all kinds.
        check: is given the result, and raises or returns False if that is wrong, instead of the comparison.
        shrink_s: seconds to look for fewer faults that bring it about, too; 0: none.

    Raises:
        ScenarioFailed: the result is wrong, or the function raised.

    >>> run_simulated(lambda ctx: ctx.range(100).sum(), Scenario(seed=7)).result
    4950

    """
    scenario = scenario or Scenario()
    expected = NOTHING if check is not None else _faultless(function, scenario)
    return _run(function, scenario, check, shrink_s, expected)


def run_seeds(
    function: Callable[[Context], T],
    scenario: Scenario | None = None,
    *,
    seeds: int | Iterable[int] = 100,
    check: Check | None = None,
    shrink_s: float = 10.0,
) -> list[Simulated[T]]:
    """Run a function under many seeds, as `run_simulated` does under one.

    Args:
        seeds: how many, from that of the scenario on; or which.

    Raises:
        ScenarioFailed: under one of them the result is wrong, or the function raised.

    >>> runs = run_seeds(lambda ctx: ctx.range(100).sum(), seeds=3)
    >>> [run.scenario.seed for run in runs]
    [0, 1, 2]

    """
    scenario = scenario or Scenario()
    wanted = range(scenario.seed, scenario.seed + seeds) if isinstance(seeds, int) else seeds
    expected = NOTHING if check is not None else _faultless(function, scenario)
    return [_run(function, replace(scenario, seed=seed), check, shrink_s, expected) for seed in wanted]


def _faultless(function: Callable[[Context], T], scenario: Scenario) -> T:
    outcome, error = _once(function, replace(scenario, faults=()))
    if error is not None:
        error.add_note("It did so with no failure at all, in a simulated world that is kind.")
        raise error
    return outcome.result


def _run(
    function: Callable[[Context], T], scenario: Scenario, check: Check | None, shrink_s: float, expected: Any
) -> Simulated[T]:
    def wrong(scenario: Scenario) -> tuple[Simulated[T], BaseException | None]:
        outcome, error = _once(function, scenario)
        return outcome, error if error is not None else _look(outcome.result, check, expected)

    outcome, error = wrong(scenario)
    if error is None:
        return outcome
    small, plan = outcome, outcome.plan
    if shrink_s > 0:
        until = time.monotonic() + shrink_s

        def fails(plans: Sequence[FaultPlan]) -> int | None:
            for number, plan in enumerate(plans):
                if time.monotonic() > until:
                    raise OutOfTime
                if type(wrong(replace(scenario, faults=plan.faults))[1]) is type(error):
                    return number
            return None

        plan = shrink(outcome.plan, fails)
        if plan != outcome.plan:
            small, error = wrong(replace(scenario, faults=plan.faults))
            assert error is not None, "the same plan and seed do the same"
    raise ScenarioFailed(
        _message(error, scenario, small, outcome.plan), replace(scenario, faults=plan.faults), plan, small
    ) from (None if isinstance(error, _Wrong) else error)


def _look(result: Any, check: Check | None, expected: Any) -> BaseException | None:
    if check is None:
        if _same(result, expected):
            return None
        return _Wrong(f"it returns {short(result, 200)}, and without failures {short(expected, 200)}")
    try:
        said = check(result)
    except Exception as error:
        return error
    return _Wrong(f"the check says no to {short(result, 200)}") if said is False else None


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except ValueError:  # arrays
        return bool((one == other).all()) and one.shape == other.shape


def _message(error: BaseException, scenario: Scenario, outcome: Simulated[Any], drawn: FaultPlan) -> str:
    plan = outcome.plan
    said = str(error) if isinstance(error, _Wrong) else f"it raises {type(error).__name__}: {error}"
    faults = ", ".join(written(fault) for fault in plan.faults) + ("," if len(plan.faults) == 1 else "")
    some = [f"workers={scenario.workers}, hosts={scenario.hosts}, seed={scenario.seed}, faults=({faults})"]
    if scenario.options:
        some.append(f"options={scenario.options!r}")
    return "\n".join(
        [
            f"with seed {scenario.seed}, {said}",
            f"what it takes, of {len(drawn.faults)} faults: {'; '.join(plan.describe()) or 'none, another order of events'}",
            *(f"  {line}" for line in outcome.story[-40:]),
            f"again: run_simulated(function, Scenario({', '.join(some)}))",
        ]
    )


def written(fault: Fault) -> str:
    """Return how a fault is written in a scenario.

    >>> written(crash(at="70ms", pick=3))
    'fault("crash", at="70ms", pick=3)'
    """
    parts = [f'"{fault.kind}"', f'at="{fault.at_ns / 1e6:.15g}ms"']
    parts += [f"pick={fault.pick}"] if fault.pick else []
    parts += [f'lasts="{fault.for_ns / 1e6:.15g}ms"'] if fault.for_ns else []
    parts += [f'form="{fault.form}"'] if fault.form else []
    parts += [f"strength={fault.strength!r}"] if fault.strength else []
    return f"fault({', '.join(parts)})"


def _once(function: Callable[[Context], T], scenario: Scenario) -> tuple[Simulated[T], BaseException | None]:
    """Run a function in one world; return what is known of that, and what it raised."""
    plan, lines = scenario.plan, list[Line]()
    story = Story(lines.append)
    with tempfile.TemporaryDirectory(prefix="headrace-scenario-") as folder, _stories_in(folder):
        path = None
        if plan is not None:
            path = os.path.join(folder, "plan.json")
            with open(path, "wb") as file:
                file.write(write_plan(plan))
        address = simulated("sim://", scenario.cluster, scenario.seed, path)
        result: Any = NOTHING
        error: BaseException | None = None
        context = connect(address, progress=False, watchers=[story])
        session = context._session
        assert isinstance(session, SimSession)
        story.set_clock(session.now_ns)
        try:
            with context:
                result = function(context)
        except Exception as raised:
            error = raised
    summary = session.summary()
    outcome = Simulated(
        scenario=scenario,
        result=result,
        story=tuple(prose(lines)),
        lines=tuple(lines),
        hits=tuple(session.disasters.struck),
        plan=session.plan,
        trace=summary["trace"],
        events=summary["events"],
        simulated_s=summary["simulated_s"],
    )
    return outcome, error


@contextmanager
def _stories_in(folder: str) -> Iterator[None]:
    """Keep stories elsewhere while the block runs: those of a hundred seeds would take the place of the user's own."""
    before = os.environ.get(ENVIRONMENT)
    os.environ[ENVIRONMENT] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ[ENVIRONMENT]
        else:
            os.environ[ENVIRONMENT] = before


# Faults, said one by one.


def fault(
    kind: str,
    *,
    at: str,
    lasts: str | None = None,
    pick: int = 0,
    form: str | None = None,
    strength: float | None = None,
) -> Fault:
    """Say what goes wrong, and when.

    Args:
        kind: see `headrace.sim.faults.CATALOGUE`, or docs/simulate.md.
        at: how long after the first job began, such as "70ms"; the first workers are there after some 30ms.
        lasts: such as "2s", for kinds that end by themselves; the shortest of its kind unless said.
        pick: chooses among the workers, hosts or files that are there then.
        form: one of the kind's; the first unless said.
        strength: for kinds that have degrees; the strongest unless said.

    Raises:
        UsageError: there is no such kind, or it has no such form, length or strength.

    >>> print(fault("slow", at="80ms", lasts="2s", strength=0.5))
    slow (constant) at 80.0 ms for 2000.0 ms, strength 0.5

    """
    if kind not in BY_NAME:
        kinds_of((kind,))
        raise UsageError(f"{kind!r} is a group of faults. Name one of {', '.join(sorted(kinds_of((kind,))))}.")
    known = BY_NAME[kind]
    if lasts is not None and known.for_ns is None:
        raise UsageError(f"{kind} does not last. Leave out lasts=.")
    if strength is not None and known.strength is None:
        raise UsageError(f"{kind} has no strength. Leave it out.")
    if form is not None and form not in known.forms:
        raise UsageError(f"{kind} has no form {form!r}. Use one of {', '.join(known.forms)}.")
    for_ns = parse_duration(lasts) if lasts is not None else known.for_ns[0] if known.for_ns is not None else 0
    if strength is None:
        strength = known.strength[1] if known.strength is not None else 0.0
    return Fault(kind, parse_duration(at), pick, for_ns, form or known.forms[0], strength)


def crash(*, at: str, pick: int = 0) -> Fault:
    """Have a worker's process end at once.

    >>> print(crash(at="70ms"))
    crash at 70.0 ms
    """
    return Fault("crash", parse_duration(at), pick)


def lose_host(*, at: str, pick: int = 0) -> Fault:
    """Have a host be lost, with its workers and its disk.

    >>> print(lose_host(at="70ms"))
    host at 70.0 ms
    """
    return Fault("host", parse_duration(at), pick)


def pause(*, at: str, lasts: str = "2s", pick: int = 0) -> Fault:
    """Have a worker's process stop, and go on later as if nothing had happened.

    >>> print(pause(at="70ms", lasts="3s"))
    pause at 70.0 ms for 3000.0 ms
    """
    return fault("pause", at=at, lasts=lasts, pick=pick)


def partition(*, at: str, lasts: str = "2s", pick: int = 0, form: str = "both ways") -> Fault:
    """Have two hosts, or a host and the program, not reach each other.

    >>> print(partition(at="70ms"))
    partition (both ways) at 70.0 ms for 2000.0 ms
    """
    return fault("partition", at=at, lasts=lasts, pick=pick, form=form)
