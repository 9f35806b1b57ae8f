"""The main job under hundreds of seeds of disaster: the result is the one of a single process, every time."""

from __future__ import annotations

import operator
from collections import Counter
from pathlib import Path

import pytest

import headrace
from headrace.observe.stories import find, read
from headrace.sim.faults import KINDS

SEEDS = 240
BATCH = 20


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory, books: list[str]) -> Path:
    """Half a megabyte of a real book, in three files."""
    folder = tmp_path_factory.mktemp("text")
    lines = Path(books[0]).read_text(encoding="utf-8").splitlines(keepends=True)
    for i in range(3):
        (folder / f"{i}.txt").write_text("".join(lines[i::3]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def expected(text: Path) -> dict[str, int]:
    counts = Counter[str]()
    for path in sorted(text.glob("*.txt")):
        counts.update(path.read_text(encoding="utf-8").split())
    return dict(counts)


def count_words(url: str, text: Path) -> tuple[dict[str, int], dict[str, object]]:
    """Run the job; return the table, and how the story ended."""
    with headrace.connect(url, progress=False) as ctx:
        counts = (
            ctx.text_file(f"{text}/*.txt")
            .flat_map(str.split)
            .map(lambda word: (word, 1))
            .reduce_by_key(operator.add)
            .collect_as_map()
        )
        run = ctx.run
    *_, last = read(find(run))
    return counts, last


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_any_seed_gives_the_result_of_one_process(first: int, text: Path, expected: dict[str, int]) -> None:
    for seed in range(first, first + BATCH):
        url = f"sim://?workers=8&hosts=4&seed={seed}&faults=all&split=24k&memory=4MB"
        counts, _ = count_words(url, text)
        assert counts == expected, f"repeat it with {url}"


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_fault_by_itself(kind: str, text: Path, expected: dict[str, int]) -> None:
    hits = 0
    for seed in range(40):
        counts, last = count_words(f"sim://?workers=6&hosts=3&seed={seed}&faults={kind}&split=24k", text)
        assert counts == expected
        found = last["faults hit"]
        assert isinstance(found, list)
        hits += len(found)
        if hits >= 4:
            return
    raise AssertionError("the fault hardly ever hit anything")


def test_the_whole_cluster_of_the_example(text: Path, expected: dict[str, int]) -> None:
    counts, last = count_words("sim://?workers=20&seed=7", text)
    assert counts == expected
    assert last["faults hit"] == []
