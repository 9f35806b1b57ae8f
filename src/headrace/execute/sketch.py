"""How many different values there are, approximately, in little memory.

Source: Flajolet, Fusy, Gandouet and Meunier, "HyperLogLog: the analysis of a near-optimal cardinality estimation
algorithm" (2007), with the estimator of Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017),
which is right for small and for large numbers alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

from headrace.execute.kernels import hashes

BATCH = 4096
WORD = (1 << 64) - 1
HASHES = 1 << 32  # of values; above some hundred millions, many of those share one
POWER_MIN, POWER_MAX = 4, 18
ACCURACY_BEST = 0.0021  # what the most registers give


def registers_for(relative_sd: float) -> int:
    """Return the power of two of registers that an accuracy takes.

    >>> registers_for(0.05), registers_for(ACCURACY_BEST) == POWER_MAX
    (9, True)
    """
    return max(POWER_MIN, math.ceil(2 * math.log2(1.04 / relative_sd)))


class Sketch:
    """Looks at one partition's values; sketches of the same power are merged by the larger of each register."""

    def __init__(self, power: int) -> None:
        self.power = power

    def __call__(self, records: Iterator[Any]) -> bytes:
        """Look."""
        power, rest = self.power, 64 - self.power
        registers = bytearray(1 << power)
        while some := list(islice(records, BATCH)):
            for hashed in set(hashes(some)):
                mixed = mix(hashed)
                place = mixed >> rest
                rank = rest - (mixed & (1 << rest) - 1).bit_length() + 1
                if rank > registers[place]:
                    registers[place] = rank
        return bytes(registers)


def mix(hashed: int) -> int:
    """Spread 32 bits over 64, no two alike.

    Source: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (2014), the finalizer of SplitMix64.
    """
    mixed = hashed * 0x9E3779B97F4A7C15 & WORD
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & WORD
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & WORD
    return mixed ^ mixed >> 31


def estimate(sketches: list[bytes]) -> int:
    """Return how many different values the sketches have seen together."""
    registers = bytes(map(max, *sketches)) if len(sketches) > 1 else sketches[0]
    number = len(registers)
    most = 65 - (number.bit_length() - 1)  # the rank of a hash whose other bits are all 0
    total = number * _tau(1 - registers.count(most) / number)
    for rank in range(most - 1, 0, -1):
        total = (total + registers.count(rank)) / 2
    total += number * _sigma(registers.count(0) / number)
    found = number * number / (2 * math.log(2) * total)
    return round(-HASHES * math.log1p(-min(found / HASHES, 0.999)))


def _sigma(empty: float) -> float:
    """Weigh the registers that have seen nothing: x + x^2 + 2 x^4 + 4 x^8 + ..."""
    if empty == 1:
        return math.inf
    total, power, weight = empty, empty, 1.0
    while True:
        power *= power
        before, total = total, total + power * weight
        weight *= 2
        if total == before:
            return total


def _tau(below: float) -> float:
    """Weigh the registers that have seen the largest rank."""
    if below in (0, 1):
        return 0.0
    total, root, weight = 1 - below, below, 1.0
    while True:
        root = math.sqrt(root)
        weight /= 2
        before, total = total, total - (1 - root) ** 2 * weight
        if total == before:
            return total / 3
