"""`headrace demo`: right when it says so, and not when nothing was run again or a word is counted wrongly."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace.cli import demo
from headrace.cli.main import main
from headrace.observe import stories


@pytest.fixture
def shelf(tmp_path: Path, books: list[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two short books, and a demo that lasts a second instead of three."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    for number in (0, 1):
        text = Path(books[number]).read_text(encoding="utf-8")
        (folder / f"{number}.txt").write_text(text[: 200_000 + number], encoding="utf-8")
    monkeypatch.setattr(demo, "SECONDS", 0.4)
    return folder


def test_it_kills_counts_and_says_what_happened(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--books", str(shelf), "--workers", "3", "--kills", "2", "--quiet"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    rounds, workers, kills = re.search(r"Now (\d+) times .* on (\d+) worker processes, (\d+) of", said.out).groups()  # type: ignore[union-attr]
    assert (workers, kills) == ("3", "2")
    words = Counter(word for path in shelf.iterdir() for word in path.read_text(encoding="utf-8").split())
    shown = re.findall(r"^ +([\d,]+)  (\S+)$", said.out, re.MULTILINE)
    assert [int(number.replace(",", "")) for number, _ in shown] == [
        int(rounds) * number for _, number in words.most_common(10)
    ]
    assert f"Right: all {len(words):,} words" in said.out
    again = re.findall(r"^  task (\d\.\d+): attempt (\d+) died, attempt (\d+) took its place$", said.out, re.MULTILINE)
    assert len(again) >= 2
    run = re.search(r"headrace story (\w+)", said.out)[1]  # type: ignore[index]
    lost = [line for line in stories.read(stories.find(run)) if line["what"] == "attempt lost"]
    assert {(line["task"], str(line["attempt"])) for line in lost} >= {(task, dead) for task, dead, _ in again}
    assert all("SIGKILL" in line["why"] for line in lost)


def test_it_fails_when_nothing_had_to_be_run_again(
    shelf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: nobody is killed, though somebody should be."""
    monkeypatch.setattr(demo.Killer, "_consider", lambda self, event: None)
    assert main(["demo", "--books", str(shelf), "--quiet"]) == 1
    said = capsys.readouterr()
    assert "FAILED: no kill hit a running attempt" in said.err
    assert "Right" not in said.out


@pytest.mark.parametrize("bug", ["a word is missing", "a count is off by one", "a word too many"])
def test_it_fails_when_the_table_differs(
    bug: str, shelf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = headrace.Dataset.collect_as_map

    def wrong(self: Any) -> dict[Any, Any]:
        table = dict(right(self))
        if bug == "a word is missing":
            del table["the"]
        elif bug == "a count is off by one":
            table["the"] += 1
        else:
            table["mill-race"] = 1
        return table

    monkeypatch.setattr(headrace.Dataset, "collect_as_map", wrong)
    monkeypatch.setattr(demo, "SECONDS", 0.05)
    assert main(["demo", "--books", str(shelf), "--kills", "0", "--quiet"]) == 1
    said = capsys.readouterr()
    assert f"WRONG: 1 words differ, '{'mill-race' if bug == 'a word too many' else 'the'}' for one." in said.err
    assert "Right" not in said.out


def test_without_kills_there_is_nothing_to_be_run_again(
    shelf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "SECONDS", 0.05)
    assert main(["demo", "--books", str(shelf), "--kills", "0", "--quiet"]) == 0
    assert "Right: all" in capsys.readouterr().out


BAD = {
    "no such folder": (["--books", "{}/none"], "there are no .txt files in"),
    "a folder without texts": (["--books", "{}/empty"], "there are no .txt files in"),
    "not UTF-8": (["--books", "{}/latin"], "latin/a.txt has bytes at offset 300,003 that are not UTF-8"),
    "not a file": (["--books", "{}/folder"], "cannot be read: Is a directory"),
    "no worker": (["--workers", "0"], "at least one worker"),
    "fewer than no kills": (["--kills", "-1"], "cannot be negative"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_told_in_a_line(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("empty", "latin", "folder/a.txt"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "latin" / "a.txt").write_bytes(b"word " * 60_000 + b"caf\xe9")
    arguments, message = BAD[what]
    assert main(["demo", *(argument.format(tmp_path) for argument in arguments)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("headrace: ")
    assert message in error
    assert len(error.splitlines()) == 1


def test_the_shipped_books_are_there_and_say_where_they_come_from(books: list[str]) -> None:
    assert [path.resolve() for path in demo.find_books(None)] == [Path(book).resolve() for book in books]
    assert 3 <= len(books) <= 5
    assert 3e6 < sum(Path(book).stat().st_size for book in books) < 6e6
    origin = Path(books[0]).with_name("README.md").read_text(encoding="utf-8")
    assert all(Path(book).name in origin for book in books)
    assert "public-domain" in origin.lower()
