"""Planted bugs: all of them apply, some are found right here, and without a bug the same jobs survive."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from headrace import config
from headrace.sim import bodies
from tests.mutants import trial
from tests.mutants.__main__ import NO_BUG, Found, run, show
from tests.mutants.bugs import MUTANTS
from tests.mutants.jobs import JOBS
from tests.mutants.mutant import ANY
from tests.mutants.planting import Edit, NotPlanted, check, plant

SAMPLE = ("lost-retry", "double-count", "stale-table")


@pytest.mark.parametrize("name", MUTANTS)
def test_every_bug_applies(name: str) -> None:
    """One that does not says so, rather than to be looked for in an engine that is sound."""
    check(MUTANTS[name].edits)


def test_there_are_many_of_all_kinds() -> None:
    assert len(MUTANTS) >= 30
    assert {edit.file.split("/")[0] for mutant in MUTANTS.values() for edit in mutant.edits} >= {
        "protocols",
        "loops",
        "store",
        "execute",
        "dataset",
    }
    assert {mutant.job for mutant in MUTANTS.values()} <= set(JOBS)
    for mutant in MUTANTS.values():
        assert mutant.first < mutant.within


@pytest.mark.parametrize("old", ["no such piece of source", "import"])
def test_a_bug_that_does_not_apply_says_so(old: str) -> None:
    with pytest.raises(NotPlanted, match="not once"):
        check([Edit("protocols/claims.py", old, "")])


def test_a_bug_that_is_no_python_says_so() -> None:
    with pytest.raises(NotPlanted, match="no Python"):
        check([Edit("protocols/claims.py", "class Claims:", "class Claims")])


def test_a_bug_that_comes_too_late_says_so() -> None:
    import headrace.protocols.claims  # noqa: F401

    with pytest.raises(NotPlanted, match="before its bug"):
        plant([Edit("protocols/claims.py", "class Claims:", "class Claims():")])


def test_some_are_found_and_without_them_nothing_is() -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda name: run(name, MUTANTS[name].scenario, MUTANTS[name].within), SAMPLE))
        sound = list(
            pool.map(lambda one: run(NO_BUG, MUTANTS[one[0]].scenario, one[1].tried), zip(SAMPLE, found, strict=True))
        )
    for name, one in zip(SAMPLE, found, strict=True):
        assert one.seed is not None, f"{name} was not found in {one.tried} seeds"
    assert [one.by for one in sound] == [""] * len(SAMPLE)


@pytest.mark.parametrize(
    ("with_bug", "without", "said"),
    [
        (Found(None, "", 5, 0.0), Found(None, "", 5, 0.0), "was not found within 5 seeds"),
        (Found(3, "Wrong", 4, 0.0), Found(3, "Wrong", 4, 0.0), "without any bug"),
    ],
)
def test_what_is_wrong_is_said(
    with_bug: Found, without: Found, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.mutants.__main__.run", lambda name, *_: without if name == NO_BUG else with_bug)
    assert show([MUTANTS["lost-retry"]], None, 1) == 1
    assert said in capsys.readouterr().out


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `prepare` changes is changed back."""
    monkeypatch.setattr(bodies, "RECORD_NS", bodies.RECORD_NS)
    monkeypatch.setattr(config, "OPTIONS", dict(config.OPTIONS))
    monkeypatch.setattr(config, "SCHEMES", dict(config.SCHEMES))
    trial.prepare()


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("name", JOBS)
def test_each_job_survives(name: str) -> None:
    found = trial.search(name, ANY, 2)
    assert found == (None, "", 2), f"repeat it: .venv/bin/python -m tests.mutants --seeds 2 --child - {name} {ANY} ''"
