"""Corners of the operators: what PySpark said when it was asked (pyspark.json, written by `record`), and where we differ."""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace.context import Context
from headrace.dataset import Dataset
from tests.dataset.reference import record
from tests.dataset.reference.answers import FAILS, answer

KNOWN = json.loads(record.PAGE.read_text(encoding="utf-8"))
PAGE = (Path(__file__).parents[3] / "docs" / "pyspark-differences.md").read_text(encoding="utf-8")

# What we answer instead, on purpose; the page of differences says why.
NO_PARTITIONS = "a number of partitions that means nothing is refused"
AS_DEALT = "or as an input is dealt already"
AS_LIST = "bounds come back as a list"
NO_PAIRS = "a record that is no pair is an error"
OURS = {
    **dict.fromkeys(
        [
            "ctx.parallelize([(1, 2, 3)], 1).map_values(lambda v: v + 1).collect()",
            "ctx.parallelize([(1, 2, 3)], 1).flat_map_values(lambda v: [v]).collect()",
            "ctx.parallelize([(1, 2, 3)], 1).join(ctx.parallelize([(1, 2)], 1)).collect()",
            "ctx.parallelize([(1, 2, 3)], 1).subtract_by_key(ctx.parallelize([(2, 0)], 1)).collect()",
            'ctx.parallelize(["ab"], 1).reduce_by_key(lambda a, b: a).collect()',
            'ctx.parallelize([{0: "a", 1: "b"}], 1).map_values(str.upper).collect()',
        ],
        (FAILS, NO_PAIRS),
    ),
    "ctx.parallelize([(1, 2, 3)], 1).sort_by_key().collect()": ("[(1, 2, 3)]", "sorted by what comes first"),
    "ctx.parallelize([3, 1], 2).sort_by(lambda x: x, num_partitions=0).collect()": (FAILS, NO_PARTITIONS),
    "ctx.parallelize([-5, 0, 5], 2).histogram(3)": (
        "([-5, -1.6666666666666665, 1.666666666666667, 5], [1, 1, 1])",
        "the least and the most as they are",
    ),
    "sorted(ctx.parallelize([1, 2, 3, 4], 2).stats().as_dict().items())": (
        "[('count', 4), ('max', 4), ('mean', 2.5), ('min', 1), ('stdev', 1.118033988749895), ('sum', 10.0), "
        "('variance', 1.25)]",
        "`as_dict(sample=False)`",
    ),
    "sorted(ctx.parallelize([1, 2, 3, 4], 2).stats().as_dict(True).items())": (
        "[('count', 4), ('max', 4), ('mean', 2.5), ('min', 1), ('stdev', 1.2909944487358056), ('sum', 10.0), "
        "('variance', 1.6666666666666667)]",
        "`as_dict(sample=False)`",
    ),
    "ctx.parallelize([(1, 2)], 2).group_by_key(0).collect()": (FAILS, NO_PARTITIONS),
    "ctx.parallelize([(1, 2)], 2).reduce_by_key(lambda a, b: a, -1).collect()": (FAILS, NO_PARTITIONS),
    "ctx.parallelize([(1, 2)], 2).partition_by(0).collect()": (FAILS, NO_PARTITIONS),
    "ctx.parallelize([(1, 2)], 2).partition_by(3).reduce_by_key(lambda a, b: a).get_num_partitions()": ("3", AS_DEALT),
    "ctx.parallelize([(1, 2)], 2).partition_by(3).distinct().get_num_partitions()": ("8", "number of partitions"),
    'ctx.parallelize(["ab", "ac", "b", "bd", "ef"], 2).histogram(("a", "b", "c"))': (
        "(['a', 'b', 'c'], [2, 2])",
        AS_LIST,
    ),
    "ctx.parallelize([1, 2], 2).histogram((0, 1, 2))": ("([0, 1, 2], [0, 2])", AS_LIST),
}

# Methods whose arguments are not PySpark's, and names that are not there; the page of differences says why.
# fmt: off
OTHER_ARGUMENTS = {
    "partition_by", "repartition_and_sort_within_partitions", "sort_by_key",  # defaults that mean the same
    "persist", "pipe", "save_as_pickle_file", "save_as_text_file", "text_file", "whole_text_files", "pickle_file",
    "binary_records", "binary_files", "accumulator", "set_job_group", "aggregate_by_key", "combine_by_key",
}
NOT_THERE = {
    "clean_shuffle_dependencies", "collect_with_job_group", "get_resource_profile", "map_partitions_with_split", "to_df",
    "with_resources",
}
OF_HADOOP = {
    "save_as_hadoop_dataset", "save_as_hadoop_file", "save_as_new_apihadoop_dataset", "save_as_new_apihadoop_file",
    "save_as_sequence_file",
}
PROPERTIES = {"is_checkpointed", "is_locally_checkpointed", "name"}
# fmt: on


@pytest.fixture(scope="module")
def ctx() -> Iterator[Context]:
    with headrace.connect("inline://", progress=False) as context:
        yield context


def test_the_answers_are_those_of_these_questions() -> None:
    assert list(KNOWN["answers"]) == record.corners()
    assert len(set(record.corners())) == len(record.corners())
    assert set(OURS) <= set(record.corners())


@pytest.mark.parametrize("expression", record.corners())
def test_corners_are_those_of_pyspark(ctx: Context, expression: str) -> None:
    expected = KNOWN["answers"][expression]
    if expression in OURS:
        ours, why = OURS[expression]
        assert ours != expected, "no difference any more"
        assert why in PAGE
        expected = ours
    assert answer(expression, ctx) == expected


def ours(kind: type, name: str) -> list[list[str]] | None:
    """Return what a method of ours takes; None for what is none."""
    member = inspect.getattr_static(kind, name)
    return [[one.name, record.default(one)] for one in record.arguments(member)] if callable(member) else None


def means_the_same(theirs: list[list[str]], mine: list[list[str]]) -> bool:
    """Compare arguments: names, order and defaults; ours may have more, and a function is `None` unless it is given."""
    return len(mine) >= len(theirs) and all(
        one == other or (one[0] == other[0] and one[1] == "given" and other[1] == "None")
        for one, other in zip(theirs, mine[: len(theirs)], strict=True)
    )


METHODS: dict[str, Any] = KNOWN["RDD"]


@pytest.mark.parametrize("name", METHODS)
def test_names_and_arguments_are_those_of_pyspark(name: str) -> None:
    if name in NOT_THERE | OF_HADOOP:
        assert not hasattr(Dataset, name)
        assert name in OF_HADOOP or f"`{name}`" in PAGE
        return
    assert hasattr(Dataset, name), f"{name} is missing"
    theirs, mine = METHODS[name], ours(Dataset, name)
    if name in OTHER_ARGUMENTS or theirs is None:
        return
    if name in PROPERTIES:
        assert mine is None
        assert f"`{name}`" in PAGE
        return
    assert mine is not None
    assert means_the_same(theirs, mine), f"{name}: PySpark has {theirs}, we have {mine}"


@pytest.mark.slow
def test_pyspark_says_the_same_today(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("pyspark") is None or shutil.which("java") is None:
        pytest.skip("PySpark or Java is not here")
    monkeypatch.setattr(record, "PAGE", tmp_path / "pyspark.json")
    record.main()
    assert json.loads((tmp_path / "pyspark.json").read_text())["answers"] == KNOWN["answers"]
