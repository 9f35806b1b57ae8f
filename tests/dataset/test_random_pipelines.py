"""Random chains of operators give what plain Python gives: in this process, on worker processes, and through disasters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from tests.dataset.pipelines import PIPELINES, STEPS, Pipeline, faces


@pytest.fixture(scope="module")
def ctx() -> Iterator[Context]:
    with headrace.connect("inline://", progress=False) as context:
        yield context


def check(ctx: Context, pipeline: Pipeline) -> None:
    dataset, expected = pipeline.dataset(ctx), pipeline.expected()
    assert faces(dataset.collect()) == expected
    assert dataset.count() == len(expected)  # once more, from what the first action left
    assert faces(dataset.collect()) == expected


@given(pipeline=PIPELINES)
@settings(max_examples=300)
@example(pipeline=Pipeline([[(1, 2)], [], [(1.0, 3), (True, 4)]], tuple((step, 3) for step in STEPS)))
def test_inline(ctx: Context, pipeline: Pipeline) -> None:
    check(ctx, pipeline)


@given(pipeline=PIPELINES, seed=st.integers(0, 10_000))
@settings(max_examples=100)
def test_in_a_simulated_world_where_everything_goes_wrong(pipeline: Pipeline, seed: int) -> None:
    with headrace.connect(f"sim://?workers=4&hosts=2&seed={seed}&faults=all", progress=False) as ctx:
        check(ctx, pipeline)


@given(pipeline=PIPELINES)
@settings(max_examples=40)
def test_on_worker_processes(local: Context, pipeline: Pipeline) -> None:
    check(local, pipeline)
