"""What is saved is read again: any records, in any format, packed in any way, from any partitions, cut anywhere."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.dataset import Dataset
from headrace.errors import OutputExists, TaskFailed, UsageError
from tests.formats.help import SUFFIX

WORDS = st.text("ab,;\"' é\t", max_size=6)
LINES = st.text("ab,;\"' é\t", min_size=1, max_size=6)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6)
JSON = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=2), max_leaves=4
)
ROWS = st.lists(st.text("ab,;\"'\n\r é", max_size=6), min_size=1, max_size=3)
RECORDS: dict[str, st.SearchStrategy[Any]] = {
    "text": st.lists(LINES, max_size=12),
    "json": st.lists(JSON, max_size=12),
    "csv": st.lists(ROWS, max_size=12),
    "named csv": st.lists(st.fixed_dictionaries({"a": WORDS, "b": WORDS}), max_size=12),
    "pickle": st.lists(PLAIN | st.sets(st.integers()) | st.binary(max_size=5), max_size=12),
}
ENDINGS = {"text": "", "json": ".jsonl", "csv": ".csv", "named csv": ".csv", "pickle": ".pickle"}
CODECS = st.sampled_from([None, *SUFFIX])
formats = pytest.mark.parametrize("kind", sorted(RECORDS))


def save(kind: str, dataset: Dataset[Any], folder: str, codec: str | None, **more: Any) -> None:
    if codec == "zstd":
        pytest.importorskip("zstandard")
    match kind:
        case "text":
            dataset.save_as_text_file(folder, codec, **more)
        case "json":
            dataset.save_as_json_lines(folder, codec, **more)
        case "csv":
            dataset.save_as_csv(folder, codec, **more)
        case "named csv":
            dataset.save_as_csv(folder, codec, header=["a", "b"], **more)
        case _:
            dataset.save_as_pickle_file(folder, codec, **more)


def load(kind: str, ctx: Context, folder: str, least: int | None = None) -> Dataset[Any]:
    match kind:
        case "text":
            return ctx.text_file(folder, least)
        case "json":
            return ctx.json_lines(folder, least)
        case "csv":
            return ctx.csv(folder, least)
        case "named csv":
            return ctx.csv(folder, least, header=True)
        case _:
            return ctx.pickle_file(folder, least)


def same(found: list[Any], expected: list[Any]) -> bool:
    """Equal, and a number is not taken for a truth value."""
    return found == expected and list(map(type, found)) == list(map(type, expected))


@pytest.fixture(scope="module", params=["", "?split=7B"])
def ctx(request: pytest.FixtureRequest) -> Iterator[Context]:
    with headrace.connect(f"inline://{request.param}", progress=False) as context:
        yield context


@formats
@given(data=st.data(), slices=st.integers(1, 4), least=st.none() | st.integers(1, 9), codec=CODECS)
@settings(max_examples=25)
def test_what_is_saved_is_read_again(
    ctx: Context, kind: str, data: st.DataObject, slices: int, least: int | None, codec: str | None
) -> None:
    records: list[Any] = data.draw(RECORDS[kind])
    with tempfile.TemporaryDirectory() as top:
        save(kind, ctx.parallelize(records, slices), f"{top}/out", codec)
        ending = ENDINGS[kind] + (SUFFIX[codec] if codec else "")
        assert sorted(os.listdir(f"{top}/out")) == ["_SUCCESS", *(f"part-{i:05d}{ending}" for i in range(slices))]
        assert same(load(kind, ctx, f"{top}/out", least).collect(), records)


@formats
@given(data=st.data(), seed=st.integers(0, 1000), codec=st.sampled_from([None, "gzip"]))
@settings(max_examples=8)
def test_and_in_a_simulated_world_with_faults(kind: str, data: st.DataObject, seed: int, codec: str | None) -> None:
    records: list[Any] = data.draw(RECORDS[kind])
    with (
        tempfile.TemporaryDirectory() as top,
        headrace.connect(f"sim://?workers=3&hosts=2&seed={seed}&faults=all&split=7B", progress=False) as ctx,
    ):
        save(kind, ctx.parallelize(records, 5), f"{top}/out", codec)
        ending = ENDINGS[kind] + (SUFFIX[codec] if codec else "")
        assert sorted(os.listdir(f"{top}/out")) == ["_SUCCESS", *(f"part-{i:05d}{ending}" for i in range(5))]
        assert same(load(kind, ctx, f"{top}/out").collect(), records)


@formats
def test_with_worker_processes(local: Context, kind: str, tmp_path: Path) -> None:
    every: dict[str, list[Any]] = {
        "text": [f"line {i}" for i in range(1000)],
        "json": [{"i": i, "é": [None, i / 7]} for i in range(1000)],
        "csv": [[str(i), 'a "b"\n,c' * (i % 3)] for i in range(1000)],
        "named csv": [{"a": str(i), "b": 'a "b"\n,c'} for i in range(1000)],
        "pickle": [(i, {i}, b"x") for i in range(1000)],
    }
    records = every[kind]
    for codec in (None, "gzip"):
        folder = f"{tmp_path}/{codec}"
        save(kind, local.parallelize(records, 3).filter(lambda record: bool(record)), folder, codec)
        assert load(kind, local, folder, 5).map(lambda record: record).collect() == records
        with pytest.raises(OutputExists):
            save(kind, local.parallelize(records, 2), folder, codec)
        save(kind, local.parallelize(records[:10], 2), folder, "bz2", overwrite=True)
        assert load(kind, local, folder).collect() == records[:10]
        assert len(os.listdir(folder)) == 3, "the earlier parts, whatever their names, are gone"


# What the files are to others.


def test_json_and_csv_are_what_python_s_modules_read(ctx: Context, tmp_path: Path) -> None:
    ctx.parallelize([{"a": "é\n", "b": 1.5}, [], None], 1).save_as_json_lines(tmp_path / "json")
    text = (tmp_path / "json" / "part-00000.jsonl").read_text("utf-8")
    assert text == '{"a":"é\\n","b":1.5}\n[]\nnull\n'
    assert [json.loads(line) for line in text.splitlines()] == [{"a": "é\n", "b": 1.5}, [], None]
    rows = [("é", 1, None), ("a\nb", 2.5, "c;d")]
    ctx.parallelize(rows, 1).save_as_csv(tmp_path / "csv", header=("x", "y", "z"), delimiter=";", lineterminator="\n")
    text = (tmp_path / "csv" / "part-00000.csv").read_text("utf-8")
    assert text == 'x;y;z\né;1;\n"a\nb";2.5;"c;d"\n'


def test_an_empty_partition_has_its_names_and_nothing_else(ctx: Context, tmp_path: Path) -> None:
    ctx.parallelize([[1, 2]], 2).save_as_csv(tmp_path / "out", header=["a", "b"])
    assert [part.read_text() for part in sorted((tmp_path / "out").glob("part-*"))] == ["a,b\n", "a,b\n1,2\n"]
    assert ctx.csv(tmp_path / "out", header=True).collect() == [{"a": "1", "b": "2"}]


def test_dictionaries_fill_their_columns_by_name(ctx: Context, tmp_path: Path) -> None:
    rows = [{"b": 1, "a": 2}, {"a": 3}, [4, 5]]
    ctx.parallelize(rows, 1).save_as_csv(tmp_path / "out", header=iter(["a", "b"]))
    assert ctx.csv(tmp_path / "out").collect() == [["a", "b"], ["2", "1"], ["3", ""], ["4", "5"]]


@pytest.mark.parametrize(
    ("record", "header", "why"),
    [
        ("text", None, "is not a row"),
        (b"bytes", None, "is not a row"),
        (7, None, "is not a row"),
        ({"a": 1}, None, r"the columns have no names. Say header="),
        ({"a": 1, "c": 2}, ["a", "b"], "has 'c', which is no column"),
        (["\ud800"], None, "cannot be written as CSV"),
    ],
)
def test_a_record_that_is_no_row_is_shown(ctx: Context, tmp_path: Path, record: Any, header: Any, why: str) -> None:
    with pytest.raises(TaskFailed, match=why):
        ctx.parallelize([[1, 2], record], 1).save_as_csv(tmp_path / "out", header=header)
    assert not (tmp_path / "out").exists()


def test_a_dialect_that_cannot_write_a_record_says_which(ctx: Context, tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match=r"\['a,b'\] cannot be written as CSV: need to escape"):
        ctx.parallelize([["a"], ["a,b"]], 1).save_as_csv(tmp_path / "out", quoting=csv.QUOTE_NONE)


@pytest.mark.parametrize(
    "how",
    [
        {"delimiter": ""},
        {"delimiter": "\n"},
        {"escapechar": "\r"},
        {"dialect": "none"},
        {"quotechar": 7},
        {"field_limit": 0},
    ],
)
def test_a_dialect_that_means_nothing_is_refused(ctx: Context, tmp_path: Path, how: dict[str, Any]) -> None:
    (tmp_path / "file.csv").write_text("a,b\n")
    with pytest.raises(UsageError):
        ctx.csv(tmp_path / "file.csv", **how)


@pytest.mark.parametrize("header", [True, "ab", 7])
def test_a_header_is_names(ctx: Context, tmp_path: Path, header: Any) -> None:
    with pytest.raises(UsageError, match="header must be the names of the columns"):
        ctx.parallelize([[1]]).save_as_csv(tmp_path / "out", header=header)
