"""What a number of workers is worth: the measures of parallel computing, as docs/glossary.md defines them.

Source: Grama, Gupta, Karypis, Kumar, "Introduction to Parallel Computing" (2003), chapter 5; Karp and Flatt, "Measuring
parallel processor performance" (1990); Amdahl (1967); Gustafson (1988).
"""

from __future__ import annotations

import math


def speedup(alone: float, together: float) -> float:
    """How many times faster: T(1) / T(p).

    >>> speedup(12.0, 3.0)
    4.0
    """
    return alone / together


def efficiency(alone: float, together: float, workers: int) -> float:
    """What share of the workers' time does what one worker would have to do: S(p) / p.

    >>> efficiency(12.0, 3.0, 8)
    0.5
    """
    return speedup(alone, together) / workers


def cost(together: float, workers: int) -> float:
    """What is paid for, p * T(p), in seconds of one worker if the time is in seconds.

    >>> cost(3.0, 8)
    24.0
    """
    return workers * together


def serial_fraction(alone: float, together: float, workers: int) -> float:
    """The experimentally determined serial fraction of Karp and Flatt; NaN for one worker, of which it says nothing.

    It is the part of T(1) that would have to be serial for Amdahl's law to give this speedup.  Where it grows with the
    number of workers, it is not serial work that bounds the speedup, but what grows with them: overhead, uneven tasks.

    >>> round(serial_fraction(10.0, amdahl(10.0, 0.2, 4), 4), 9)
    0.2
    """
    if workers == 1:
        return math.nan
    return (1 / speedup(alone, together) - 1 / workers) / (1 - 1 / workers)


def amdahl(alone: float, serial: float, workers: int) -> float:
    """T(p) of Amdahl's law, where the fraction `serial` of T(1) cannot be shared.

    >>> amdahl(10.0, 0.2, 4)
    4.0
    """
    return alone * (serial + (1 - serial) / workers)
