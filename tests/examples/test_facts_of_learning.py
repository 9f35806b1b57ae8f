"""What the examples learn from rows of the world, against other ways to the same."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import SHARED
from tests.examples import plain
from tests.examples.help import run, written
from tests.facts import facts

ML = SHARED / "ml"


@pytest.mark.parametrize(
    ("rounds", "near"), [(20, 2e-2), pytest.param(300, 3e-4, marks=pytest.mark.slow)], ids=["20", "300"]
)
def test_logistic_regression_of_incomes(tmp_path: Path, rounds: int, near: float) -> None:
    """Near the minimum that two other methods found; the weights of the last rounds differ more than what they say."""
    known = facts("ml")["a9a_logistic_regression"]
    said = run(
        "logistic_regression", tmp_path, ML / "a9a.gz", "--test", ML / "a9a.t.gz", "--rounds", rounds, seconds=150
    )
    objective = float(said[1].removeprefix("objective "))
    least = known["minimum_value"]
    assert least * (1 - 1e-6) <= objective <= least * (1 + near)
    for line, judged in [(said[0], known["train"]), (said[2], known["test_a9a.t"])]:
        words = line.replace(",", "").split()
        assert float(words[2]) == pytest.approx(judged["accuracy"], abs=2e-3 + near / 5)
        assert float(words[5]) == pytest.approx(judged["mean_log_loss"], rel=near)


@pytest.mark.parametrize("k", [7])
def test_kmeans_of_forests(tmp_path: Path, k: int) -> None:
    """The same clusters as those of a loop in one process, row by row."""
    known = facts("ml")["covtype.scale.train.small"]
    path = ML / "covtype.scale.train.small"
    said = run("kmeans", tmp_path, path, "--k", k, "--output", "found")
    rounds, cost, where = plain.kmeans(path, k)
    found = written(tmp_path / "found")
    assert [int(cluster) for _, cluster in found] == where
    assert said[0].startswith(f"{rounds} rounds")
    assert float(said[0].split()[-1]) == pytest.approx(cost, rel=1e-11)
    assert Counter(label for label, _ in found) == known["rows_per_label"]
