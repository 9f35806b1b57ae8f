"""Actions: what makes a job run, and what it brings back."""

from __future__ import annotations

import functools
import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from headrace.dataset.arguments import whole
from headrace.dataset.engine import Engine
from headrace.dataset.keyed import count_values
from headrace.dataset.narrow import per_record
from headrace.errors import KeyProblem, NoRecords, TaskFailed
from headrace.execute import helpers
from headrace.execute.blame import blame
from headrace.execute.combine import key_of
from headrace.loops.jobs import JobHandle
from headrace.plan.functions import UserFunction, call_site, user_function
from headrace.plan.hashing import unhashable
from headrace.plan.operators import Operator
from headrace.plan.stages import RecordsSink, ValueSink

GROW = 4  # `take` looks at no more than so many times the partitions it has seen, at once
OPTIMISM = 1.5  # and at so many more than the records seen so far promise to be enough


def collect(engine: Engine, source: Operator, name: str = "collect") -> list[Any]:
    """Bring all records."""
    return [record for chunk in engine.records(source, name) for record in chunk]


def collect_as_map(engine: Engine, source: Operator) -> dict[Any, Any]:
    """Bring all pairs as a dictionary."""
    found: dict[Any, Any] = {}
    for chunk in engine.records(source, "collect_as_map"):
        try:
            found.update(chunk)
        except (TypeError, ValueError):
            for record in chunk:
                if type(key := key_of(record)).__hash__ is None:
                    raise KeyProblem(unhashable(key)) from None
            raise
    return found


def to_local_iterator(engine: Engine, source: Operator, *, prefetch: bool) -> Iterator[Any]:
    """Bring the records, one partition at a time; meanwhile, perhaps, compute the next one."""

    def begin(partition: int) -> JobHandle:
        return engine.start(source, RecordsSink(), "to_local_iterator", [partition])

    ahead: JobHandle | None = None
    try:
        for partition in range(source.partitions):
            handle, ahead = ahead or begin(partition), None
            engine.finish(handle)
            if prefetch and partition + 1 < source.partitions:
                ahead = begin(partition + 1)
            for chunk in handle.values(partition):
                yield from chunk
    finally:
        if ahead is not None:
            engine.call_off(ahead.request.id)


def per_partition(engine: Engine, source: Operator, function: Callable[..., Any], name: str) -> list[Any]:
    """Run a function on each partition's iterator, and bring what it returns."""
    return engine.values(source, ValueSink(UserFunction(function, name, call_site())), name)


def with_function(
    engine: Engine, source: Operator, helper: Callable[..., Any], function: Callable[..., Any], name: str
) -> list[Any]:
    """Run a helper that takes a function of the user's on each partition."""
    taken = user_function(function, name)
    sink = ValueSink(UserFunction(functools.partial(helper, taken.call), name, taken.site))
    return engine.values(source, sink, name)


def in_program(name: str, merge: Callable[[], Any]) -> Any:
    """Merge what the partitions returned; a function that fails here fails as it would in a task.

    Raises:
        TaskFailed: it raised something.

    """
    try:
        return merge()
    except Exception as error:
        what = blame(error, None, ())
        site = call_site()
        text = msgspec.structs.replace(what, operator=name, site=site).text()
        where = "That was in the program itself, where what the partitions gave is merged."
        raise TaskFailed(f"\n{text}\n\n{where} Mend the function and run it again.") from error


def count(engine: Engine, source: Operator, name: str = "count") -> int:
    """Count the records."""
    return sum(per_partition(engine, source, helpers.count, name))


def add_up(engine: Engine, source: Operator) -> Any:
    """Add the records."""
    parts = per_partition(engine, source, helpers.add_up, "sum")
    return in_program("sum", lambda: sum(parts))


def reduce(engine: Engine, source: Operator, function: Callable[[Any, Any], Any]) -> Any:
    """Merge all records into one."""
    parts = [part[0] for part in with_function(engine, source, helpers.fold_up, function, "reduce") if part]
    if not parts:
        raise NoRecords("reduce() of a dataset without records. Ask take(1) first, or union a neutral record.")
    return in_program("reduce", lambda: functools.reduce(function, parts))


def take(engine: Engine, source: Operator, number: int, name: str = "take") -> list[Any]:
    """Bring the first records, looking at few partitions first."""
    number = whole(number, "num", 0)
    found: list[Any] = []
    tried, step = 0, 1
    while len(found) < number and tried < source.partitions:
        some = list(range(tried, min(tried + step, source.partitions)))
        for chunk in engine.records(source, name, some, limit=number - len(found)):
            found += chunk
        tried += len(some)
        step = GROW * tried
        if found:
            step = min(step, max(1, int(OPTIMISM * number * tried / len(found)) - tried))
    return found[:number]


def first(engine: Engine, source: Operator) -> Any:
    """Bring the first record."""
    found = take(engine, source, 1, "first")
    if not found:
        raise NoRecords("first() of a dataset without records. Ask take(1), which may return nothing.")
    return found[0]


def top(engine: Engine, source: Operator, number: int, key: Callable[[Any], Any] | None) -> list[Any]:
    """Bring the largest records, the largest first."""
    number = whole(number, "num", 0)
    taken = user_function(key, "top").call if key is not None else None
    largest = functools.partial(helpers.largest, number, taken)
    parts = per_partition(engine, source, largest, "top")
    found: list[Any] = in_program("top", lambda: heapq.nlargest(number, itertools.chain.from_iterable(parts), key))
    return found


def take_ordered(engine: Engine, source: Operator, number: int, key: Callable[[Any], Any] | None) -> list[Any]:
    """Bring the smallest records, the smallest first."""
    number = whole(number, "num", 0)
    taken = user_function(key, "take_ordered").call if key is not None else None
    parts = per_partition(engine, source, functools.partial(helpers.smallest, number, taken), "take_ordered")
    merged = functools.partial(heapq.nsmallest, number, itertools.chain.from_iterable(parts), key)
    found: list[Any] = in_program("take_ordered", merged)
    return found


def extreme(
    engine: Engine, source: Operator, which: Callable[..., Any], key: Callable[[Any], Any] | None, name: str
) -> Any:
    """Bring the largest or the smallest record."""
    taken = user_function(key, name).call if key is not None else None
    helper = functools.partial(helpers.extreme, which, taken)
    parts = [part[0] for part in per_partition(engine, source, helper, name) if part]
    if not parts:
        raise NoRecords(f"{name}() of a dataset without records. Ask take(1) first, or union a neutral record.")
    return in_program(name, lambda: which(parts, key=key))


def count_by_value(engine: Engine, source: Operator, name: str = "count_by_value") -> defaultdict[Any, int]:
    """Count how often each record occurs."""
    found: defaultdict[Any, int] = defaultdict(int)
    for chunk in engine.records(count_values(engine, source, name), name):
        found.update(chunk)
    return found


def count_by_key(engine: Engine, source: Operator) -> defaultdict[Any, int]:
    """Count how often each key occurs."""
    return count_by_value(engine, per_record(engine, source, "keys"), "count_by_key")


def foreach(engine: Engine, source: Operator, function: Callable[[Any], Any]) -> None:
    """Call a function for every record, for its effect."""
    with_function(engine, source, helpers.call_each, function, "foreach")


def foreach_partition(engine: Engine, source: Operator, function: Callable[[Iterator[Any]], Any]) -> None:
    """Call a function for every partition's iterator, for its effect."""
    with_function(engine, source, helpers.call_once, function, "foreach_partition")
