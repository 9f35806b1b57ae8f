"""Random chains of operators, understood twice: by datasets, and by plain Python on one list of pairs.

What an operator may see depends on the order of the records only as far as PySpark promises one; so every step here is
blind to the order in which keys come, and the results are compared as bags.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from hypothesis import strategies as st

from headrace.context import Context
from headrace.dataset import Dataset
from tests.dataset import plain
from tests.dataset.data import PAIRS, Parts, canonical, flat, in_parts, lay_out

MODULUS = 997
Pairs = list[tuple[Any, int]]


class Step(NamedTuple):
    """An operator, as datasets do it and as lists do."""

    name: str
    run: Callable[[Dataset[Any], int | None], Dataset[Any]]
    model: Callable[[Pairs], Pairs]


def _shift(value: int) -> int:
    return (value * 3 + 1) % MODULUS


def _spread(pair: tuple[Any, int]) -> list[tuple[Any, int]]:
    return [(pair[1] % 5, pair[1]), (str(pair[1] % 3), _shift(pair[1]))]


def _even(pair: tuple[Any, int]) -> bool:
    return pair[1] % 2 == 0


def _halves(value: int) -> tuple[int, ...]:
    return (value // 2,) * (value % 3)


def _doubled(records: Iterable[tuple[Any, int]]) -> Iterator[tuple[Any, int]]:
    for key, value in records:
        yield key, value * 2 % MODULUS


def _digest(values: Iterable[int]) -> int:
    return sum(value * value for value in values) % MODULUS


def _product(two: tuple[int, int]) -> int:
    return (two[0] * 31 + two[1]) % MODULUS


def _merged(one: list[int], other: list[int]) -> list[int]:
    one.extend(other)  # changes the first, as PySpark allows
    return one


def _appended(values: list[int], value: int) -> list[int]:
    values.append(value)
    return values


def _maxima(pairs: Pairs) -> Pairs:
    return plain.reduced(pairs, max)


STEPS = [
    Step("map", lambda d, _: d.map(lambda p: (p[1] % 7, p[1])), lambda pairs: [(v % 7, v) for _, v in pairs]),
    Step("flat_map", lambda d, _: d.flat_map(_spread), lambda pairs: [q for p in pairs for q in _spread(p)]),
    Step("filter", lambda d, _: d.filter(_even), lambda pairs: [p for p in pairs if _even(p)]),
    Step("map_values", lambda d, _: d.map_values(_shift), lambda pairs: [(k, _shift(v)) for k, v in pairs]),
    Step(
        "flat_map_values",
        lambda d, _: d.flat_map_values(_halves),
        lambda pairs: [(k, w) for k, v in pairs for w in _halves(v)],
    ),
    Step("map_partitions", lambda d, _: d.map_partitions(_doubled, True), lambda pairs: list(_doubled(pairs))),
    Step("key_by", lambda d, _: d.values().key_by(lambda v: v % 4), lambda pairs: [(v % 4, v) for _, v in pairs]),
    Step("cache", lambda d, _: d.cache(), lambda pairs: pairs),
    Step("union", lambda d, _: d.union(d.filter(_even)), lambda pairs: pairs + [p for p in pairs if _even(p)]),
    Step("distinct", lambda d, n: d.distinct(n), lambda pairs: plain.distinct(pairs)),
    Step("partition_by", lambda d, n: d.partition_by(n), lambda pairs: pairs),
    Step(
        "partition_by len", lambda d, n: d.partition_by(n, lambda key: len(repr(canonical(key)))), lambda pairs: pairs
    ),
    Step("reduce_by_key", lambda d, n: d.reduce_by_key(operator.add, n), lambda p: plain.reduced(p, operator.add)),
    Step(
        "combine_by_key",
        lambda d, n: d.combine_by_key(lambda v: [v], _appended, _merged, n).map_values(_digest),
        lambda pairs: [(k, _digest(values)) for k, values in plain.gathered(pairs)],
    ),
    Step(
        "group_by_key",
        lambda d, n: d.group_by_key(n).map_values(_digest),
        lambda pairs: [(k, _digest(values)) for k, values in plain.gathered(pairs)],
    ),
    Step(
        "join",
        lambda d, n: d.join(d.reduce_by_key(max), n).map_values(_product),
        lambda pairs: [(k, _product(two)) for k, two in plain.joined(pairs, _maxima(pairs))],
    ),
    Step("sort_by", lambda d, n: d.sort_by(lambda p: p[1], False, n), lambda pairs: pairs),
]


class Pipeline(NamedTuple):
    """Input and steps."""

    parts: Parts
    steps: tuple[tuple[Step, int | None], ...]

    def __repr__(self) -> str:
        return f"{self.parts} through {[(step.name, number) for step, number in self.steps]}"

    def dataset(self, ctx: Context) -> Dataset[Any]:
        """Build it for a run."""
        made = lay_out(ctx, self.parts)
        for step, number in self.steps:
            made = step.run(made, number)
        return made

    def expected(self) -> list[str]:
        """Say what it gives."""
        pairs = flat(self.parts)
        for step, _ in self.steps:
            pairs = step.model(pairs)
        return faces(pairs)


def faces(pairs: Iterable[tuple[Any, Any]]) -> list[str]:
    """Show pairs regardless of their order and of which of several equal keys stands for them."""
    return sorted(repr((canonical(key), value)) for key, value in pairs)


PIPELINES = st.builds(
    Pipeline,
    in_parts(PAIRS),
    st.lists(st.tuples(st.sampled_from(STEPS), st.none() | st.integers(1, 4)), min_size=1, max_size=6).map(tuple),
)
