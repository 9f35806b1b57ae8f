"""What depends on its input alone is never accused: every operator, in any world, with sets and dictionaries in records."""

from __future__ import annotations

import operator
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.ids import StageId, TaskId
from headrace.loops.verifying import is_drawn
from headrace.observe.stories import find, read
from tests.dataset.oracles.test_every_operator import ORACLES, SOME
from tests.dataset.oracles.world import PLAINS, Plain
from tests.real.help import lines_of
from tests.verify.jobs import LINES, as_sets, honest

UNORDERED = {"foreach", "foreach_partition"}  # what they add up comes in the order in which tasks end


def sweep(url: str, plain: Plain) -> Counter[str]:
    """Run every operator with all of its tasks verified; return how many were, or why not."""
    with headrace.connect(f"{url}verify_determinism=all", progress=False) as ctx:
        for name in sorted(ORACLES):
            found = ORACLES[name].run(plain.world(ctx))
            if name not in UNORDERED:
                assert repr(found) == repr(ORACLES[name].model(plain)), name
    return tallied(ctx)


def tallied(ctx: Context) -> Counter[str]:
    found: Counter[str] = Counter()
    for line in lines_of(ctx.run, "verified"):
        assert "differs" not in line
        found.update(same=line["same"])
        found.update(line.get("skipped", {}))
    return found


def test_every_operator() -> None:
    found = sweep("inline://?", SOME)
    assert found.pop("same") > 400
    assert set(found) == {
        f"{name} does something besides returning" for name in ("foreach", "foreach_partition", "pipe")
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "url", ["local://?workers=2&", "local://?workers=3&hosts=2&memory=2MB&", "sim://?workers=4&hosts=2&"]
)
@given(plain=PLAINS)
@settings(max_examples=2)
def test_every_operator_in_any_world(url: str, plain: Plain) -> None:
    assert sweep(url, plain)["same"] > 200


@pytest.mark.slow
@given(plain=PLAINS, seed=st.integers(0, 10_000))
@settings(max_examples=3)
def test_every_operator_while_everything_is_lost(plain: Plain, seed: int) -> None:
    """What some were given may be lost with its host: those are not verified, and nobody is accused."""
    assert sweep(f"sim://?workers=4&hosts=2&seed={seed}&faults=all&", plain)["same"] > 200


def busy(ctx: Context, out: Path) -> Any:
    """Sets and dictionaries through shuffles, caches, joins and sorts that spill, and into files."""
    lines = ctx.parallelize(LINES * 40, 4)
    words = lines.flat_map(honest)
    kept = lines.flat_map(as_sets).map(lambda words: (len(words) % 5, words)).cache()
    sets = kept.reduce_by_key(operator.or_).map_values(sorted)
    texts = words.map(lambda word: (word, {"of": word[:3], "more": word * 50}))
    joined = texts.group_by_key().map_values(len).join(texts, 3)
    joined.sort_by(repr).save_as_pickle_file(out / "pickles")
    words.sort_by(lambda word: word[::-1]).save_as_text_file(out / "texts", "gzip")
    return sets.collect(), kept.count(), joined.count()


@pytest.mark.parametrize("url", ["local://?workers=2&hosts=2&memory=2MB", "sim://?seed=3&workers=4&hosts=2"])
def test_a_job_with_sets_that_spills(url: str, tmp_path: Path) -> None:
    with headrace.connect(url, progress=False, verify_determinism=0.5) as ctx:
        busy(ctx, tmp_path)
    found = tallied(ctx)
    assert found["same"] > 10
    assert set(found) == {"same"}


def test_a_simulated_run_is_the_same_each_time() -> None:
    """Tasks are run again in real processes, of which virtual time knows nothing."""

    def trace(verified: str) -> object:
        url = f"sim://?seed=5&workers=4&hosts=2&faults=all&verify_determinism={verified}"
        with headrace.connect(url, progress=False) as ctx:
            lines = ctx.parallelize(LINES, 6)
            found = lines.flat_map(honest).map(lambda word: (word[:3], 1)).reduce_by_key(operator.add, 3).collect()
        *_, last = read(find(ctx.run))
        return last["trace"], last["events"], found

    assert trace("all") == trace("all")


@given(st.integers(0, 1000), st.floats(0, 1))
def test_tasks_are_drawn_by_name_and_as_many_as_asked_for(stage: int, share: float) -> None:
    drawn = {partition for partition in range(2000) if is_drawn(TaskId(StageId(stage), partition), share)}
    assert abs(len(drawn) / 2000 - share) < 0.06
    more = {
        partition for partition in range(2000) if is_drawn(TaskId(StageId(stage), partition), min(1.0, share + 0.1))
    }
    assert drawn <= more
    assert not any(is_drawn(TaskId(StageId(stage), partition), 0.0) for partition in range(2000))
