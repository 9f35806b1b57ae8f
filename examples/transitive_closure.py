"""Transitive closure: which nodes of a directed graph can be reached from which, by any path.

    python examples/transitive_closure.py [EDGES] [--output FOLDER]

EDGES is a text file with an edge a line: from, to; lines that begin with # are skipped.  Each round makes the paths that
were found in the last one longer by an edge, and keeps those that are new ("semi-naive" evaluation), until there are none.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import headrace

SAMPLE = Path(__file__).parent / "data" / "requires.txt"

Edges = headrace.Dataset[tuple[str, str]]
Paths = headrace.Dataset[tuple[tuple[str, str], None]]


def read(ctx: headrace.Context, path: str) -> Edges:
    """Read the edges of a graph."""
    lines = ctx.text_file(path).filter(lambda line: not line.startswith("#"))
    return lines.map(lambda line: (line.split()[0], line.split()[1])).distinct()


def closure(edges: Edges) -> Edges:
    """Return all pairs of nodes between which there is a path.

    Paths are keys, so that all rounds' are dealt alike: only those of the last round move, to edges and to where they may be
    known already.
    """
    edges_into = edges.map(lambda edge: (edge[1], edge[0])).group_by_key().cache()
    paths: Paths = edges.map(lambda edge: (edge, None)).reduce_by_key(either).cache()
    new = paths
    while not new.is_empty():
        longer = (
            edges_into.join(new.keys()).values().flat_map(lambda two: (((start, two[1]), None) for start in two[0]))
        )
        new = longer.reduce_by_key(either).subtract_by_key(paths).cache()
        paths = paths.union(new)
    return paths.keys()


def either(one: None, other: None) -> None:
    """Merge two paths with the same ends."""


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("edges", nargs="?", default=str(SAMPLE))
    parser.add_argument("--output", help="a folder for all pairs, which must not exist")
    options = parser.parse_args()
    with headrace.connect() as ctx:
        paths = closure(read(ctx, options.edges)).cache()
        reached = paths.count_by_key()
        print(f"{sum(reached.values())} pairs; what reaches most:")
        for node, number in sorted(reached.items(), key=lambda pair: (-pair[1], pair[0]))[:10]:
            print(f"{node}\t{number}")
        if options.output:
            paths.map(lambda pair: f"{pair[0]}\t{pair[1]}").save_as_text_file(options.output)


if __name__ == "__main__":
    main()
