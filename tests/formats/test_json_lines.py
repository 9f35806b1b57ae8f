"""JSON lines are what `json.loads` makes of each line, wherever a file is cut; a broken one is named by line and column."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from headrace.context import Context
from headrace.errors import InputError, ProgramError, TaskFailed
from headrace.execute.formats import pieces
from headrace.execute.formats.json_lines import JsonLinesWriter
from headrace.plan.formats import JsonLines
from tests.formats.help import PACK, SUFFIX, read_cut, read_whole

CUTS = st.lists(st.integers(0, 200), max_size=10)
NUMBERS = st.integers() | st.floats() | st.integers(10**18, 10**400)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(st.characters(exclude_categories=()), max_size=8),  # surrogates too
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
BITS = ["{}", '{"a": 1, "a": 2}', "1", "-0", "1e400", "NaN", "-Infinity", '"\\ud800"', '"\\u00e9"', "é", "[1,2]", "01"]
BITS += [
    "1.",
    "+1",
    "[1,]",
    '"\t"',
    "nul",
    "\ufeff",
    "\x0b",
    "\xa0",
    " ",
    "\t",
    "\r",
    "{'a':1}",
    "1 2",
    '"a\\q"',
    "[" * 9,
]
given_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _small_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "READ_BYTES", 13)


def same(found: list[Any], expected: list[Any]) -> bool:
    """Equal, in type as well, and NaN to itself."""
    return repr(found) == repr(expected)


@given(values=st.lists(VALUES, max_size=12), cuts=CUTS, ends=st.sampled_from(["\n", "\r\n", "\n\n", "\n \t\n"]))
@settings(max_examples=150)
def test_what_json_writes_cut_anywhere(values: list[Any], cuts: list[int], ends: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file.jsonl")
        path.write_text("".join(json.dumps(value) + ends for value in values))
        assert same(read_cut(path, JsonLines(), cuts), values)
        writer = JsonLinesWriter()
        path.write_bytes(writer.begin() + b"".join(writer.encode([value]) for value in values) + writer.finish())
        assert same(read_cut(path, JsonLines(), cuts), values)
        assert path.read_bytes().count(b"\n") == len(values)


@given(bits=st.lists(st.sampled_from([*BITS, "\n", "\n", "\n"]), max_size=10), cuts=CUTS)
@example(["1 2", "\n", "[3,", "\n", "4]"], [])
@settings(max_examples=250)
def test_any_text_is_read_as_json_reads_it_or_refused_where_json_refuses_it(bits: list[str], cuts: list[int]) -> None:
    text = "".join(bits)
    expected: list[Any] = []
    wrong = None
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if line.strip(" \t\r") and wrong is None:
            try:
                expected.append(json.loads(line))
            except json.JSONDecodeError as error:
                wrong = str(number), error.colno
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file.jsonl")
        path.write_bytes(text.encode())
        if wrong is None:
            assert same(read_cut(path, JsonLines(), cuts), expected)
            return
        with pytest.raises(InputError) as caught:
            read_whole(path, JsonLines())
        found = re.match(rf"{re.escape(str(path))}, line ([\d,]+), column ([\d,]+) is not JSON: ", str(caught.value))
        assert found, str(caught.value)
        assert int(found[2]) == wrong[1]
        if "\r" not in text:  # which also ends lines, for whoever counts them
            assert found[1] == wrong[0]


@given_files
@given(before=st.lists(st.sampled_from(["{}", "", "[1,\t2]", '"é"']), max_size=30), cuts=CUTS)
@pytest.mark.parametrize("codec", [None, "gzip", "xz"])
def test_line_and_column_are_those_of_the_file(
    tmp_path: Path, before: list[str], cuts: list[int], codec: str | None
) -> None:
    data = "".join(f"{line}\n" for line in [*before, '{"a": é1}', "{}"]).encode()
    path = tmp_path / f"file.jsonl{SUFFIX[codec] if codec else ''}"
    path.write_bytes(PACK[codec](data) if codec else data)
    with pytest.raises(InputError) as caught:
        _ = read_whole(path, JsonLines()) if codec else read_cut(path, JsonLines(), cuts)
    assert str(caught.value).startswith(f"{path}, line {len(before) + 1}, column 7 is not JSON: Expecting value")


@given(before=st.lists(st.sampled_from(["{}", '"é"']), max_size=30), cuts=CUTS)
def test_bytes_that_are_not_utf_8_are_named_by_their_place(before: list[str], cuts: list[int]) -> None:
    data = "".join(f"{line}\n" for line in before).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file.jsonl")
        path.write_bytes(data + b'"a\xff"\n{}\n')
        with pytest.raises(InputError, match=f"line {len(before) + 1}: byte {len(data) + 2} is not utf-8"):
            read_cut(path, JsonLines(), cuts)


@pytest.mark.parametrize("line", ["[" * 100_000, "1" * 5000])
def test_what_python_refuses_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text(f"{{}}\n{line}\n")
    with pytest.raises(InputError, match=r"file\.jsonl, line 2 cannot be read|line 2, column \d+ is not JSON"):
        read_whole(path, JsonLines())


@pytest.mark.parametrize("record", [{1, 2}, b"x", object(), {"a": [1j]}, {(1, 2): 3}])
def test_a_record_that_is_no_json_is_shown(record: object) -> None:
    with pytest.raises(ProgramError, match="cannot be written as JSON") as caught:
        JsonLinesWriter().encode([{}, record])
    assert "Map it to" in str(caught.value)


def test_what_is_told_of_a_broken_line_is_the_line_and_not_how_it_was_read(inline: Context, tmp_path: Path) -> None:
    (tmp_path / "file.jsonl").write_text("{}\n{\n")
    (tmp_path / "file.utf16").write_bytes(b"\xff\xfe\x00")
    for broken in (
        inline.json_lines(tmp_path / "file.jsonl"),
        inline.csv(tmp_path / "file.utf16", encoding="utf-16"),
    ):
        with pytest.raises(TaskFailed) as caught:
            broken.collect()
        assert str(caught.value).strip().startswith(f"{tmp_path}/file")
        assert "Traceback" not in str(caught.value)
