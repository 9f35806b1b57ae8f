"""What the program calls a dataset is said wherever datasets are shown, and changes nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.context import Context
from headrace.errors import UsageError


def test_a_name_is_shown_and_is_this_datasets_alone(inline: Context) -> None:
    numbers = inline.range(4, num_slices=2).cache()
    assert numbers.set_name("what was counted") is numbers
    halves = numbers.map(lambda x: (x // 2, x)).reduce_by_key(max, 3)
    assert [numbers.name, halves.name] == ["what was counted", None]
    first, second, third = halves.to_debug_string().splitlines()
    assert first.startswith("(3) reduce_by_key")
    assert second.strip().startswith("+-(2) map")
    assert "'what was counted'" in third
    assert "what was counted" in numbers.explain()
    assert "what was counted" not in first + second
    numbers.set_name("again")
    assert numbers.name == "again"
    assert sorted(halves.collect()) == [(0, 1), (1, 3)]


@pytest.mark.parametrize("name", [None, "", 5])
def test_a_name_is_some_text(inline: Context, name: Any) -> None:
    with pytest.raises(UsageError, match="set_name needs some text"):
        inline.range(4).set_name(name)
