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

Paths = headrace.Dataset[tuple[str, str]]


def read(ctx: headrace.Context, path: str) -> Paths:
    """Read the edges of a graph."""
    lines = ctx.text_file(path).filter(lambda line: not line.startswith("#"))
    return lines.map(lambda line: (line.split()[0], line.split()[1])).distinct()


def closure(edges: Paths) -> Paths:
    """Return all pairs of nodes between which there is a path."""
    edges_into = edges.map(lambda edge: (edge[1], edge[0])).partition_by(edges.get_num_partitions()).cache()
    paths = new = edges.cache()
    while not new.is_empty():
        longer = edges_into.join(new).values()  # an edge to where a path begins
        new = longer.subtract(paths).distinct().cache()
        shorter = paths
        paths = paths.union(new).coalesce(edges.get_num_partitions()).cache()
        paths.count()
        shorter.unpersist()
    return paths


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("edges", nargs="?", default=str(SAMPLE))
    parser.add_argument("--output", help="a folder for all pairs, which must not exist")
    options = parser.parse_args()
    with headrace.connect() as ctx:
        paths = closure(read(ctx, options.edges))
        reached = paths.count_by_key()
        print(f"{sum(reached.values())} pairs; what reaches most:")
        for node, number in sorted(reached.items(), key=lambda pair: (-pair[1], pair[0]))[:10]:
            print(f"{node}\t{number}")
        if options.output:
            paths.map(lambda pair: f"{pair[0]}\t{pair[1]}").save_as_text_file(options.output)


if __name__ == "__main__":
    main()
