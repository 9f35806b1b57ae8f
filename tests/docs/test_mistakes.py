"""docs/mistakes.md shows what really happens: every example of it is run, and what it says is compared.

``REWRITE=1 pytest tests/docs/test_mistakes.py`` fills in what is shown where nothing is yet.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import linecache
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import headrace

PAGE = Path(__file__).parents[2] / "docs" / "mistakes.md"
README = Path(__file__).parents[2] / "README.md"
FENCE = re.compile(r"^```(python|text)\n(.*?)^```$", re.M | re.S)
NAME = "mistake.py"
CHECKER = doctest.OutputChecker()


class Example(NamedTuple):
    """A piece of code of the page, and what the page says that it shows; None if nothing is said."""

    section: str
    code: str
    shown: str | None
    place: int  # of what is shown, in the page


def examples() -> list[Example]:
    text = PAGE.read_text(encoding="utf-8")
    found = []
    for start in re.finditer(r"^## (.*)$", text, re.M):
        end = text.find("\n## ", start.end())
        fences = [*FENCE.finditer(text, start.end(), end if end >= 0 else len(text))]
        for one, after in zip(fences, [*fences[1:], None], strict=True):
            if one[1] == "python":
                shown = after[2] if after is not None and after[1] == "text" else None
                found.append(Example(start[1], one[2], shown, after.start(2) if after is not None else -1))
    return found


def happens(example: Example, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run an example as a script would be, and return all that a person sees."""
    monkeypatch.chdir(folder)
    monkeypatch.setitem(linecache.cache, NAME, (len(example.code), None, example.code.splitlines(keepends=True), NAME))
    seen = io.StringIO()
    with (
        headrace.connect("inline://", progress=False) as ctx,
        contextlib.redirect_stdout(seen),
        contextlib.redirect_stderr(seen),
    ):
        space: dict[str, Any] = {"ctx": ctx, "headrace": headrace, "__name__": "mistake", "__file__": NAME}
        try:
            exec(compile(example.code, NAME, "exec"), space)
        except Exception as error:
            seen.write(f"{type(error).__name__}: {error}\n")
    return seen.getvalue()


def agrees(shown: str, seen: str) -> bool:
    return CHECKER.check_output(shown, seen, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)


EXAMPLES = examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=[re.sub(r"\W+", "-", f"{e.section}")[:40] for e in EXAMPLES])
def test_what_is_shown_is_what_happens(example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = happens(example, tmp_path, monkeypatch)
    if example.shown == "" and os.environ.get("REWRITE"):
        text = PAGE.read_text(encoding="utf-8")
        place = text.index(example.code) + len(example.code) + len("```\n\n```text\n")
        PAGE.write_text(text[:place] + seen + text[place:], encoding="utf-8")
        return
    if example.shown is None:
        assert "Error" not in seen
        return
    assert agrees(example.shown, seen), f"{example.section}: the page shows\n{example.shown}\nand it says\n{seen}"
    told = re.sub(r"\s|\.\.\.", "", example.shown)
    assert len(told) > 0, "something is shown"


def test_a_message_that_is_not_what_is_shown_is_noticed() -> None:
    assert agrees("KeyProblem: a ... cannot be\n", "KeyProblem: a list\ncannot be\n")
    assert not agrees("KeyProblem: a ... cannot be a key\n", "KeyProblem: a list cannot be\n")


def test_every_mistake_is_numbered_linked_and_shown() -> None:
    text = PAGE.read_text(encoding="utf-8")
    titles = re.findall(r"^## (.*)$", text, re.M)
    assert [int(title.split(".")[0]) for title in titles] == list(range(1, len(titles) + 1))
    assert len(titles) >= 20
    anchors = {re.sub(r"[^\w\- ]", "", t.replace("\\", "").lower()).replace(" ", "-") for t in titles}
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) == anchors
    shown = {e.section for e in EXAMPLES if e.shown}
    assert shown == set(titles)
    assert "docs/mistakes.md" in README.read_text(encoding="utf-8")
