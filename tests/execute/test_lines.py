r"""The pieces of a file together hold its lines, each once and in order, wherever it was cut.

Lines end where Python's own text files end them: at ``\n``, ``\r\n`` and ``\r``, and nowhere else.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.execute.formats import lines as lines_module
from headrace.execute.formats import pieces
from headrace.execute.formats.lines import is_cuttable
from headrace.execute.formats.reading import read_files
from headrace.plan.formats import Lines
from headrace.runtime.files import SystemFiles
from tests.execute.texts import TEXTS, oracle, read, read_cut, split_of

CUTS = st.lists(st.integers(0, 600), max_size=12)
given_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _small_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file of a hundred bytes take several reads."""
    monkeypatch.setattr(pieces, "READ_BYTES", 13)


@given_files
@given(TEXTS, CUTS, st.sampled_from(["utf-8", "gb18030"]))
def test_pieces_together_hold_every_line_once(tmp_path: Path, text: str, cuts: list[int], encoding: str) -> None:
    path = tmp_path / "text"
    path.write_bytes(text.encode(encoding))
    cuts = [cut for cut in cuts if cut < path.stat().st_size]
    assert read_cut(path, cuts, encoding=encoding) == oracle(text)
    assert read(split_of(path), encoding=encoding) == oracle(text)


@given_files
@given(st.text("ab\n\r", max_size=40))
def test_a_file_that_is_cut_at_every_byte(tmp_path: Path, text: str) -> None:
    path = tmp_path / "text"
    path.write_bytes(text.encode())
    assert read_cut(path, list(range(len(text)))) == oracle(text)


JAPANESE = st.lists(st.sampled_from(["\n", "\r\n", "\r", "a", "ソ", "表", "能", "ア", "漢"]), max_size=40).map("".join)


@given_files
@given(JAPANESE, CUTS, st.sampled_from(["shift_jis", "cp932", "euc_jp", "utf-8"]))
def test_encodings_whose_characters_have_ascii_bytes_in_them(
    tmp_path: Path, text: str, cuts: list[int], encoding: str
) -> None:
    """The second byte of a character in Shift JIS may be a backslash, but never an end of line."""
    path = tmp_path / "text"
    path.write_bytes(text.encode(encoding))
    cuts = [cut for cut in cuts if cut < path.stat().st_size]
    assert read_cut(path, cuts, encoding=encoding) == oracle(text)


