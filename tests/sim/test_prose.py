"""The story of a simulated run reads as prose: what struck, what that cost, how it healed, and how it ended.

`REWRITE=1 .venv/bin/pytest tests/sim/test_prose.py` writes the prose of today beside the stories, to be read as a diff.
"""

from __future__ import annotations

import json
import operator
import os
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace.cli.main import main
from headrace.observe.prose import STRUCK, prose
from headrace.observe.stories import find
from headrace.sim.faults import CATALOGUE, Fault, FaultPlan, write_plan

HERE = Path(__file__).parent / "stories"
STORIES = sorted(HERE.glob("*.jsonl"))
PLAN = FaultPlan(
    (Fault("crash", 66_000_000, 3), Fault("pause", 70_000_000, 1, 50_000_000), Fault("host", 90_000_000, 2))
)


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_a_recorded_story(path: Path) -> None:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    said = "".join(f"{sentence}\n" for sentence in prose(lines))
    golden = path.with_suffix(".txt")
    if os.environ.get("REWRITE"):
        golden.write_text(said, encoding="utf-8")
    assert said == golden.read_text(encoding="utf-8")


def test_there_are_words_for_every_kind_of_fault() -> None:
    assert {kind.name for kind in CATALOGUE} == set(STRUCK)


def story(tmp_path: Path, capsys: pytest.CaptureFixture[str], **options: Any) -> tuple[list[dict[str, Any]], str]:
    """Run a job among disasters; return its story, as lines and in words."""
    plan = tmp_path / "plan.json"
    plan.write_bytes(write_plan(PLAN))
    asked = "".join(f"&{name}={value}" for name, value in options.items())
    with headrace.connect(f"sim://?workers=6&hosts=3&seed=3&plan={plan}{asked}", progress=False) as ctx:
        ctx.range(40000, num_slices=12).map(lambda x: (x % 7, 1)).reduce_by_key(operator.add).collect()
    assert main(["story", str(find(ctx.run))]) == 0
    said = capsys.readouterr().out
    assert main(["story", "--json", str(find(ctx.run))]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()], said


def test_a_story_of_today(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines, said = story(tmp_path, capsys)
    struck = [line for line in lines if line["what"] == "disaster"]
    assert [line["kind"] for line in struck] == ["crash", "pause", "host"]
    (lost,) = [line for line in lines if line["what"] == "host lost"]
    assert lost["host"] == struck[2]["victim"]
    assert f"Disaster: {struck[0]['victim']} crashed" in said
    assert f"It cost {struck[0]['victim']}" in said
    assert f"Disaster: {struck[1]['victim']} stopped, as if it were asleep" in said
    assert f"Disaster: host {struck[2]['victim']} was lost, with its disk" in said
    assert "Job 1 (collect) was done." in said
    assert f"(trace: {lines[-1]['trace']}): {lines[-1]['totals']['attempts']} attempts were made" in said
    assert said.endswith("No promise was broken, as far as the checkers saw.\n")
    at = [float(line.split()[0]) for line in said.splitlines() if not line.startswith(" " * 12)]
    assert at == sorted(at)
    assert len(at) <= len(lines)
