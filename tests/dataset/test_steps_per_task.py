"""What a task costs the program does not depend on how many others there are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from headrace import Context


def steps(run: Callable[[], object]) -> int:
    """Count the lines that something takes, each as often as a loop comes to it."""
    number = 0

    def count(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal number
        number += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        run()
    finally:
        sys.settrace(before)
    return number


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_job_of_four_times_as_many_tasks_takes_four_times_the_steps(inline: Context, *, shuffled: bool) -> None:
    def job(tasks: int) -> int:
        numbers = inline.range(tasks, num_slices=tasks)
        return (numbers.key_by(lambda number: number).partition_by(2) if shuffled else numbers).count()

    job(10)
    costs = {tasks: steps(lambda tasks=tasks: job(tasks)) for tasks in (100, 400)}  # type: ignore[misc]
    assert costs[400] < 4.4 * costs[100]
