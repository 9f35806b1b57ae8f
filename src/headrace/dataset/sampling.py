"""Records drawn at random, from a seed that is chosen when the plan is made."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from headrace.dataset import actions
from headrace.dataset.arguments import whole
from headrace.dataset.arranging import by_partition
from headrace.dataset.engine import Engine
from headrace.errors import UsageError
from headrace.execute.sampling import Bernoulli, Between, Poisson, Stratified, oversampled, shuffled
from headrace.plan.hashing import short
from headrace.plan.operators import Operator


def _seed(seed: int | None) -> int:
    return secrets.randbits(32) if seed is None else whole(seed, "seed", -(1 << 62))


def _fraction(value: Any, name: str, most: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= most or math.isinf(number):
        limit = "at most 1" if most == 1 else "finite"
        raise UsageError(f"{name} must be a number of at least 0 and {limit}, not {short(value)}.")
    return number


def sample(engine: Engine, source: Operator, fraction: float, seed: int | None, *, replace: bool) -> Operator:
    """Take each record with the same chance."""
    number = _fraction(fraction, "fraction", math.inf if replace else 1)
    draw = (Poisson if replace else Bernoulli)(number, _seed(seed))
    return by_partition(engine, source, draw, "sample", indexed=True, keeps_keys=True)


def random_split(engine: Engine, source: Operator, weights: Sequence[float], seed: int | None) -> list[Operator]:
    """Deal records to several datasets."""
    numbers = [_fraction(weight, "each weight", math.inf) for weight in weights]
    total = sum(numbers)
    if not 0 < total < math.inf:
        raise UsageError("random_split needs weights that are not all 0, and not so large that their sum overflows.")
    chosen = _seed(seed)
    bounds = [0.0, *(below / total for below in accumulate(numbers))]
    bounds[-1] = max(bounds[-1], 1.0)
    return [
        by_partition(engine, source, Between(low, high, chosen), "random_split", indexed=True, keeps_keys=True)
        for low, high in pairwise(bounds)
    ]


def sample_by_key(
    engine: Engine, source: Operator, fractions: Mapping[Any, float], seed: int | None, *, replace: bool
) -> Operator:
    """Take each pair with its key's chance."""
    most = math.inf if replace else 1
    numbers = {key: _fraction(value, f"the fraction of {short(key)}", most) for key, value in fractions.items()}
    draw = Stratified(numbers, _seed(seed), replace=replace)
    return by_partition(engine, source, draw, "sample_by_key", indexed=True, keeps_keys=True)


def take_sample(engine: Engine, source: Operator, number: int, seed: int | None, *, replace: bool) -> list[Any]:
    """Bring so many records: a sample that is a little too large, drawn again while it is too small, and cut."""
    number = whole(number, "num", 0)
    chosen = _seed(seed)
    total = actions.count(engine, source, "take_sample") if number else 0
    if not total:
        return []
    if not replace and number >= total:
        return shuffled(actions.collect(engine, source, "take_sample"), chosen)
    fraction = oversampled(number, total, replace=replace)
    for again in range(1 << 30):
        drawn = sample(engine, source, fraction, chosen + again, replace=replace)
        found = actions.collect(engine, drawn, "take_sample")
        if len(found) >= number:
            return shuffled(found, chosen)[:number]
    raise AssertionError("a sample that is too small again and again is as good as impossible")
