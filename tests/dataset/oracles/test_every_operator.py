"""Every method of a dataset against an oracle: here, through simulated disasters, and while workers are killed."""

from __future__ import annotations

import functools
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.dataset import Dataset
from tests.dataset.oracles.actions import ACTIONS
from tests.dataset.oracles.keyed import KEYED
from tests.dataset.oracles.narrow import NARROW
from tests.dataset.oracles.world import PLAINS, Oracle, Plain
from tests.real.help import lines_of

ORACLES: dict[str, Oracle] = {**NARROW, **KEYED, **ACTIONS}
TESTS = Path(__file__).parents[2]

# What has no records to compare, or needs files, time or libraries: the file whose tests show what it means.
ELSEWHERE = {
    "barrier": "dataset/test_barriers.py",
    "checkpoint": "dataset/test_checkpointed_pipelines.py",
    "context": "dataset/reference/corners.txt",
    "count_approx": "dataset/test_approximate.py",
    "explain": "dataset/test_explain_in_full.py",
    "get_checkpoint_file": "dataset/test_checkpoints.py",
    "get_storage_level": "dataset/test_persisting.py",
    "id": "dataset/reference/corners.txt",
    "is_cached": "dataset/reference/corners.txt",
    "is_checkpointed": "dataset/test_checkpoints.py",
    "is_locally_checkpointed": "dataset/test_checkpoints.py",
    "local_checkpoint": "dataset/test_checkpointed_pipelines.py",
    "mean_approx": "dataset/test_approximate.py",
    "name": "dataset/test_names.py",
    "partitioner": "dataset/test_arranging.py",
    "save_as_csv": "formats/test_round_trips.py",
    "save_as_json_lines": "formats/test_round_trips.py",
    "save_as_pickle_file": "formats/test_round_trips.py",
    "save_as_text_file": "formats/test_round_trips.py",
    "set_name": "dataset/test_names.py",
    "sum_approx": "dataset/test_approximate.py",
    "to_debug_string": "dataset/test_checkpoints.py",
    "to_numpy": "formats/test_numpy_and_pandas.py",
    "to_pandas": "formats/test_numpy_and_pandas.py",
    "unpersist": "dataset/test_persisting.py",
}


def methods() -> set[str]:
    return {name for name in dir(Dataset) if not name.startswith("_")}


def test_every_method_has_an_oracle() -> None:
    """A new one belongs into `narrow`, `keyed` or `actions`; or into ELSEWHERE, with the tests that show what it means."""
    assert set(ORACLES) | set(ELSEWHERE) == methods()
    assert not set(ORACLES) & set(ELSEWHERE)


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_what_is_shown_elsewhere_is(name: str) -> None:
    assert re.search(rf"\b{name}\b", (TESTS / ELSEWHERE[name]).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(ORACLES))
def test_an_oracle_asks_the_method_that_it_is_named_after(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And notices if that is left out."""
    asked = []
    method = getattr(Dataset, name)

    def spy(*arguments: Any, **more: Any) -> Any:
        asked.append(name)
        return method(*arguments, **more)

    monkeypatch.setattr(Dataset, name, spy)
    with headrace.connect("inline://", progress=False) as ctx:
        ORACLES[name].run(SOME.world(ctx))
    assert asked


SOME = Plain(
    [[1, 2.0, -3], [], [True, 0.5, 7, 7]],
    [[(None, 3), (1, 4), ("a", 5)], [(1.0, -6), (None, 7)], []],
    [[], [(1, 8), ("b", 9), (None, 1), (None, 2)]],
    3,
)


def check(ctx: Context, plain: Plain, name: str) -> None:
    found, expected = ORACLES[name].run(plain.world(ctx)), ORACLES[name].model(plain)
    assert repr(found) == repr(expected), f"{name} of {plain}"


@pytest.fixture(scope="module")
def ctx() -> Iterator[Context]:
    with headrace.connect("inline://", progress=False) as context:
        yield context


@pytest.mark.parametrize("name", sorted(ORACLES))
@given(plain=PLAINS)
@settings(max_examples=25)
def test_inline(ctx: Context, name: str, plain: Plain) -> None:
    check(ctx, plain, name)


@given(plain=PLAINS, seed=st.integers(0, 10_000))
@settings(max_examples=4)
def test_in_simulated_worlds_that_lose_everything(plain: Plain, seed: int) -> None:
    """All of them in one world, one after the other."""
    with headrace.connect(f"sim://?workers=4&hosts=2&seed={seed}&faults=all", progress=False) as ctx:
        for name in sorted(ORACLES):
            check(ctx, plain, name)


def dying(marker: str, part: list[Any]) -> list[Any]:
    """Give a partition's records; the first to be asked for any dies of it."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return part
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.parametrize("offset", [0, *(pytest.param(offset, marks=pytest.mark.slow) for offset in range(1, 8))])
def test_while_workers_are_killed(offset: int, tmp_path: Path) -> None:
    """Every eighth operator loses the first worker that computes anything for it."""
    victims = sorted(ORACLES)[offset::8]
    with headrace.connect("local://?workers=2", progress=False) as ctx:
        for name in victims:
            world = SOME.world(ctx, functools.partial(dying, str(tmp_path / name)))
            found, expected = ORACLES[name].run(world), ORACLES[name].model(SOME)
            assert repr(found) == repr(expected), name
            assert (tmp_path / name).exists()
    # A worker that is too busy to heed a cancelled task is ended, too: not of a kill of ours, and told before.
    ended = {line["worker"] for line in lines_of(ctx.run, "worker to be killed")}
    died = [line for line in lines_of(ctx.run, "worker lost") if line["worker"] not in ended]
    assert len(died) == len(victims)
