"""Makes a plan of faults smaller while it still brings about the same.

Source: Zeller & Hildebrandt, Simplifying and Isolating Failure-Inducing Input (2002), for `ddmin`; then single faults are
made shorter, weaker and earlier, one at a time, as QuickCheck shrinks values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from msgspec.structs import replace

from headrace.config import MS
from headrace.sim.faults import BY_NAME, STARTED_NS, Fault, FaultPlan

# Which is the first of some plans that still fails; None if none does.
Fails = Callable[[Sequence[FaultPlan]], int | None]


class OutOfTime(Exception):
    """No time is left to try more plans: raised by `Fails`."""


def shrink(plan: FaultPlan, fails: Fails, keep: Callable[[FaultPlan], None] = lambda plan: None) -> FaultPlan:
    """Return a smaller plan that still fails.

    Args:
        fails: tries plans, in this order.
        keep: is told each time that a smaller one has been found.

    >>> def crash(plans):
    ...     return next((i for i, p in enumerate(plans) if any(f.kind == "crash" for f in p.faults)), None)
    >>> whole = FaultPlan((Fault("pause", 5, for_ns=9), Fault("crash", 77_123_456), Fault("loss", 9)))
    >>> shrink(whole, crash).describe()
    ['crash at 60.0 ms']

    """
    best = plan

    def better(plans: Sequence[FaultPlan]) -> bool:
        nonlocal best
        plans = [one for one in plans if one != best]
        found = fails(plans) if plans else None
        if found is not None:
            best = plans[found]
            keep(best)
        return found is not None

    try:
        if better([FaultPlan(())]):
            return best  # it takes no fault at all
        _fewer(lambda: best, better)
        for number in range(len(best.faults)):
            for made in SIMPLER:
                _simplify(number, made, lambda: best, better)
        _fewer(lambda: best, better)
    except OutOfTime:
        pass
    return best


def _fewer(best: Callable[[], FaultPlan], better: Callable[[Sequence[FaultPlan]], bool]) -> None:
    """Leave out as many faults as can be: a half of them, a quarter, ... one (`ddmin`)."""
    parts = 2
    while len(best().faults) > 1:
        faults = best().faults
        parts = min(parts, len(faults))
        cuts = [len(faults) * i // parts for i in range(parts + 1)]
        slices = [(faults[a:b], (*faults[:a], *faults[b:])) for a, b in pairwise(cuts)]
        if better([FaultPlan(only) for only, _ in slices]):
            parts = 2
        elif parts > 2 and better([FaultPlan(without) for _, without in slices]):
            parts = max(parts - 1, 2)
        elif parts >= len(faults):
            return
        else:
            parts *= 2


def _simplify(
    number: int,
    made: Callable[[Fault], Iterator[Fault]],
    best: Callable[[], FaultPlan],
    better: Callable[[Sequence[FaultPlan]], bool],
) -> None:
    faults = best().faults
    simpler = [fault for fault in made(faults[number]) if fault != faults[number]]
    better([_in_order(FaultPlan((*faults[:number], fault, *faults[number + 1 :]))) for fault in simpler])


def _in_order(plan: FaultPlan) -> FaultPlan:
    return FaultPlan(tuple(sorted(plan.faults, key=lambda fault: fault.at_ns)))


def _shorter(fault: Fault) -> Iterator[Fault]:
    shortest = BY_NAME[fault.kind].for_ns
    if shortest is not None:
        at = shortest[0]
        while at < fault.for_ns:
            yield replace(fault, for_ns=at)
            at *= 4


def _weaker(fault: Fault) -> Iterator[Fault]:
    weakest = BY_NAME[fault.kind].strength
    if weakest is not None:
        for share in (0.0, 0.25, 0.5):
            strength = round(weakest[0] + share * (fault.strength - weakest[0]), 4)
            if strength < fault.strength:
                yield replace(fault, strength=strength)


def _commoner(fault: Fault) -> Iterator[Fault]:
    if fault.kind != "crash":
        yield Fault("crash", fault.at_ns, fault.pick, form=BY_NAME["crash"].forms[0])


def _plainer(fault: Fault) -> Iterator[Fault]:
    first = BY_NAME[fault.kind].forms[0]
    if fault.form not in ("", first):
        yield replace(fault, form=first)


def _picking_less(fault: Fault) -> Iterator[Fault]:
    for pick in (0, 1, 2, 3, fault.pick % 20):
        if pick < fault.pick:
            yield replace(fault, pick=pick)


def _rounder(fault: Fault) -> Iterator[Fault]:
    for unit in (100, 10, 1):
        for at_ns in (STARTED_NS, fault.at_ns // (unit * MS) * unit * MS, -(-fault.at_ns // (unit * MS)) * unit * MS):
            if at_ns > 0 and (at_ns < fault.at_ns or (at_ns % (unit * MS) == 0 and fault.at_ns % (unit * MS))):
                yield replace(fault, at_ns=at_ns)


SIMPLER = (_commoner, _plainer, _shorter, _weaker, _picking_less, _rounder)
