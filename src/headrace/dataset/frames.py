"""Keeps the engine's frames out of what users read when a job has failed: theirs are the ones that matter."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from headrace.errors import JobFailed

A = TypeVar("A", bound=Callable[..., Any])


def action(method: A) -> A:
    """Have a failed job's error begin at the user's call of an action."""

    @functools.wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except JobFailed as error:
            raise error.with_traceback(None) from error.__cause__

    return cast("A", run)
