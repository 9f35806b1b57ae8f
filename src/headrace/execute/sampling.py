"""Drawing records at random, the same ones whenever a partition is computed again."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from headrace.execute.helpers import same as itself
from headrace.plan.hashing import has_nan, one_nan

RARE = 0.2  # a fraction below this is drawn by leaping over what is not
FAR = 2.0**62  # a leap beyond any partition


def chance_of(seed: int, partition: int) -> random.Random:
    """Return the random numbers of a partition: others than those of the next one, and the same in every process."""
    return random.Random(f"{seed}/{partition}")


class Bernoulli:
    """Each record with the same chance, at most once."""

    def __init__(self, fraction: float, seed: int) -> None:
        self.fraction, self.seed = fraction, seed

    @property
    def words(self) -> str:
        """How much is taken."""
        return f"{self.fraction:.4g} of the records"

    def __call__(self, partition: int, records: Iterator[Any]) -> Iterator[Any]:
        """Draw."""
        draw = chance_of(self.seed, partition).random
        if self.fraction >= RARE:
            fraction = self.fraction
            return (record for record in records if draw() < fraction)
        return self._leaping(draw, records) if self.fraction > 0 else iter(())

    def _leaping(self, draw: Callable[[], float], records: Iterator[Any]) -> Iterator[Any]:
        """Draw how many records to leap over: geometric, as if each had been tossed for."""
        miss = math.log1p(-self.fraction)
        while True:
            leap = int(min(math.log(1.0 - draw()) / miss, FAR))
            found = list(islice(records, leap, leap + 1))
            if not found:
                return
            yield found[0]


class Poisson:
    """Each record any number of times, so that it is drawn `mean` times on the average."""

    def __init__(self, mean: float, seed: int) -> None:
        self.mean, self.seed = mean, seed

    @property
    def words(self) -> str:
        """How much is taken."""
        return f"each record {self.mean:.4g} times on the average"

    def __call__(self, partition: int, records: Iterator[Any]) -> Iterator[Any]:
        """Draw."""
        draw = chance_of(self.seed, partition).random
        return (record for record in records for _ in range(poisson(self.mean, draw)))


class Between:
    """Records whose number, drawn for each, lies in a range: ranges that do not overlap share no record."""

    def __init__(self, low: float, high: float, seed: int) -> None:
        self.low, self.high, self.seed = low, high, seed

    @property
    def words(self) -> str:
        """How much is taken."""
        return f"{self.high - self.low:.4g} of the records"

    def __call__(self, partition: int, records: Iterator[Any]) -> Iterator[Any]:
        """Draw."""
        draw, low, high = chance_of(self.seed, partition).random, self.low, self.high
        return (record for record in records if low <= draw() < high)


class Stratified:
    """Pairs, each with its key's chance; keys that have none are left out."""

    def __init__(self, fractions: Mapping[Any, float], seed: int, *, replace: bool) -> None:
        self.fractions, self.seed, self.replace = dict(fractions), seed, replace

    @property
    def words(self) -> str:
        """Of what something is taken."""
        return f"of {len(self.fractions)} key{'s' * (len(self.fractions) != 1)}"

    def __call__(self, partition: int, records: Iterator[Any]) -> Iterator[Any]:
        """Draw."""
        draw = chance_of(self.seed, partition).random
        fractions = {one_nan(key): fraction for key, fraction in self.fractions.items()}
        same: Callable[[Any], Any] = one_nan if any(map(has_nan, fractions)) else itself
        if self.replace:
            for pair in records:
                for _ in range(poisson(fractions.get(same(pair[0]), 0.0), draw)):
                    yield pair
        else:
            for pair in records:
                if draw() < fractions.get(same(pair[0]), 0.0):
                    yield pair


def poisson(mean: float, draw: Callable[[], float]) -> int:
    """Draw from a Poisson distribution.

    Source: Knuth, The Art of Computer Programming, volume 2, section 3.4.1, algorithm Q; a large mean is cut into pieces,
    because its exponential would be zero.

    >>> poisson(0.0, random.Random(1).random)
    0
    """
    number = 0
    while mean > 0:
        piece = min(mean, 500.0)
        mean -= piece
        limit, product = math.exp(-piece), draw()
        while product > limit:
            number += 1
            product *= draw()
    return number


def oversampled(wanted: int, total: int, *, replace: bool) -> float:
    """Return a fraction that draws at least `wanted` of `total` records, but for one case in ten thousand.

    Source: Meng, "Scalable Simple Random Sampling and Stratified Sampling" (2013).

    >>> 0.1 < oversampled(100, 1000, replace=False) < 0.2
    True
    """
    fraction = wanted / total
    if replace:
        deviations = 9 if wanted < 12 else 5
        return fraction + deviations * math.sqrt(fraction / total)
    gamma = -math.log(0.00005) / total
    return min(1.0, fraction + gamma + math.sqrt(gamma * gamma + 2 * gamma * fraction))


def shuffled(records: Iterable[Any], seed: int) -> list[Any]:
    """Return records in an order drawn at random."""
    found = list(records)
    random.Random(seed).shuffle(found)
    return found
