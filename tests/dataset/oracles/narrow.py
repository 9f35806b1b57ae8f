"""Operators whose partitions are made of partitions, and what they mean."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

from headrace.plan.levels import StorageLevel
from tests.dataset.data import flat, glom
from tests.dataset.oracles.world import Oracle, World, faces, is_part


def twice(x: Any) -> Any:
    return x * 2


def some(x: Any) -> list[Any]:
    return [x] * (int(x) % 3)


def text(pair: Any) -> str:
    return ascii(pair).replace("\n", " ")


def sampled(w: World) -> tuple[bool, bool, bool]:
    records = w.numbers.collect()
    once, often = w.numbers.sample(False, 0.4, 7), w.numbers.sample(True, 1.5, 7)
    few = once.collect()
    return is_part(few, records), few == once.collect(), set(often.collect()) <= set(records)


def split(w: World) -> tuple[int, list[list[Any]], bool]:
    parts = w.numbers.random_split([1, 2, 1], 5)
    found = [glom(part) for part in parts]
    back = [Counter(flat([part[p] for part in found])) for p in range(len(found[0]))]
    return (
        len(parts),
        [sorted(map(repr, c.elements())) for c in back],
        all(is_part(f, w.numbers.collect()) for f in map(flat, found)),
    )


def coalesced(parts: list[list[Any]], number: int) -> list[list[Any]]:
    number = min(number, len(parts))
    cuts = [i * len(parts) // number for i in range(number + 1)]
    return [flat(parts[a:b]) for a, b in itertools.pairwise(cuts)]


def sizes(parts: list[list[Any]]) -> bool:
    """Whether partitions are about equally large: each input partition deals its records out in turn."""
    lengths = [len(part) for part in parts]
    return max(lengths) - min(lengths) <= 4


NARROW = {
    "map": Oracle(lambda w: glom(w.numbers.map(twice)), lambda p: [[x * 2 for x in part] for part in p.numbers]),
    "flat_map": Oracle(
        lambda w: glom(w.numbers.flat_map(some)), lambda p: [flat([some(x) for x in part]) for part in p.numbers]
    ),
    "filter": Oracle(
        lambda w: glom(w.numbers.filter(lambda x: x % 2)), lambda p: [[x for x in q if x % 2] for q in p.numbers]
    ),
    "map_partitions": Oracle(
        lambda w: w.numbers.map_partitions(lambda part: [list(part), "end"]).collect(),
        lambda p: [shown for part in p.numbers for shown in (part, "end")],
    ),
    "map_partitions_with_index": Oracle(
        lambda w: w.numbers.map_partitions_with_index(lambda i, part: [(i, *part)]).collect(),
        lambda p: [(i, *part) for i, part in enumerate(p.numbers)],
    ),
    "map_values": Oracle(
        lambda w: glom(w.left.map_values(twice)), lambda p: [[(k, v * 2) for k, v in q] for q in p.left]
    ),
    "flat_map_values": Oracle(
        lambda w: glom(w.left.flat_map_values(some)),
        lambda p: [[(k, x) for k, v in q for x in some(v)] for q in p.left],
    ),
    "key_by": Oracle(lambda w: glom(w.numbers.key_by(abs)), lambda p: [[(abs(x), x) for x in q] for q in p.numbers]),
    "keys": Oracle(lambda w: glom(w.left.keys()), lambda p: [[k for k, _ in q] for q in p.left]),
    "values": Oracle(lambda w: glom(w.left.values()), lambda p: [[v for _, v in q] for q in p.left]),
    "glom": Oracle(lambda w: w.left.glom().collect(), lambda p: p.left),
    "pipe": Oracle(
        lambda w: glom(w.left.map(text).pipe("cat")), lambda p: [[text(pair) for pair in q] for q in p.left]
    ),
    "union": Oracle(lambda w: glom(w.left.union(w.right)), lambda p: p.left + p.right),
    "zip": Oracle(
        lambda w: glom(w.numbers.zip(w.numbers.map(twice))), lambda p: [[(x, x * 2) for x in q] for q in p.numbers]
    ),
    "zip_with_index": Oracle(
        lambda w: w.numbers.zip_with_index().collect(), lambda p: [(x, i) for i, x in enumerate(p.all)]
    ),
    "zip_with_unique_id": Oracle(
        lambda w: w.numbers.zip_with_unique_id().collect(),
        lambda p: [(x, i * len(p.numbers) + n) for n, q in enumerate(p.numbers) for i, x in enumerate(q)],
    ),
    "cartesian": Oracle(
        lambda w: glom(w.numbers.cartesian(w.right)),
        lambda p: [list(itertools.product(a, b)) for a in p.numbers for b in p.right],
    ),
    "coalesce": Oracle(lambda w: glom(w.left.coalesce(w.number or 2)), lambda p: coalesced(p.left, p.number or 2)),
    "repartition": Oracle(
        lambda w: (faces(w.left.repartition(w.number or 2).collect()), sizes(glom(w.left.repartition(w.number or 2)))),
        lambda p: (faces(p.pairs), True),
    ),
    "sample": Oracle(sampled, lambda p: (True, True, True)),
    "random_split": Oracle(split, lambda p: (3, [sorted(map(repr, q)) for q in p.numbers], True)),
    "cache": Oracle(
        lambda w: (lambda kept: (kept.count(), glom(kept), glom(kept.unpersist())))(w.left.map_values(twice).cache()),
        lambda p: (len(p.pairs), *[[[(k, v * 2) for k, v in q] for q in p.left]] * 2),
    ),
    "persist": Oracle(
        lambda w: (lambda kept: (glom(kept), glom(kept)))(w.left.map_values(twice).persist(StorageLevel.DISK_ONLY)),
        lambda p: tuple([[[(k, v * 2) for k, v in q] for q in p.left]] * 2),
    ),
}
