"""What the README shows is run as it stands there."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

from headrace.cli.main import parser
from headrace.config import parse_url
from tests.conftest import BOOKS
from tests.real.help import Program, write

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def example() -> str:
    """Return the README's one block of Python."""
    (source,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return str(source)


@pytest.fixture
def clone(lair: Path) -> Path:
    """A folder with the books and nothing else of the repository."""
    shutil.copytree(BOOKS, lair / "examples" / "books")
    return lair


def test_the_example_runs_as_it_stands_there_and_counts_like_one_process(clone: Path) -> None:
    program = Program([sys.executable, str(write(clone, "script.py", example()))], clone, cwd=clone)
    best, *explained = program.ok().splitlines()
    words = Counter(
        word for book in sorted(clone.glob("examples/books/*.txt")) for word in book.read_text("utf-8").split()
    )
    found = ast.literal_eval(best)
    assert len(found) == 10
    assert [number for _, number in found] == [number for _, number in words.most_common(10)]
    assert all(words[word] == number for word, number in found)
    told = "\n".join(explained)
    assert all(name in told for name in ("text_file", "flat_map", "map", "reduce_by_key"))
    assert "shuffle" in told
    assert "re-run" in told or "rerun" in told, "the recovery, and why"
    parts = sorted(clone.glob("out/part-*"))
    assert {path.name for path in (clone / "out").iterdir()} == {"_SUCCESS", *(path.name for path in parts)}
    written = [ast.literal_eval(line) for part in parts for line in part.read_text("utf-8").splitlines()]
    assert len(written) == len(words)
    assert dict(written) == words
    program.leaves_nothing()
    again = Program([sys.executable, str(clone / "script.py")], clone, cwd=clone)
    assert again.end() == 1, "an output that is there already is refused"
    assert "out/ exists. Remove it" in again.err


def test_the_example_gives_the_same_on_any_cluster(clone: Path) -> None:
    """The table of addresses says where else it runs; the last one has every disaster."""
    said = set()
    for url in re.findall(r"^\| `(\w+://[^`]*)`", README, re.MULTILINE)[2:]:
        parse_url(url)
        for book in sorted(clone.glob("examples/books/*.txt"))[1:]:
            book.unlink()  # one is enough here
        shutil.rmtree(clone / "out", ignore_errors=True)
        path = write(clone, "script.py", example())
        command = [sys.executable, "-m", "headrace", "run", "--url", url, str(path)]
        said.add(Program(command, clone, cwd=clone).ok().splitlines()[0])
    assert len(said) == 1


def test_every_command_and_address_that_is_shown_means_something() -> None:
    commands = re.findall(r"^    (headrace .*?)(?:  +#.*)?$", README, re.MULTILINE)
    assert len(commands) >= 3
    for command in commands:
        options = parser().parse_args(shlex.split(command.removeprefix("headrace")))
        assert ("--url" in command) == (getattr(options, "url", None) is not None), "it would be the script's own"
    for url in re.findall(r"(?:local|inline|sim)://[^\s`'\")]*", README):
        parse_url(url)


def test_every_page_that_is_linked_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    for link in links:
        assert (Path(__file__).parents[2] / link).exists(), link


def test_what_a_newcomer_does_is_on_the_first_screen() -> None:
    first = README.splitlines()[:24]
    assert any("make demo" in line for line in first)
    assert any("make test" in line for line in first)
