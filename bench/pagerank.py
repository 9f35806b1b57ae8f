"""PageRank with plain lambdas, against the same in a plain loop."""

from __future__ import annotations

import gzip
import os
import time
from collections import defaultdict
from operator import add
from pathlib import Path

import headrace
from bench.data import ROOT, Library
from bench.peers import spark_context
from bench.timing import Report, in_turn, middle

ROUNDS = 10
PARTITIONS = 2  # as many as workers
REACH = 1.0


def measure(library: Library, report: Report, rounds: int) -> None:
    """Rank the pages of a web."""
    del library
    shared = Path(os.environ.get("HEADRACE_TEST_DATA", ROOT.parent / "shared" / "data"))
    found = sorted(shared.glob("**/web-NotreDame.txt.gz"))
    if not found:
        report.note("PageRank: web-NotreDame is not here; put it under HEADRACE_TEST_DATA")
        return
    path = str(found[0])
    with headrace.connect("local://?workers=2", progress=False) as ctx:
        ours, plain = ranks(ctx, path), looped(path)
        assert len(ours) == len(plain)
        assert all(abs(ours[page] - rank) < 1e-6 for page, rank in plain.items())
        jobs = {"loop": lambda: looped(path), "headrace": lambda: ranks(ctx, path)}
        seconds = {name: middle(times) for name, times in in_turn(max(1, min(2, rounds)), jobs).items()}
    report.row(
        f"PageRank, {ROUNDS} rounds of {len(plain):,} pages",
        seconds["loop"] / seconds["headrace"],
        f"times the speed of a plain loop ({seconds['loop']:.1f} s)",
        reach=REACH,
    )
    beside_spark(report, path, seconds["headrace"], plain)


def beside_spark(report: Report, path: str, ours: float, plain: dict[str, float]) -> None:
    """The same program on PySpark's RDD, once: it takes long."""
    try:
        import pyspark  # noqa: F401
    except ImportError:
        report.note("PySpark is not installed: pip install -e '.[bench]'")
        return
    context = spark_context()
    assert context.textFile(path).count()
    began = time.perf_counter()
    edges = context.textFile(path).filter(lambda line: not line.startswith("#")).map(edge)
    links = edges.groupByKey(PARTITIONS).cache()
    current = links.mapValues(lambda _: 1.0)
    for _ in range(ROUNDS):
        shares = links.join(current).flatMap(lambda pair: [(page, pair[1][1] / len(pair[1][0])) for page in pair[1][0]])
        current = shares.reduceByKey(add, PARTITIONS).mapValues(lambda rank: 0.15 + 0.85 * rank)
    theirs = current.collectAsMap()
    took = time.perf_counter() - began
    assert all(abs(theirs[page] - rank) < 1e-6 for page, rank in plain.items())
    report.row("  PySpark RDD, local[2], without its start", took / ours, f"times our time ({took:.1f} s)")


def edge(line: str) -> tuple[str, str]:
    """Read a line: from, to."""
    one, other = line.split()
    return one, other


def ranks(ctx: headrace.Context, path: str) -> dict[str, float]:
    """As the Spark paper writes it: links are dealt once, and ranks are joined to them without moving either."""
    edges = ctx.text_file(path).filter(lambda line: not line.startswith("#")).map(edge)
    links = edges.group_by_key(PARTITIONS).cache()
    current = links.map_values(lambda _: 1.0)
    for _ in range(ROUNDS):
        shares = links.join(current).flat_map(
            lambda pair: [(page, pair[1][1] / len(pair[1][0])) for page in pair[1][0]]
        )
        current = shares.reduce_by_key(add, PARTITIONS).map_values(lambda rank: 0.15 + 0.85 * rank)
    return current.collect_as_map()


def looped(path: str) -> dict[str, float]:
    """The same in a loop."""
    links = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#"):
                one, other = line.split()
                links[one].append(other)
    current = dict.fromkeys(links, 1.0)
    for _ in range(ROUNDS):
        sums: dict[str, float] = {}
        for page, others in links.items():
            if page in current:
                share = current[page] / len(others)
                for other in others:
                    sums[other] = sums.get(other, 0.0) + share
        current = {page: 0.15 + 0.85 * rank for page, rank in sums.items()}
    return current
