"""How many different values there are, approximately, in little memory.

Source: Flajolet, Fusy, Gandouet and Meunier, "HyperLogLog: the analysis of a near-optimal cardinality estimation
algorithm" (2007), with the correction of small numbers by linear counting.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

from headrace.execute.kernels import hashes

BATCH = 4096
WORD = (1 << 64) - 1


def registers_for(relative_sd: float) -> int:
    """Return the power of two of registers that an accuracy takes.

    >>> registers_for(0.05)
    9
    """
    return max(4, min(18, math.ceil(2 * math.log2(1.04 / relative_sd))))


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
    bias = {16: 0.673, 32: 0.697, 64: 0.709}.get(number, 0.7213 / (1 + 1.079 / number))
    found = bias * number * number / sum(2.0**-rank for rank in registers)
    if found <= 2.5 * number and (empty := registers.count(0)):
        return round(number * math.log(number / empty))
    return round(found)
