"""A program is sent with digests where its functions were, and comes back with the functions that they name."""

from __future__ import annotations

import operator
import pickle
from collections.abc import Callable
from typing import Any

from headrace.ids import Digest, StageId
from headrace.plan.partitioners import FunctionPartitioner, RangePartitioner
from headrace.plan.stages import Program, RecordsSink, ShuffleSink, ValueSink, compile_job, dump_program, load_program
from tests.plan.lineage import Lineage, combining, reducing, user


def journey(program: Program) -> tuple[Program, dict[Digest, bytes]]:
    """Send a program and its functions, and load both."""
    blob, functions = dump_program(program)
    blobs = {function.digest: function.blob for function in functions}
    loaded: dict[Digest, Callable[..., Any]] = {digest: pickle.loads(data) for digest, data in blobs.items()}
    return load_program(blob, loaded.__getitem__), blobs


def test_functions_stay_out_and_come_back() -> None:
    make = Lineage()
    secret = "a string that would be seen"
    tip = make.record(make.numbers(range(3), 1), "map", lambda x: (secret, x))
    (stage,) = compile_job(tip, RecordsSink(), result_stage=StageId(900), name="collect")
    blob, _ = stage.pack()
    assert secret.encode() not in blob
    again, _ = journey(stage.program)
    function = again.nodes[1].body.function  # type: ignore[union-attr]
    assert function is not None
    assert function.call(3) == (secret, 3)
    assert (function.label, function.site) == ("map", tip.body.function.site)  # type: ignore[union-attr]


def test_a_function_that_is_used_twice_travels_once() -> None:
    make = Lineage()
    aggregate = reducing(operator.add)
    tip = make.combined(make.record(make.record(make.numbers(range(3), 1), "map", len), "map", len), aggregate, 2)
    stages = compile_job(tip, RecordsSink(), result_stage=StageId(900), name="collect")
    assert [len(journey(stage.program)[1]) for stage in stages] == [2, 1]


def test_every_place_a_function_can_be_in_survives() -> None:
    make = Lineage()
    pairs = make.record(make.numbers(range(3), 1), "key_by", str)
    aggregate = combining(lambda v: [v], lambda c, v: [*c, v], lambda a, b: a + b)
    by = FunctionPartitioner(3, user(len, "partition_func"))
    tip = make.combined(pairs, aggregate, by)
    above, below = compile_job(tip, ValueSink(user(list, "collect")), result_stage=StageId(900), name="collect")
    sink = journey(above.program)[0].sink
    assert isinstance(sink, ShuffleSink)
    assert sink.partitioner.partition("abcd") == 1
    assert sink.combine is not None
    assert sink.combine.create is not None
    assert sink.combine.create.call(1) == [1]
    again = journey(below.program)[0]
    assert isinstance(again.sink, ValueSink)
    assert again.sink.function.call("ab") == ["a", "b"]
    assert again.nodes[0].reads == (above.spec.id,)


def test_settled_bounds_travel() -> None:
    make = Lineage()
    ranges = RangePartitioner(3, user(abs, "sort_by"), ascending=False)
    ranges.settle([(key, 1.0) for key in range(30)] + [(float("nan"), 1.0)])
    moved = make.moved(make.numbers(range(3), 1), ranges, keyed_by=abs)
    above, _ = compile_job(make.merged("sort", moved), RecordsSink(), result_stage=StageId(900), name="collect")
    sink = journey(above.program)[0].sink
    assert isinstance(sink, ShuffleSink)
    keys = [-1, 0, 5, 9.5, 10, 11, 20, 29, 100, float("nan")]
    assert [sink.partitioner.partition(key) for key in keys] == [ranges.partition(key) for key in keys]


def test_a_class_of_the_programs_own_may_be_a_bound() -> None:
    make = Lineage()
    ranges = RangePartitioner(2, user(abs, "sort_by"), ascending=True)
    ranges.settle([((1, "a"), 1.0), ((2, "b"), 1.0)])
    moved = make.moved(make.numbers(range(3), 1), ranges, keyed_by=abs)
    above, _ = compile_job(make.merged("sort", moved), RecordsSink(), result_stage=StageId(900), name="collect")
    assert journey(above.program)[0].sink.partitioner.partition((1, "b")) == 1  # type: ignore[union-attr]
