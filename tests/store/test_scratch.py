"""A task's temporary space: what was written is read back, until the task ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.runtime.files import SystemFiles
from headrace.store.scratch import ScratchFile


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=200), max_size=20))
def test_what_was_written_is_read_back_from_any_place(tmp_path: Path, pieces: list[bytes]) -> None:
    scratch = ScratchFile(SystemFiles(), str(tmp_path / "scratch"))
    places = []
    for piece in pieces:
        places.append(scratch.append(piece))
        assert scratch.read(*places[len(places) // 2]) == pieces[len(places) // 2]
    assert [scratch.read(*place) for place in reversed(places)] == pieces[::-1]
    assert scratch.size == sum(map(len, pieces))
    scratch.close()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    scratch = ScratchFile(SystemFiles(), str(tmp_path / "scratch"))
    assert list(tmp_path.iterdir()) == []
    scratch.close()
    assert list(tmp_path.iterdir()) == []


def test_after_the_end_nothing_is_read_and_nothing_comes_back(tmp_path: Path) -> None:
    scratch = ScratchFile(SystemFiles(), str(tmp_path / "scratch"))
    place = scratch.append(b"x")
    scratch.close()
    with pytest.raises(ValueError, match="has ended"):
        scratch.read(*place)
    with pytest.raises(ValueError, match="has ended"):
        scratch.append(b"y")
    assert list(tmp_path.iterdir()) == []
    scratch.close()
