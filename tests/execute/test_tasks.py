"""What a task's body does around the data: phases, pauses, cancellation, sinks, and blocks that are lost."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from headrace.execute import helpers
from headrace.execute.chunks import CHUNK_RECORDS, frame, loads
from headrace.execute.shared import Accumulator
from headrace.ids import AttemptId, TaskId
from headrace.plan.formats import Lines
from headrace.plan.operators import ReadSlices
from headrace.plan.partitioners import RangePartitioner
from headrace.plan.stages import FileSink, RecordsSink, ValueSink, compile_job
from headrace.ports import BlockLost, TaskCancelled
from tests.execute.help import RESULT, MemoryPort, World
from tests.plan.lineage import Lineage, user


def test_a_range_is_dealt_out_whole_and_in_order() -> None:
    make = Lineage()
    for values, number in ((range(10), 3), (range(0), 4), (range(5), 8), (range(100, 0, -7), 3), (range(20_000), 2)):
        parts = World().records(make.numbers(values, number))
        assert [value for part in parts for value in part] == list(values)
        assert len(parts) == number
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("number", [0, 12, CHUNK_RECORDS + 1])
def test_the_records_of_a_range_are_told_of_as_they_are(number: int) -> None:
    (port,) = World().run(Lineage().numbers(range(number), 1), ValueSink(user(helpers.count)))
    assert port.told_of == number


def test_slices_too_large_for_the_plan_come_from_the_programs_store() -> None:
    make = Lineage()
    world = World(piece=5)
    world.blocks = {"slice-1": frame([1, 2], 2) + frame([3], 1), "slice-2": b""}
    slices = make.operator("parallelize", ReadSlices((frame(["in"], 1), None, None), ("", "slice-1", "slice-2")), (), 3)
    assert world.records(slices) == [["in"], [1, 2, 3], []]


def test_unions_put_partitions_side_by_side_or_end_to_end() -> None:
    make = Lineage()
    one, other = make.slices([[1], [2]]), make.slices([[3], [4]])
    assert World().records(make.union(one, other, one)) == [[1], [2], [3], [4], [1], [2]]
    assert World().records(make.union(one, other, one, zipped=True)) == [[1, 3, 1], [2, 4, 2]]
    nested = make.union(make.union(one, other), make.union(other, make.record(one, "map", str)))
    assert World().records(nested) == [[1], [2], [3], [4], [3], [4], ["1"], ["2"]]


def test_a_function_of_partitions_is_told_which_one_it_has() -> None:
    """Below a union, the number is that of its own input's partition."""
    make = Lineage()
    numbered = make.partitions(make.slices([["a"], ["b"]]), lambda p, records: [(p, *records)], indexed=True)
    assert World().records(numbered) == [[(0, "a")], [(1, "b")]]
    assert World().records(make.union(make.slices([["x"]]), numbered)) == [["x"], [(0, "a")], [(1, "b")]]


@pytest.mark.parametrize("limit", [0, 1, 3, 4, 5, 100])
def test_a_limit_takes_no_more_and_computes_little_more(limit: int) -> None:
    seen: list[int] = []
    make = Lineage()
    counted = Accumulator(1, 0)

    def count(record: int) -> int:
        counted.add(1)
        return record

    (port,) = World().run(make.record(make.numbers(range(10**6), 1), "map", count), RecordsSink(limit))
    assert [record for chunk in port.brought.values() for record in chunk] == list(range(limit))
    assert port.finished is not None
    assert port.finished.records == limit
    updates = loads(port.finished.updates) if port.finished.updates else {1: 0}
    assert updates[1] <= limit
    assert seen == []


@pytest.mark.parametrize("text", ["", "plain", "Äther\u2028", "\ud800", "a\nb"])
def test_text_is_written_line_by_line(tmp_path: Path, text: str) -> None:
    make = Lineage()
    tip = make.record(make.numbers(range(3), 1), "map", lambda i: (text, i)[i % 2])
    expected = f"{text}\n1\n{text}\n".encode("utf-8", "surrogateescape") if text != "\ud800" else b""
    if text == "\ud800":
        with pytest.raises(UnicodeEncodeError):
            World().run(tip, FileSink(str(tmp_path), Lines()))
        return
    World().run(tip, FileSink(str(tmp_path), Lines()))
    assert (tmp_path / "part").read_bytes() == expected


