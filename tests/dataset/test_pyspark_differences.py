"""What docs/pyspark-differences.md says: each row names tests that are there, and what no other test shows is shown here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import headrace
from headrace.context import Context
from headrace.errors import UsageError

ROOT = Path(__file__).parents[2]


def test_every_test_that_it_names_is_there() -> None:
    text = (ROOT / "docs" / "pyspark-differences.md").read_text()
    sources = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    named = re.findall(r"`(test_\w+)(\.py)?`", text)
    assert len(named) > 15
    for name, is_file in named:
        assert f"{name}.py" in sources if is_file else any(f"def {name}(" in source for source in sources.values()), (
            name
        )


def test_every_operator_that_it_names_is_there_unless_it_says_otherwise() -> None:
    text = (ROOT / "docs" / "pyspark-differences.md").read_text()
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    for what, _, here, *_ in rows[2:]:
        for name in re.findall(r"`([a-z_]+)\b", what):
            there = hasattr(headrace.Dataset, name) or hasattr(headrace.Context, name)
            assert there != here.strip().startswith("not there"), name


@pytest.mark.parametrize("name", ["take", "top", "take_ordered"])
def test_what_pyspark_lets_pass_is_refused(inline: Context, name: str) -> None:
    with pytest.raises(UsageError):
        getattr(inline.range(3), name)(-1)
