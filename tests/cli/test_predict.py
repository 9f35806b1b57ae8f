"""`headrace predict`: a run that was measured, on other numbers of workers; what is asked wrongly is refused."""

from __future__ import annotations

import json
import operator
from pathlib import Path

import pytest

import headrace
from headrace.cli.main import main
from headrace.cli.plot import draw_svg, plot
from headrace.store.profiles import find_profile


@pytest.fixture(scope="module")
def run() -> str:
    """A small word count."""
    with headrace.connect("local://?workers=2", progress=False) as ctx:
        words = ctx.parallelize(["the mill", "the race", "a head"] * 50, 6).flat_map(str.split)
        assert words.map(lambda word: (word, 1)).reduce_by_key(operator.add, 4).count() == 5
    return ctx.run


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["predict", *arguments]) == 0
    return capsys.readouterr().out


def test_it_prints_a_table_a_plot_and_what_bounds_it(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, run, "--workers", "1,2,4,...,10")
    lines = text.splitlines()
    assert f"run {run}: 1 jobs, 10 tasks, measured with 2 workers on 1 host" in lines[0]
    (head,) = [line for line in lines if line.lstrip().startswith("workers  hosts")]
    rows = [line.split() for line in lines[lines.index(head) + 1 : lines.index(head) + 6]]
    assert [row[0] for row in rows] == ["1", "2", "4", "8", "10"]
    assert rows[0][3:6] == ["1.00", "100.0%", "-"]
    assert sum("*" in line for line in lines) >= 1
    assert "With any number of workers" in lines[-1]


def test_json_has_the_definitions(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, run, "--workers", "2,4", "--json", "--price", "7.5", "--startup", "1s"))
    assert found["cluster"]["startup_ns"] == 10**9
    for row in found["rows"]:
        assert row["seconds"] > 1
        assert row["efficiency"] == pytest.approx(row["speedup"] / row["workers"])
        assert row["cost"] == pytest.approx(row["workers"] * row["seconds"] / 3600 * 7.5)
        p, worth = row["workers"], row["speedup"]
        assert row["serial fraction"] == pytest.approx((1 / worth - 1 / p) / (1 - 1 / p))


def test_the_same_is_said_twice_and_more_failures_are_seen(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = (run, "--workers", "1,2", "--startup", "10ms")
    assert said(capsys, *asked) == said(capsys, *asked)
    slow = ("--speed", "0.001", "--seed", "3")
    assert "failures" not in said(capsys, *asked, *slow)
    assert "failures" in said(capsys, *asked, *slow, "--mtbf", "0.5s")


def test_a_file_is_as_good_as_a_name(run: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "speedup.svg"
    by_name = said(capsys, run, "--workers", "1,2")
    assert said(capsys, str(find_profile(run)), "--workers", "1,2", "--svg", str(path)) == by_name
    assert path.read_text().startswith("<svg")
    assert path.read_text().count("<circle") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "0,1"], "from 1 on"),
        (["--workers", "4,2"], "numbers of workers grow"),
        (["--workers", "1,2,..."], "dots stand before the last number"),
        (["--workers", "1,...,4,8"], "dots stand before the last number"),
        (["--workers", "many"], "is not a list of numbers of workers"),
        (["--workers", "1,2,4,...,999999999"], "is the most"),
        (["--speed", "0"], "more than 0"),
        (["--bandwidth", "7"], "next to nothing"),
        (["--hosts", "0"], "at least 1"),
        (["--mtbf", "soon"], "is not a duration"),
        (["--workers", "1", "--svg", "/nowhere/x.svg"], "cannot be written"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], message: str, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", run, *arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_run_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "unheard"]) == 1
    assert "there is no profile of run 'unheard'" in capsys.readouterr().err


@pytest.mark.parametrize("points", [[(1, 1.0)], [(4, 0.5), (8, 0.25)], [(1, 1.0), (1000, 2000.0)]])
def test_plots_have_every_point(points: list[tuple[int, float]]) -> None:
    assert sum(line.count("*") for line in plot(points).splitlines()) == len(points)
    assert draw_svg(points).count("<circle") == len(points)
