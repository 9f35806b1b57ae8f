"""Arguments of operators and actions, checked where the user gave them."""

from __future__ import annotations

import operator
from typing import Any

from headrace.errors import UsageError
from headrace.plan.hashing import short


def whole(value: Any, name: str, least: int) -> int:
    """Take a whole number, NumPy's included.

    Raises:
        UsageError: it is something else, or too small.

    >>> whole(True, "num_slices", 1)
    1

    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise UsageError(f"{name} cannot be {short(value)}. Give it a whole number of at least {least}.")
    return number
