"""Typical keys must not crowd: a reducer with three times its share makes everybody wait."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from headrace.execute.kernels import BUCKETS, bucket_of
from headrace.plan.hashing import stable_hash
from headrace.plan.partitioners import HashPartitioner

EACH = 100  # keys for each partition, on average
PARTITIONS = (2, 3, 5, 7, 8, 10, 16, 24, 64, 100, 200)
START = datetime(2024, 1, 1)
CHANCE = random.Random(7)
UUIDS = [uuid.UUID(int=CHANCE.getrandbits(128)) for _ in range(EACH * max(PARTITIONS))]


def every(step: int) -> Callable[[int], Sequence[Any]]:
    return lambda n: [i * step for i in range(n)]


def written(form: str) -> Callable[[int], Sequence[Any]]:
    return lambda n: [form.format(i) for i in range(n)]


FAMILIES: dict[str, Callable[[int], Sequence[Any]]] = {
    "one after the other": range,
    "from a million": lambda n: range(10**6, 10**6 + n),
    "negative": lambda n: range(-n, 0),
    **{f"multiples of 2**{p}": every(1 << p) for p in (1, 3, 4, 8, 16, 32, 48, 60, 64)},
    **{f"multiples of {m:,}": every(m) for m in (10, 1000, 3600, 10**6, 10**9)},
    "squares": lambda n: [i * i for i in range(n)],
    "tenths": lambda n: [i / 10 for i in range(n)],
    "quarters": lambda n: [i / 4 for i in range(n)],
    "small powers of two": lambda n: [i / 2**20 for i in range(n)],
    **{
        f"text like {form.format(123)}": written(form)
        for form in ("user{}", "{}", "{:08}", "{:08x}", "/item/{}/page", "{}@example.com", "a{0}b{0}")
    },
    "pairs of small numbers": lambda n: list(islice(((i, j) for i in range(n) for j in range(100)), n)),
    "a name and a number": lambda n: [("user1", i) for i in range(n)],
    "nested": lambda n: [((i, "a"), None) for i in range(n)],
    "dates": lambda n: [date(1960, 1, 1) + timedelta(i) for i in range(n)],
    "days": lambda n: [START + timedelta(days=i) for i in range(n)],
    "hours": lambda n: [START + timedelta(hours=i) for i in range(n)],
    "seconds": lambda n: [START + timedelta(seconds=i) for i in range(n)],
    "sets": lambda n: [frozenset((i, i + 1)) for i in range(n)],
    "bytes": lambda n: [i.to_bytes(4, "big") for i in range(n)],
    "random identifiers": lambda n: UUIDS[:n],
}


def _shares(places: Sequence[int], number: int) -> list[float]:
    counted = Counter(places)
    return [counted[place] * number / len(places) for place in range(number)]


@pytest.mark.parametrize("family", FAMILIES)
def test_no_partition_gets_far_more_or_less_than_its_share(family: str) -> None:
    """Dice would give, of 100 keys each, 60 to 145; so much is allowed and a little more."""
    for number in PARTITIONS:
        deal = HashPartitioner(number).partition
        shares = _shares([deal(key) for key in FAMILIES[family](number * EACH)], number)
        assert max(shares) < 1.6, f"{number} partitions"
        assert min(shares) > 0.5, f"{number} partitions"


@pytest.mark.parametrize("family", ["one after the other", "text like user123", "multiples of 1,000,000,000"])
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_buckets_of_a_spill_part_what_one_partition_holds(family: str, depth: int) -> None:
    """A partition's keys share the high bits of the hash; a bucket's share bits too: neither may be what parts them."""
    held = [h for key in FAMILIES[family](BUCKETS * 8 * EACH) if (h := stable_hash(key)) * 8 >> 32 == 3]
    shares = _shares([bucket_of(hashed, depth) for hashed in held], BUCKETS)
    assert max(shares) < 2
    assert min(shares) > 0.2
    if depth:
        one = [h for h in held if bucket_of(h, depth - 1) == 5]
        assert len({bucket_of(h, depth) for h in one}) > BUCKETS / 2
