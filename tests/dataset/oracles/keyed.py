"""Operators that bring equal keys together, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import add
from typing import Any

from tests.dataset import plain
from tests.dataset.data import canonical, glom
from tests.dataset.oracles.world import Oracle, Plain, World, bag, faces, is_part, lists


def joined(p: Plain, left: bool, right: bool) -> Iterator[tuple[Any, tuple[Any, Any]]]:
    """Pair the values of equal keys, and those without a partner with None where a side is kept."""
    ours, theirs = dict(keyed(p.pairs)), dict(keyed(p.others))
    for face in ours.keys() | theirs.keys():
        one = ours.get(face, [None] if right else [])
        other = theirs.get(face, [None] if left else [])
        yield from ((face, (a, b)) for a in one for b in other)


def keyed(pairs: list[Any]) -> list[tuple[Any, list[Any]]]:
    return [(canonical(key), values) for key, values in plain.gathered(pairs)]


def together(*sides: list[Any]) -> Iterator[tuple[Any, tuple[list[Any], ...]]]:
    """Gather the values of each key of any side."""
    tables = [dict(keyed(side)) for side in sides]
    for face in set().union(*tables):
        yield face, tuple(table.get(face, []) for table in tables)


def by_name(name: str, left: bool, right: bool) -> Oracle:
    def run(w: World) -> list[str]:
        return faces(getattr(w.left, name)(w.right, w.number).collect())

    return Oracle(run, lambda p: faces(joined(p, left, right)))


def placed(w: World) -> tuple[list[str], int, bool]:
    """Deal by key: all pairs, how many partitions, and whether each key has one home."""
    parts = glom(w.left.partition_by(w.number or 3))
    homes = [{canonical(key) for key, _ in part} for part in parts]
    return faces(pair for part in parts for pair in part), len(parts), sum(map(len, homes)) == len(set().union(*homes))


def in_order(key: Callable[[Any], Any], down: bool) -> Callable[[Plain], Any]:
    return lambda p: sorted(p.all, key=key, reverse=down)


def within(p: Plain) -> list[list[Any]]:
    number = p.number or 3
    return [sorted((v, str(k)) for k, v in p.pairs if v % number == place) for place in range(number)]


def without(p: Plain) -> list[Any]:
    there = {canonical(key) for key, _ in p.others}
    return [(key, value) for key, value in p.pairs if canonical(key) not in there]


def by_fraction(w: World) -> tuple[bool, bool]:
    pairs = w.left.map(lambda pair: (pair[1] % 3, pair[1]))
    found = pairs.sample_by_key(False, {0: 1.0, 1: 0.0, 2: 0.5}, 3).collect()
    return is_part(found, pairs.collect()), [x for x in found if x[0] < 2] == pairs.filter(
        lambda x: x[0] == 0
    ).collect()


KEYED = {
    "reduce_by_key": Oracle(
        lambda w: faces(w.left.reduce_by_key(add, w.number).collect()), lambda p: faces(plain.reduced(p.pairs, add))
    ),
    "reduce_by_key_locally": Oracle(
        lambda w: faces(w.left.map_values(str).reduce_by_key_locally(add).items()),
        lambda p: faces((k, "".join(map(str, vs))) for k, vs in p.grouped),
    ),
    "aggregate_by_key": Oracle(
        lambda w: faces(w.left.aggregate_by_key("", lambda s, v: s + str(v), add, w.number).collect()),
        lambda p: faces((k, "".join(map(str, vs))) for k, vs in p.grouped),
    ),
    "fold_by_key": Oracle(
        lambda w: faces(w.left.fold_by_key(0, add, w.number).collect()),
        lambda p: faces((k, sum(vs)) for k, vs in p.grouped),
    ),
    "combine_by_key": Oracle(
        lambda w: faces(w.left.combine_by_key(lambda v: [v], lambda c, v: [*c, v], add, w.number).collect()),
        lambda p: faces(p.grouped),
    ),
    "group_by_key": Oracle(
        lambda w: faces(w.left.group_by_key(w.number).map_values(list).collect()), lambda p: faces(p.grouped)
    ),
    "group_by": Oracle(
        lambda w: faces(w.left.group_by(lambda pair: pair[1] % 3, w.number).map_values(len).collect()),
        lambda p: faces((k, len(vs)) for k, vs in plain.gathered([(v % 3, v) for _, v in p.pairs])),
    ),
    "cogroup": Oracle(
        lambda w: faces(w.left.cogroup(w.right, w.number).map_values(lists).collect()),
        lambda p: faces(together(p.pairs, p.others)),
    ),
    "group_with": Oracle(
        lambda w: faces(w.left.group_with(w.right, w.left).map_values(lists).collect()),
        lambda p: faces(together(p.pairs, p.others, p.pairs)),
    ),
    "join": by_name("join", left=False, right=False),
    "left_outer_join": by_name("left_outer_join", left=True, right=False),
    "right_outer_join": by_name("right_outer_join", left=False, right=True),
    "full_outer_join": by_name("full_outer_join", left=True, right=True),
    "subtract": Oracle(
        lambda w: bag(w.left.keys().subtract(w.right.keys(), w.number).collect()),
        lambda p: bag(k for k, _ in without(p)),
    ),
    "subtract_by_key": Oracle(
        lambda w: faces(w.left.subtract_by_key(w.right, w.number).collect()), lambda p: faces(without(p))
    ),
    "intersection": Oracle(
        lambda w: bag(w.left.keys().intersection(w.right.keys()).collect()),
        lambda p: bag(set(dict(keyed(p.pairs))) & set(dict(keyed(p.others)))),
    ),
    "distinct": Oracle(
        lambda w: bag(w.left.keys().distinct(w.number).collect()), lambda p: bag(k for k, _ in p.grouped)
    ),
    "partition_by": Oracle(placed, lambda p: (faces(p.pairs), p.number or 3, True)),
    "repartition_and_sort_within_partitions": Oracle(
        lambda w: glom(
            w.left.map(lambda pair: (pair[1], str(pair[0])))
            .repartition_and_sort_within_partitions(w.number or 3, lambda key: key)
            .map_partitions(sorted)
        ),
        within,
    ),
    "sort_by": Oracle(
        lambda w: w.numbers.sort_by(lambda x: x % 5, False, w.number).collect(), in_order(lambda x: x % 5, True)
    ),
    "sort_by_key": Oracle(
        lambda w: w.numbers.key_by(lambda x: x % 5).sort_by_key(True, w.number).values().collect(),
        in_order(lambda x: x % 5, False),
    ),
    "sample_by_key": Oracle(by_fraction, lambda p: (True, True)),
    "lookup": Oracle(
        lambda w: (w.left.lookup(None), w.left.lookup(1), w.left.partition_by(3).lookup("a")),
        lambda p: tuple([v for k, v in p.pairs if canonical(k) == canonical(wanted)] for wanted in (None, 1, "a")),
    ),
    "count_by_key": Oracle(
        lambda w: faces(w.left.count_by_key().items()), lambda p: faces((k, len(vs)) for k, vs in p.grouped)
    ),
    "count_by_value": Oracle(
        lambda w: faces(w.left.keys().count_by_value().items()), lambda p: faces((k, len(vs)) for k, vs in p.grouped)
    ),
    "collect_as_map": Oracle(
        lambda w: faces(w.left.map(lambda pair: (pair[1] % 4, pair[1])).collect_as_map().items()),
        lambda p: faces({v % 4: v for _, v in p.pairs}.items()),
    ),
}
