"""Actions, and what they mean."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable
from operator import add, sub
from typing import Any

from headrace.dataset import Dataset
from tests.dataset.data import flat
from tests.dataset.oracles.world import Oracle, Plain, World, about, attempt, spread


def folded(p: Plain, function: Callable[[Any, Any], Any]) -> Any:
    """Reduce each partition, and then what that gave."""
    parts = [functools.reduce(function, part) for part in p.numbers if part]
    return functools.reduce(function, parts) if parts else "nothing"


def text(p: Plain) -> str:
    return ",".join(map(str, p.all))


def together(one: str, other: str) -> str:
    return f"{one},{other}"


def seen(w: World, visit: Callable[[Dataset[Any], Any], None]) -> list[tuple[Any, int]]:
    counts = w.ctx.accumulator(Counter[Any]())
    visit(w.numbers, counts)
    return sorted(counts.value.items(), key=lambda pair: pair[0])


def counted(p: Plain) -> list[tuple[Any, int]]:
    return sorted(Counter(p.all).items(), key=lambda pair: pair[0])


def add_all(part: Any, counts: Any) -> None:
    counts.add(Counter(part))


def bins(p: Plain) -> tuple[list[int], list[int]]:
    bounds = [-40, -7, 0, 2, 45]
    inside = [sum(a <= x < b for x in p.all) for a, b in itertools.pairwise(bounds)]
    inside[-1] += p.all.count(45)
    return bounds, inside


def taken(w: World) -> tuple[int, bool, int]:
    few, many = w.numbers.take_sample(False, 5, 3), w.numbers.take_sample(True, 5, 3)
    return len(few), not Counter(few) - Counter(w.numbers.collect()), len(many)


def of_numbers(name: str, model: Callable[[list[Any]], float]) -> Oracle:
    """A mean or a spread: of no records, PySpark's own answer is nan for all of them but `mean`, which is 0."""

    def run(w: World) -> str:
        return about(getattr(w.numbers, name)())

    return Oracle(run, lambda p: about(model(p.all)))


def summed(p: Plain) -> tuple[Any, ...]:
    return len(p.all), about(sum(p.all)), about(max(p.all)) if p.all else "none", about(min(p.all)) if p.all else "none"


def summed_up(w: World) -> tuple[Any, ...]:
    found = w.numbers.stats()
    ends = (about(found.max()), about(found.min())) if found.count() else ("none", "none")
    return found.count(), about(found.sum()), *ends


ACTIONS = {
    "collect": Oracle(lambda w: w.left.collect(), lambda p: p.pairs),
    "count": Oracle(lambda w: w.left.count(), lambda p: len(p.pairs)),
    "reduce": Oracle(lambda w: attempt(lambda: w.numbers.reduce(sub)), lambda p: folded(p, sub)),
    "fold": Oracle(lambda w: w.numbers.fold(1, add), lambda p: sum((sum(part, 1) for part in p.numbers), 1)),
    "aggregate": Oracle(
        lambda w: w.numbers.aggregate("", lambda s, x: f"{s}{x} ", add), lambda p: "".join(f"{x} " for x in p.all)
    ),
    "tree_reduce": Oracle(
        lambda w: attempt(lambda: w.numbers.map(str).tree_reduce(together, 3)),
        lambda p: text(p) if p.all else "nothing",
    ),
    "tree_aggregate": Oracle(
        lambda w: w.numbers.tree_aggregate("", lambda s, x: f"{s}{x} ", add, 3),
        lambda p: "".join(f"{x} " for x in p.all),
    ),
    "sum": Oracle(lambda w: w.numbers.sum(), lambda p: sum(p.all)),
    "min": Oracle(lambda w: attempt(w.numbers.min), lambda p: min(p.all, default="nothing")),
    "max": Oracle(lambda w: attempt(lambda: w.numbers.max(abs)), lambda p: max(p.all, key=abs) if p.all else "nothing"),
    "mean": of_numbers("mean", lambda xs: sum(xs) / len(xs) if xs else 0.0),
    "variance": of_numbers("variance", lambda xs: spread(xs, sample=False) if xs else float("nan")),
    "stdev": of_numbers("stdev", lambda xs: spread(xs, sample=False) ** 0.5 if xs else float("nan")),
    "sample_variance": of_numbers("sample_variance", lambda xs: spread(xs, sample=True)),
    "sample_stdev": of_numbers("sample_stdev", lambda xs: spread(xs, sample=True) ** 0.5),
    "stats": Oracle(summed_up, summed),
    "histogram": Oracle(lambda w: w.numbers.histogram([-40, -7, 0, 2, 45]), bins),
    "count_approx_distinct": Oracle(lambda w: w.numbers.count_approx_distinct(0.01), lambda p: len(set(p.all))),
    "top": Oracle(
        lambda w: w.numbers.top(4, key=lambda x: x % 7), lambda p: sorted(p.all, key=lambda x: x % 7, reverse=True)[:4]
    ),
    "take_ordered": Oracle(lambda w: w.numbers.take_ordered(4), lambda p: sorted(p.all)[:4]),
    "take": Oracle(lambda w: [w.left.take(n) for n in (0, 2, 9)], lambda p: [p.pairs[:n] for n in (0, 2, 9)]),
    "first": Oracle(lambda w: attempt(w.left.first), lambda p: p.pairs[0] if p.pairs else "nothing"),
    "is_empty": Oracle(lambda w: w.left.is_empty(), lambda p: not p.pairs),
    "take_sample": Oracle(taken, lambda p: (min(5, len(p.all)), True, 5 if p.all else 0)),
    "to_local_iterator": Oracle(
        lambda w: (list(w.left.to_local_iterator()), list(w.left.to_local_iterator(True))), lambda p: (p.pairs, p.pairs)
    ),
    "foreach": Oracle(lambda w: seen(w, lambda d, counts: d.foreach(lambda x: counts.add(Counter([x])))), counted),
    "foreach_partition": Oracle(
        lambda w: seen(w, lambda d, counts: d.foreach_partition(lambda part: add_all(part, counts))), counted
    ),
    "get_num_partitions": Oracle(
        lambda w: (
            w.left.get_num_partitions(),
            w.left.union(w.right).get_num_partitions(),
            len(flat([w.left.glom().collect()])),
        ),
        lambda p: (len(p.left), len(p.left) + len(p.right), len(p.left)),
    ),
}