@given_files
@given(TEXTS, st.sampled_from(["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "utf-7"]))
def test_encodings_that_cannot_be_cut(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "text"
    path.write_bytes(text.encode(encoding))
    assert not is_cuttable(encoding)
    assert read(split_of(path), encoding=encoding) == oracle(text)


@given_files
@given(st.binary(max_size=80), CUTS)
def test_latin_1_takes_any_bytes(tmp_path: Path, data: bytes, cuts: list[int]) -> None:
    path = tmp_path / "text"
    path.write_bytes(data)
    cuts = [cut for cut in cuts if cut < len(data)]
    assert read_cut(path, cuts, encoding="latin-1") == oracle(data.decode("latin-1"))


@given_files
@given(st.binary(max_size=80), CUTS, st.sampled_from(["utf-8", "shift_jis", "gbk", "big5", "euc_kr", "gb18030"]))
def test_replacing_what_cannot_be_decoded_does_not_depend_on_the_cuts(
    tmp_path: Path, data: bytes, cuts: list[int], encoding: str
) -> None:
    """A broken character may not swallow the end of its line."""
    path = tmp_path / "text"
    path.write_bytes(data)
    whole = read(split_of(path), encoding=encoding, errors="replace")
    assert read_cut(path, [cut for cut in cuts if cut < len(data)], encoding=encoding, errors="replace") == whole
    ended = data.endswith(b"\n")  # then another line could follow, as far as whoever reads this piece can tell
    assert whole == oracle((data + b"##" * ended).decode(encoding, "replace"))[: -1 if ended else None]


@pytest.mark.parametrize(
    ("encoding", "broken"), [("gb18030", b"\x81\x30"), ("euc_jp", b"\x8f"), ("utf-8", b"\xe3\x81")]
)
def test_a_character_that_is_broken_off_by_an_end_of_line_is_replaced_alike_everywhere(
    tmp_path: Path, encoding: str, broken: bytes
) -> None:
    path = tmp_path / "text"
    data = b"".join(b"%d" % i + broken + b"\nnext\n" for i in range(20))
    path.write_bytes(data)
    expected = oracle(data.decode(encoding, "replace"))
    for step in (1, 7, 1_000):
        assert read_cut(path, list(range(0, len(data), step)), encoding=encoding, errors="replace") == expected


@given_files
@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_a_split_of_several_files_is_their_lines_one_after_the_other(tmp_path: Path, texts: list[str]) -> None:
    """A file that does not end in a newline does not run into the next."""
    splits = []
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}"
        path.write_bytes(text.encode())
        splits.append(split_of(path))
    assert read(*splits, *splits[:1]) == [line for text in [*texts, texts[0]] for line in oracle(text)]


def test_a_mark_at_the_beginning_is_kept_or_not_as_the_encoding_says(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("\ufeffa\nb".encode())
    assert read(split_of(path)) == ["\ufeffa", "b"]
    assert read(split_of(path), encoding="utf-8-sig") == ["a", "b"]


@pytest.mark.parametrize("text", ["", "\n", "\n\n", "\r", "\r\n\n", "a", "a\n", "a\n\n", "\0", "\0\n\0"])
def test_the_shortest_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "text"
    path.write_bytes(text.encode())
    assert read(split_of(path)) == oracle(text)
    assert read_cut(path, list(range(len(text)))) == oracle(text)


def test_a_line_longer_than_all_pieces_belongs_to_the_first(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"short\n" + b"x" * 1000 + b"\nend")
    assert read(split_of(path, 0, 10)) == ["short", "x" * 1000]
    assert read(split_of(path, 10, 500)) == []
    assert read(split_of(path, 500, 1010)) == ["end"]


def test_lists_of_lines_are_of_bounded_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "READ_BYTES", 1 << 18)
    path = tmp_path / "text"
    path.write_bytes(b"a\nb\n" * 5_000)
    sizes = [len(lines) for lines, _ in read_files(SystemFiles(), (split_of(path),), Lines())]
    assert sum(sizes) == 10_000
    assert max(sizes) <= 4096


def test_a_very_long_line_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gathering it by adding piece to piece would copy the square of its length: here 40 GB."""
    monkeypatch.setattr(pieces, "READ_BYTES", 1 << 12)
    path = tmp_path / "text"
    line = b"0123456789abcdef" * (1 << 20)
    path.write_bytes(line)
    assert read(split_of(path, 0, 5_000)) == [line.decode()]
    path.write_bytes(line[: 1 << 22])
    assert read(split_of(path), encoding="utf-16-le") == [line[: 1 << 22].decode("utf-16-le")]


@pytest.mark.parametrize(
    ("encoding", "cuttable"),
    [
        ("utf-8", True),
        ("UTF8", True),
        ("latin-1", True),
        ("iso-8859-15", True),
        ("windows-1252", True),
        ("utf-8-sig", False),
        ("utf-16", False),
        ("utf-32-le", False),
        ("cp037", False),
        ("iso2022_jp", False),
        ("hz", False),
        ("utf-7", False),
        ("unicode_escape", False),
        ("idna", False),
    ],
)
def test_only_encodings_in_which_a_newline_is_a_newline_are_cut(encoding: str, cuttable: bool) -> None:
    assert is_cuttable(encoding) is cuttable


@pytest.mark.parametrize("encoding", sorted(lines_module.CUTTABLE - {"iso8859-12"}))
def test_an_encoding_that_is_cut_has_newlines_that_are_nothing_else(encoding: str) -> None:
    """Whatever stands before it, whole or broken, the byte 0x0A ends a line, and only it; 0x0D is one byte as well."""
    assert is_cuttable(encoding)
    leads = [bytes([one]) for one in range(256)]
    if "\u3042".encode(encoding, "ignore"):
        leads += [bytes([one, other]) for one in range(0x80, 256, 3) for other in range(0x30, 256, 5)]
    for lead in leads:
        if lead[-1:] in b"\r\n":
            continue
        for end in ("\n", "\r"):
            text = (lead + end.encode() + b"##").decode(encoding, "replace")
            assert text.endswith(end + "##")
            assert text.count("\n") + text.count("\r") == 1
