"""PageRank: how often somebody who follows links at random comes to each page.

    python examples/pagerank.py [EDGES] [--reading spark|all|stochastic] [--rounds 10] [--top 10] [--output FOLDER]

EDGES is a text file with a link a line: from, to; lines that begin with # are skipped, and links that come twice count once.
There are three readings of the formula:

    spark       as Spark's example: a page that nobody links to is forgotten, with what it would have sent on
    all         the same formula for all pages
    stochastic  ranks sum to 1: what arrives at pages without links is spread over all pages
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from operator import add
from pathlib import Path

import headrace

SAMPLE = Path(__file__).parent / "data" / "web.txt"
FOLLOWED = 0.85  # how often a reader follows a link instead of going to any page at all

Links = headrace.Dataset[tuple[int, list[int]]]
Ranks = headrace.Dataset[tuple[int, float]]


def read(ctx: headrace.Context, path: str) -> headrace.Dataset[tuple[int, int]]:
    """Read the links of a web."""
    lines = ctx.text_file(path).filter(lambda line: not line.startswith("#"))
    return lines.map(lambda line: (int(line.split()[0]), int(line.split()[1]))).distinct()


def shares(pair: tuple[int, tuple[list[int], float]]) -> Iterator[tuple[int, float]]:
    """Give a page's rank to the pages that it links to, in equal parts."""
    _, (targets, rank) = pair
    return ((target, rank / len(targets)) for target in targets)


def shares_and_itself(pair: tuple[int, tuple[list[int], float]]) -> Iterator[tuple[int, float]]:
    """Do that, and give the page nothing, so that it is not forgotten."""
    yield pair[0], 0.0
    yield from shares(pair)


def spark(edges: headrace.Dataset[tuple[int, int]], rounds: int) -> Ranks:
    """Rank as Spark's example does; links are dealt once, and ranks join them without moving either."""
    links: Links = edges.group_by_key().map_values(list).cache()
    ranks: Ranks = links.map_values(lambda _: 1.0)
    for _ in range(rounds):
        ranks = links.join(ranks).flat_map(shares).reduce_by_key(add).map_values(rank_of(1 - FOLLOWED))
    return ranks


def everywhere(edges: headrace.Dataset[tuple[int, int]], rounds: int) -> Ranks:
    """Rank all pages by the same formula."""
    links = with_dangling_pages(edges)
    ranks: Ranks = links.map_values(lambda _: 1.0)
    for _ in range(rounds):
        ranks = links.join(ranks).flat_map(shares_and_itself).reduce_by_key(add).map_values(rank_of(1 - FOLLOWED))
    return ranks


def stochastic(edges: headrace.Dataset[tuple[int, int]], rounds: int) -> Ranks:
    """Rank so that ranks sum to 1; what dangles is counted before each round, so ranks are kept that long."""
    links = with_dangling_pages(edges)
    pages = links.count()
    ranks: Ranks = links.map_values(lambda _: 1 / pages).cache()
    for _ in range(rounds):
        dangling = links.join(ranks).map(lambda pair: 0.0 if pair[1][0] else pair[1][1]).sum()
        everybody = (1 - FOLLOWED + FOLLOWED * dangling) / pages
        before = ranks
        ranks = links.join(ranks).flat_map(shares_and_itself).reduce_by_key(add).map_values(rank_of(everybody)).cache()
        ranks.count()
        before.unpersist()
    return ranks


def with_dangling_pages(edges: headrace.Dataset[tuple[int, int]]) -> Links:
    """Gather the links of each page, also of those that have none."""
    ends = edges.flat_map(lambda edge: [edge, (edge[1], None)])
    return ends.group_by_key().map_values(lambda targets: [page for page in targets if page is not None]).cache()


def rank_of(everybody: float) -> Callable[[float], float]:
    """Return the formula: what everybody has, and a share of what was received."""
    return lambda received: everybody + FOLLOWED * received


def main() -> None:
    """Do what the command line says."""
    readings = {"spark": spark, "all": everywhere, "stochastic": stochastic}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("edges", nargs="?", default=str(SAMPLE))
    parser.add_argument("--reading", choices=readings, default="spark")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--top", type=int, default=10)
    parser.add_argument("--output", help="a folder for all ranks, which must not exist")
    options = parser.parse_args()
    with headrace.connect() as ctx:
        ranks = readings[options.reading](read(ctx, options.edges), options.rounds).cache()
        print(f"{ranks.count()} pages, whose ranks sum to {ranks.values().sum():.12g}")
        for page, rank in ranks.top(options.top, key=lambda pair: pair[1]):
            print(f"{page}\t{rank:.12g}")
        if options.output:
            ranks.map(lambda pair: f"{pair[0]}\t{pair[1]:.12g}").save_as_text_file(options.output)


if __name__ == "__main__":
    main()
