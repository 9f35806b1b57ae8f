"""A function that raises StopIteration must not end its partition early, nor lose a record: that is silent loss of data.

Iterators of Python's own take it for the end of their input, wherever it comes from.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.execute import helpers
from headrace.execute.flow import StoppedEarly
from headrace.plan.formats import Lines
from headrace.plan.operators import Operator
from headrace.plan.partitioners import FunctionPartitioner, RangePartitioner
from headrace.plan.stages import FileSink, RecordsSink, ValueSink
from tests.execute.help import World
from tests.plan.lineage import Lineage, combining, reducing, user

RECORDS = list(range(40))
PLACES = [0, 1, 3, 4, 5, 18, 38, 39]  # at the ends of the source, of its chunks and of the batches taken from it


class Stops:
    """Raises at one record; otherwise returns what it was given."""

    def __init__(self, at: int, wrap: Callable[[Any], Any] = lambda record: record) -> None:
        self.at, self.wrap = at, wrap

    def __call__(self, record: Any) -> Any:
        if record == self.at:
            raise StopIteration
        return self.wrap(record)


def pairs(make: Lineage) -> Operator:
    return make.record(make.slices([RECORDS]), "key_by", abs)


def ends_early(at: int) -> Callable[[Any], Iterator[Any]]:
    def function(record: Any) -> Iterator[Any]:
        return map(Stops(at), [record, record])

    return function


OPERATORS: dict[str, Callable[[Lineage, int], Operator]] = {
    "map": lambda make, at: make.record(make.slices([RECORDS]), "map", Stops(at)),
    "filter": lambda make, at: make.record(make.slices([RECORDS]), "filter", Stops(at)),
    "flat_map": lambda make, at: make.record(make.slices([RECORDS]), "flat_map", Stops(at, lambda r: [r])),
    "key_by": lambda make, at: make.record(make.slices([RECORDS]), "key_by", Stops(at)),
    "map_values": lambda make, at: make.record(pairs(make), "map_values", Stops(at)),
    "flat_map_values": lambda make, at: make.record(pairs(make), "flat_map_values", Stops(at, lambda r: [r])),
    "map behind map": lambda make, at: make.record(make.record(make.slices([RECORDS]), "map", Stops(at)), "map", abs),
    "map before filter": lambda make, at: make.record(
        make.record(make.slices([RECORDS]), "filter", lambda r: True), "map", Stops(at)
    ),
    "behind flat_map": lambda make, at: make.record(
        make.record(make.slices([RECORDS]), "flat_map", lambda r: [r, r]), "map", Stops(at)
    ),
    "in map_partitions": lambda make, at: make.partitions(
        make.slices([RECORDS]), lambda records: (Stops(at)(record) for record in records)
    ),
    "below map_partitions": lambda make, at: make.partitions(
        make.record(make.slices([RECORDS]), "map", Stops(at)), lambda records: [sum(records)]
    ),
    "before a second map_partitions": lambda make, at: make.partitions(
        make.partitions(make.record(make.slices([RECORDS]), "map", Stops(at)), iter), lambda records: [len([*records])]
    ),
    "key of a sort": lambda make, at: _sorted(make, Stops(at), abs),
    "key of a range": lambda make, at: _sorted(make, abs, Stops(at)),
    "partition function": lambda make, at: make.merged(
        "as is", make.moved(pairs(make), FunctionPartitioner(2, user(Stops(at))))
    ),
    "create": lambda make, at: make.combined(pairs(make), combining(Stops(at), operator.add, operator.add), 2),
    "merge value": lambda make, at: make.combined(
        _one_key(make), combining(abs, lambda a, b: Stops(at)(b), operator.add), 1
    ),
    "reduce": lambda make, at: make.combined(_one_key(make), reducing(lambda a, b: Stops(at)(b)), 1),
    "merge combiners": lambda make, at: make.combined(
        make.record(make.slices([[r] for r in RECORDS]), "map", lambda r: (0, r)),
        combining(lambda v: v, operator.add, lambda a, b: Stops(at)(b)),
        1,
    ),
}
NEVER_CALLED = {("merge value", 0), ("reduce", 0), ("merge combiners", 0)}  # the first value only starts


def _sorted(make: Lineage, keyed_by: Callable[[Any], Any], range_key: Callable[[Any], Any]) -> Operator:
    ranges = RangePartitioner(2, user(range_key), ascending=True)
    ranges.settle([(10, 1.0), (20, 1.0)])
    source = make.record(make.slices([RECORDS]), "map", keyed_by) if keyed_by is abs else make.slices([RECORDS])
    return make.merged("sort", make.moved(source, ranges, keyed_by=keyed_by if keyed_by is not abs else range_key))


def _one_key(make: Lineage) -> Operator:
    return make.record(make.slices([RECORDS]), "map", lambda record: (0, record))


@pytest.mark.parametrize("where", OPERATORS)
def test_it_is_an_error_whatever_function_raised_it_at_whatever_record(where: str) -> None:
    for at in PLACES:
        if (where, at) in NEVER_CALLED:
            continue
        with pytest.raises((StoppedEarly, RuntimeError, StopIteration)):
            World(budget=1_000).run(OPERATORS[where](Lineage(), at))


def _value(function: Callable[..., Any]) -> ValueSink:
    return ValueSink(user(function))


@pytest.mark.parametrize(
    "sink",
    [
        RecordsSink(),
        RecordsSink(limit=1_000),
        _value(helpers.count),
        _value(helpers.add_up),
        _value(list),
        _value(lambda records: list(records)),
        _value(lambda records: helpers.largest(3, None, records)),
        _value(lambda records: helpers.fold_up(operator.add, records)),
    ],
    ids=["collect", "take", "count", "sum", "list", "loop", "top", "reduce"],
)
@pytest.mark.parametrize("at", PLACES)
def test_every_sink_notices(sink: Any, at: int) -> None:
    make = Lineage()
    with pytest.raises(StoppedEarly):
        World().run(make.record(make.slices([RECORDS]), "map", Stops(at)), sink)


def test_a_function_of_an_action_that_raises_it_is_an_error() -> None:
    make = Lineage()
    for function in (
        lambda records: helpers.call_each(Stops(5), records),
        lambda records: helpers.largest(3, Stops(5), records),
        lambda records: helpers.fold_up(lambda a, b: Stops(5)(b), records),
    ):
        with pytest.raises((StoppedEarly, RuntimeError, StopIteration)):
            World().run(make.slices([RECORDS]), _value(function))


class Unwritable:
    def __str__(self) -> str:
        raise StopIteration


def test_a_record_that_raises_it_when_it_is_written_is_not_left_out(tmp_path: Path) -> None:
    make = Lineage()
    with pytest.raises((RuntimeError, StopIteration)):
        World().run(make.slices([["a", Unwritable(), "b"]]), FileSink(str(tmp_path), Lines()))


@pytest.mark.parametrize("limit", range(1, 12))
def test_records_before_it_may_be_taken(limit: int) -> None:
    """Nobody who asks for ten records is told of the eleventh."""
    make = Lineage()
    tip = make.record(make.slices([RECORDS]), "map", Stops(11))
    (port,) = World().run(tip, RecordsSink(limit))
    assert [record for chunk in port.brought.values() for record in chunk] == RECORDS[:limit]


def test_the_message_says_what_to_do() -> None:
    make = Lineage()
    with pytest.raises(StoppedEarly, match="raised StopIteration") as caught:
        World().run(make.record(make.slices([RECORDS]), "map", Stops(7)))
    assert "next(iterator, default)" in str(caught.value)


def test_a_generator_of_the_users_that_ends_is_not_an_error() -> None:
    make = Lineage()

    def first_three(records: Iterator[Any]) -> Iterator[Any]:
        for _, record in zip(range(3), records, strict=False):
            yield record

    tip = make.partitions(make.record(make.slices([RECORDS]), "map", abs), first_three)
    assert World().records(tip) == [[0, 1, 2]]
