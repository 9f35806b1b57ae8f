"""Which records nobody can change: those may be shown again and again without a copy."""

from __future__ import annotations

import datetime
import decimal
import fractions
from itertools import chain
from typing import Any

from headrace.execute.groups import Group

DEPTH_MAX = 8  # of containers within containers
ATOMS = {
    str,
    bytes,
    int,
    float,
    complex,
    bool,
    type(None),
    datetime.date,
    datetime.datetime,
    datetime.timedelta,
    decimal.Decimal,
    fractions.Fraction,
}
CONTAINERS = {tuple, frozenset, Group}


def is_frozen(records: list[Any]) -> bool:
    """Whether records consist of nothing but plain values, tuples, frozensets and groups of such, all held in memory.

    >>> is_frozen([("a", (1, 2.0)), ("b", None)]), is_frozen([("a", [1])])
    (True, False)
    """
    level: list[Any] = records
    for _ in range(DEPTH_MAX):
        kinds = set(map(type, level))
        inner = kinds - ATOMS
        if not inner:
            return True
        if not inner <= CONTAINERS:
            return False
        if kinds - {tuple}:
            if Group in kinds and any(type(value) is Group and value.on_disk for value in level):
                return False
            level = [value for value in level if type(value) in CONTAINERS]
        level = list(chain.from_iterable(level))
    return False
