"""Each example, run as a user runs it, gives what plain Python finds by another way."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.examples import plain
from tests.examples.help import DATA, EXAMPLES, run, written


@pytest.mark.parametrize("reading", ["spark", "all", "stochastic"])
def test_pagerank(tmp_path: Path, reading: str) -> None:
    said = run("pagerank", tmp_path, "--reading", reading, "--rounds", 12, "--top", 5, "--output", "ranks")
    expected = plain.pagerank(plain.edges(DATA / "web.txt"), reading, 12)
    found = {page: float(rank) for page, rank in written(tmp_path / "ranks")}
    assert found == pytest.approx(expected, rel=1e-11)
    best = sorted(expected.values(), reverse=True)[:5]
    assert [float(line.split("\t")[1]) for line in said[1:]] == pytest.approx(best, rel=1e-11)
    assert said[0].startswith(f"{len(expected)} pages, ")
    assert float(said[0].split()[-1]) == pytest.approx(sum(expected.values()), rel=1e-11)


def test_the_readings_of_pagerank_differ_on_the_sample() -> None:
    """It has pages without links and pages that nobody links to, as real webs do."""
    graph = plain.edges(DATA / "web.txt")
    spark, everywhere = plain.pagerank(graph, "spark", 12), plain.pagerank(graph, "all", 12)
    assert len(spark) < len(everywhere)
    assert any(spark[page] < everywhere[page] - 0.01 for page in spark)
    assert {other for _, other in graph} - {one for one, _ in graph}


def test_connected_components(tmp_path: Path) -> None:
    said = run("connected_components", tmp_path, "--output", "found")
    expected = plain.components(plain.edges(DATA / "web.txt"))
    found = [(int(node), int(name)) for node, name in written(tmp_path / "found")]
    assert sorted(found) == sorted(expected.items())
    sizes = sorted(Counter(expected.values()).items(), key=lambda pair: (-pair[1], pair[0]))
    assert said[0].startswith(f"{len(expected)} nodes in {len(sizes)} components")
    assert said[1:] == [f"{name}\t{size}" for name, size in sizes]


def test_transitive_closure(tmp_path: Path) -> None:
    """Also of the web, where paths lead back to where they began."""
    for name, url in [("requires.txt", "local://?workers=2"), ("web.txt", "inline://")]:
        said = run("transitive_closure", tmp_path, DATA / name, "--output", f"{name}.out", url=url)
        expected = plain.closure(plain.edges(DATA / name))
        found = [(one, other) for one, other in written(tmp_path / f"{name}.out")]
        assert sorted(found) == sorted(expected)
        assert said[0].startswith(f"{len(expected)} pairs")


def test_kmeans(tmp_path: Path) -> None:
    said = run("kmeans", tmp_path, "--output", "found")
    rounds, cost, where = plain.kmeans(DATA / "points.txt", 3)
    labels = [label for label, _ in plain.sparse(DATA / "points.txt")]
    assert written(tmp_path / "found") == [[label, str(at)] for label, at in zip(labels, where, strict=True)]
    assert said[0].startswith(f"{rounds} rounds")
    assert float(said[0].split()[-1]) == pytest.approx(cost, rel=1e-11)
    assert [int(line.split()[0]) for line in said[1:]] == [where.count(number) for number in range(3)]


def test_logistic_regression(tmp_path: Path) -> None:
    said = run("logistic_regression", tmp_path, "--test", DATA / "rows.txt")
    least, weights = plain.logistic(DATA / "rows.txt")
    assert said[0].removeprefix("rows") == said[2].removeprefix("test"), "the same rows are judged alike"
    assert float(said[1].removeprefix("objective ")) == pytest.approx(least, rel=1e-7)
    largest = sorted(range(len(weights)), key=lambda index: -abs(weights[index]))[:5]
    assert [int(line.split("\t")[0]) for line in said[3:]] == largest
    assert [float(line.split("\t")[1]) for line in said[3:]] == pytest.approx([weights[i] for i in largest], abs=1e-5)


def test_every_example_is_listed_and_tried() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    here = Path(__file__).read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f"[{path.name}]({path.name})" in listed
        assert f'run("{path.stem}"' in here
