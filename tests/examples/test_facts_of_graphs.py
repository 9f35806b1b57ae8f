"""The examples on webs and networks of the world, against what was computed of them once without this engine."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SHARED
from tests.examples import plain
from tests.examples.help import run, written
from tests.facts import facts

GRAPHS = SHARED / "graphs"
READINGS = {"spark": "spark_example_literal", "all": "spark_formula_all_pages"}
SMALL = ["soc-Epinions1-mod8.txt", "web-NotreDame-first2000.txt"]
LARGE = ["soc-Epinions1.txt.gz", "web-NotreDame.txt.gz"]
slow = pytest.mark.slow


def same(found: list[str], known: list[tuple[int, float]], digits: float) -> None:
    """Compare pages and ranks; pages of equal rank may come in any order."""
    pages = {int(page): float(rank) for page, rank in (line.split("\t") for line in found)}
    assert list(pages.values()) == pytest.approx([rank for _, rank in known], rel=digits)
    inside = {page: rank for page, rank in known if rank > known[-1][1]}
    assert {page: pages.get(page, 0.0) for page in inside} == pytest.approx(inside, rel=digits)


@pytest.mark.parametrize(
    ("name", "reading"),
    [
        ("soc-Epinions1-mod8.txt", "spark"),
        ("soc-Epinions1-mod8.txt", "all"),
        pytest.param("web-NotreDame-first2000.txt", "spark", marks=slow),
        *(pytest.param(name, reading, marks=slow) for name in LARGE for reading in READINGS),
    ],
)
def test_pagerank_in_sparks_readings(tmp_path: Path, name: str, reading: str) -> None:
    known = facts("graphs")[name]["pagerank_as_listed"][READINGS[reading]]
    rounds = known["iterations"]
    said = run("pagerank", tmp_path, GRAPHS / name, "--reading", reading, "--rounds", rounds, "--top", 20, seconds=120)
    assert said[0].startswith(f"{known['pages_with_rank']} pages, ")
    assert float(said[0].split()[-1]) == pytest.approx(known["sum_of_ranks"], rel=1e-11)
    same(said[1:], known["top20"], 1e-11)


@pytest.mark.parametrize("name", [SMALL[1], *(pytest.param(name, marks=slow) for name in [SMALL[0], *LARGE])])
@pytest.mark.parametrize("rounds", [10, pytest.param(20, marks=slow)])
def test_pagerank_whose_ranks_sum_to_one(tmp_path: Path, name: str, rounds: int) -> None:
    known = facts("graphs")[name]
    ranks = known["pagerank_as_listed"]["normalised_alpha0.85_dangling_redistributed"]
    arguments = ["--reading", "stochastic", "--rounds", rounds, "--top", 5]
    said = run("pagerank", tmp_path, GRAPHS / name, *arguments, seconds=120)
    assert said[0].startswith(f"{known['nodes']} pages, ")
    assert float(said[0].split()[-1]) == pytest.approx(1, rel=1e-11)
    same(said[1:], ranks[f"top5_after_{rounds}_iterations"], 1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_pagerank_after_as_many_rounds_as_it_takes_to_stand_still(tmp_path: Path, name: str) -> None:
    known = facts("graphs")[name]["pagerank_as_listed"]["normalised_alpha0.85_dangling_redistributed"]
    rounds = known["iterations_to_L1_change_below_1e-14"]
    arguments = ["--reading", "stochastic", "--rounds", rounds, "--top", 20]
    said = run("pagerank", tmp_path, GRAPHS / name, *arguments, seconds=120)
    same(said[1:], known["top20"], 1e-11)


@pytest.mark.parametrize("name", [SMALL[0], *(pytest.param(name, marks=slow) for name in [SMALL[1], *LARGE])])
def test_weakly_connected_components(tmp_path: Path, name: str) -> None:
    known = facts("graphs")[name]
    parts = known["weakly_connected_components"]
    said = run("connected_components", tmp_path, GRAPHS / name, "--output", "found", seconds=120)
    assert said[0].startswith(f"{known['nodes']} nodes in {parts['count']} components")
    assert [int(line.split("\t")[1]) for line in said[1:]] == parts["ten_largest_sizes"]
    found = sorted((int(node), int(smallest)) for node, smallest in written(tmp_path / "found"))
    text = "".join(f"{node}\t{smallest}\n" for node, smallest in found)
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == parts["sha256_of_lines_node_TAB_smallest_id_sorted_by_node"]


@pytest.mark.slow
def test_the_transitive_closure_of_a_network_of_authors(tmp_path: Path) -> None:
    """Each edge leads from one author to one who is listed later, or back to itself: nobody is in a longer circle."""
    known: dict[str, Any] = facts("graphs")["ca-GrQc-lcc.txt"]
    path = GRAPHS / "ca-GrQc-lcc.txt"
    run("transitive_closure", tmp_path, path, "--output", "found", seconds=120)
    found = {(one, other) for one, other in written(tmp_path / "found")}
    assert found == plain.closure(plain.edges(path))
    search = known["bfs_directed_as_listed"]
    assert len({other for one, other in found if one == str(search["source"])} | {"0"}) == search["reached"]
    assert Counter(one == other for one, other in found)[True] == known["self_loops"]
    assert not any((other, one) in found for one, other in found if one != other)
    assert known["strongly_connected_components"]["largest_nodes"] == 1
