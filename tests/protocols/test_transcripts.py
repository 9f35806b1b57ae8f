"""The cases that people argue about, as texts: what happens, and what the machines make of it.

`REWRITE=1 .venv/bin/pytest tests/protocols/test_transcripts.py` writes the answers of today into the files, to be read as a
diff.  How they are written is said in `transcript.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headrace.protocols.claims import Claims, CommitAsked, Committed, Effect
from tests.protocols.transcript import COMMAND, play

HERE = Path(__file__).parent / "transcripts"
TRANSCRIPTS = sorted(HERE.glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    want = path.read_text(encoding="utf-8")
    got = play(want)
    if os.environ.get("REWRITE"):
        path.write_text(got, encoding="utf-8")
    else:
        assert got == want


def test_every_command_is_played() -> None:
    """A line that looks like a command and is none would say whatever it likes."""
    for path in TRANSCRIPTS:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n----\n") == len(COMMAND.findall(text)) > 3, path.name


def test_a_machine_that_decides_otherwise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (HERE / "a_copy_and_its_original_commit_at_once.txt").read_text(encoding="utf-8")

    def first_come(self: Claims, event: CommitAsked) -> list[Effect]:
        return [Committed(event.task, event.attempt, event.worker, event.output, event.ran_ns, event.now_ns)]

    monkeypatch.setattr(Claims, "_commit", first_come)
    assert play(text) != text
