"""A failed job's traceback: the user's call, and next to nothing of the engine's."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.context import Context
from headrace.dataset import Dataset
from headrace.errors import TaskFailed

ACTIONS: dict[str, Callable[[Dataset[Any]], Any]] = {
    "collect": lambda d: d.collect(),
    "collect_as_map": lambda d: d.collect_as_map(),
    "count": lambda d: d.count(),
    "sum": lambda d: d.sum(),
    "reduce": lambda d: d.reduce(max),
    "take": lambda d: d.take(3),
    "first": lambda d: d.first(),
    "top": lambda d: d.top(3),
    "count_by_key": lambda d: d.count_by_key(),
    "count_by_value": lambda d: d.count_by_value(),
    "foreach": lambda d: d.foreach(print),
    "sorted": lambda d: d.sort_by(lambda pair: pair[0]).count(),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_that_fails_shows_one_frame_of_the_engine(inline: Context, name: str) -> None:
    broken = inline.range(4).map(lambda x: (x, 1 // 0))
    with pytest.raises(TaskFailed) as caught:
        ACTIONS[name](broken)
    _this, call, *engine = traceback.extract_tb(caught.value.__traceback__)
    assert call.name == "<lambda>"
    assert len(engine) == 1
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert f"{__file__}" in str(caught.value), "the frames of the function come with the message"


def test_so_does_writing(inline: Context, tmp_path: Path) -> None:
    with pytest.raises(TaskFailed) as caught:
        inline.range(4).map(lambda x: 1 // 0).save_as_text_file(f"{tmp_path}/out")
    assert len(traceback.extract_tb(caught.value.__traceback__)) == 2
