"""What was saved of an attempt is read back as it was, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import InputError
from headrace.runtime.files import SystemFiles
from headrace.store.capsules import CacheAsked, CapsuleWriter, Index, PartsRead, TooLarge, read_capsule

FILES = SystemFiles()
PIECES = st.lists(st.binary(max_size=50), max_size=4)


def write(path: Path, blocks: list[list[bytes]], limit: int = 1 << 20) -> Index:
    writer = CapsuleWriter(FILES, str(path), limit)
    try:
        places = [writer.add(pieces) for pieces in blocks]
        index = Index(
            *(1, 2, 3, 4, "w1", "ValueError: no", "in map", 1 << 20, "digest"),
            code={"digest": places[0]},
            parts=(PartsRead(5, 6, tuple((n, 9, place) for n, place in enumerate(places))),),
            blocks={"slice": places[-1]},
            cached=(CacheAsked(7, 8, None), CacheAsked(7, 8, places[0])),
        )
        writer.finish(index)
    except BaseException:
        writer.abandon()
        raise
    return index


@given(st.lists(PIECES, min_size=1, max_size=4))
@settings(max_examples=60)
def test_it_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, blocks: list[list[bytes]]) -> None:
    path = tmp_path_factory.getbasetemp() / "one.capsule"
    index = write(path, blocks)
    capsule = read_capsule(FILES, str(path))
    assert capsule.index == index
    found = [bytes(capsule.bytes_at(place)) for _, _, place in capsule.index.parts[0].parts]
    assert found == [b"".join(pieces) for pieces in blocks]


@given(st.data())
@settings(max_examples=80)
def test_one_that_is_damaged_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "two.capsule"
    write(path, [[b"some", b"data"], [b"more" * 20]])
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    how = data.draw(st.sampled_from(["cut", "changed", "longer"]))
    if how == "cut":
        path.write_bytes(whole[:place])
    elif how == "longer":
        path.write_bytes(whole[:place] + b"x" + whole[place:])
    else:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 :])
    with pytest.raises(InputError, match=r"damaged|not a saved attempt"):
        read_capsule(FILES, str(path))


def test_what_is_too_large_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "three"
    write(path, [[b"x" * 90]], limit=100)
    with pytest.raises(TooLarge):
        write(path, [[b"x" * 50, b"x" * 50]], limit=100)
    assert not path.exists()


def test_one_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_capsule(FILES, str(tmp_path / "none"))
