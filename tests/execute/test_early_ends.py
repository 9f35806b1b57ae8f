"""What a task does not take to its end is ended with the task, and not when memory happens to be tidied."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from headrace.ids import StageId, TaskId
from headrace.plan.stages import RecordsSink, compile_job
from headrace.ports import TaskCancelled
from tests.execute.help import World
from tests.plan.lineage import Lineage

ENDED: list[str] = []


def left(records: Iterator[int]) -> Iterator[int]:
    try:
        yield from records
    finally:
        ENDED.append("left")


def right(records: Iterator[int]) -> Iterator[int]:
    try:
        yield from records
    finally:
        ENDED.append("right")
        raise RuntimeError("told nobody, because nobody waits for the rest")


def ninth(pair: Any) -> Any:
    if pair[0] == 9:
        raise LookupError
    return pair


def body_of(limit: int | None, function: Callable[[Any], Any]) -> Any:
    make = Lineage()
    sides = [make.partitions(make.numbers(range(10_000), 1), side) for side in (left, right)]
    tip = make.record(make.zipped(*sides), "map", function)
    (stage,) = compile_job(tip, RecordsSink(limit), result_stage=StageId(1), name="take")
    return World().body(stage.program, TaskId(StageId(1), 0))


@pytest.fixture(autouse=True)
def _untidied() -> Iterator[None]:
    ENDED.clear()
    gc.disable()
    yield
    gc.enable()


def test_when_enough_has_been_taken() -> None:
    body, port = body_of(3, repr)
    body.run()
    assert len([record for chunk in port.brought.values() for record in chunk]) == 3
    assert sorted(ENDED) == ["left", "right"]


def test_when_a_function_raises() -> None:
    body, _ = body_of(None, ninth)
    with pytest.raises(LookupError):
        body.run()
    assert sorted(ENDED) == ["left", "right"]


def test_when_the_task_is_cancelled() -> None:
    body, port = body_of(None, repr)
    port.cancel_after = 5
    with pytest.raises(TaskCancelled):
        body.run()
    assert sorted(ENDED) == ["left", "right"]