def test_an_empty_partition_is_an_empty_file(tmp_path: Path) -> None:
    make = Lineage()
    World().run(make.slices([[]]), FileSink(str(tmp_path), Lines()))
    assert (tmp_path / "part").read_bytes() == b""


def test_a_file_is_closed_when_a_record_fails(tmp_path: Path) -> None:
    make = Lineage()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ZeroDivisionError):
        World().run(
            make.record(make.numbers(range(3), 1), "map", lambda i: 1 // (i - 2)), FileSink(str(tmp_path), Lines())
        )
    assert len(os.listdir("/proc/self/fd")) == before


def test_values_come_back_one_for_each_partition() -> None:
    make = Lineage()
    ports = World().run(make.numbers(range(10), 3), ValueSink(user(helpers.add_up)))
    assert [port.brought.values() for port in ports] == [[[3]], [[12]], [[30]]]


def test_phases_are_noted_in_their_order() -> None:
    make = Lineage()
    world = World()
    world.run(make.grouped(make.record(make.numbers(range(10), 2), "pair"), 1))
    above, _, below = world.ports
    assert above.phases == ["compute", "write"]
    assert below.phases == ["compute", "fetch", "compute", "fetch", "compute", "fetch", "compute"]


LONG = 20 * CHUNK_RECORDS


def _endless_pairs() -> Any:
    make = Lineage()
    return make, make.record(make.numbers(range(LONG), 1), "pair")


def tips() -> dict[str, Any]:
    make, pairs = _endless_pairs()
    ranges = RangePartitioner(1, user(abs), ascending=True)
    ranges.settle([])
    return {
        "narrow": pairs,
        "partitions": make.partitions(pairs, lambda records: records),
        "grouped": make.grouped(pairs, 1),
        "sorted": make.merged("sort", make.moved(make.numbers(range(LONG), 1), ranges, keyed_by=abs)),
        "moved": make.merged("as is", make.moved(pairs, 1)),
    }


@pytest.mark.parametrize("name", tips())
def test_a_task_looks_between_chunks_whether_it_is_to_stop(name: str) -> None:
    """However long its partition: at least once for each chunk, in every kind of task."""
    tip = tips()[name]
    world = World()
    world.run(tip)
    for stage in compile_job(tip, RecordsSink(), result_stage=RESULT, name="test"):
        for allowed in (0, 3, 9):
            body, port = world.body(stage.program, TaskId(stage.spec.id, 0))
            port.cancel_after = allowed
            with pytest.raises(TaskCancelled):
                body.run()
            assert port.paused == allowed + 1
    assert all(port.paused >= LONG / CHUNK_RECORDS / 2 for port in world.ports if port.cancel_after is None)


@pytest.mark.parametrize("damage", ["flip", "cut", "zeros"])
def test_a_damaged_part_names_who_wrote_it(damage: str) -> None:
    make = Lineage()
    tip = make.grouped(make.record(make.numbers(range(100), 3), "pair"), 2)
    world = World()
    world.run(tip)
    output = next(output for (_, place), output in world.outputs.items() if place == 1)
    good = output.parts[0]
    bad = {"flip": good[:-1] + bytes([good[-1] ^ 1]), "cut": good[:-1], "zeros": bytes(len(good))}[damage]
    output.parts[0] = bad
    *_, stage = compile_job(tip, RecordsSink(), result_stage=RESULT, name="test")
    body, _ = world.body(stage.program, TaskId(RESULT, 0))
    with pytest.raises(BlockLost) as caught:
        body.run()
    assert caught.value.lost == ((1, AttemptId(7)),)
    assert caught.value.stage == next(iter(world.outputs))[0]
    sound, _ = world.body(stage.program, TaskId(RESULT, 1))
    sound.run()


def test_what_is_added_to_accumulators_is_reported_and_nothing_if_nothing_was() -> None:
    total = Accumulator(5, 100)

    def add(record: int) -> int:
        total.add(record)
        return record

    make = Lineage()
    ports: list[MemoryPort] = World().run(make.record(make.numbers(range(10), 2), "map", add))
    assert [loads(port.finished.updates) for port in ports if port.finished] == [{5: 10}, {5: 35}]
    (plain,) = World().run(make.numbers(range(3), 1))
    assert plain.finished is not None
    assert plain.finished.updates == b""
    assert total.value == 100
