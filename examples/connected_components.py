"""Connected components: which nodes of a graph hang together, whichever way its edges point.

    python examples/connected_components.py [EDGES] [--output FOLDER]

EDGES is a text file with an edge a line, two numbers; lines that begin with # are skipped.  Each component is named after
its smallest node.  The algorithm (Kiveris et al., "Connected components in MapReduce and beyond", SoCC 2014) turns the graph
into stars in some rounds, few even if paths are long: in turn, each node hands its larger neighbours, and then its smaller
ones, to the smallest of its neighbourhood.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import headrace

SAMPLE = Path(__file__).parent / "data" / "web.txt"

Edges = headrace.Dataset[tuple[int, int]]


def read(ctx: headrace.Context, path: str) -> Edges:
    """Read the edges of a graph."""
    lines = ctx.text_file(path).filter(lambda line: not line.startswith("#"))
    return lines.map(lambda line: (int(line.split()[0]), int(line.split()[1])))


def larger_to_smallest(node: int, neighbours: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Tie a node's larger neighbours to the smallest one, or to the node."""
    around = set(neighbours)
    smallest = min(node, *around)
    return ((other, smallest) for other in around if other > node)


def all_to_smallest(node: int, neighbours: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Tie a node and its smaller neighbours, which are given, to the smallest of them."""
    around = set(neighbours)
    smallest = min(around)
    return ((other, smallest) for other in around | {node} if other != smallest)


def components(edges: Edges) -> Edges:
    """Return each node, and the smallest node that it hangs together with."""
    nodes = edges.flat_map(lambda edge: edge).distinct().map(lambda node: (node, node)).cache()
    stars = edges.filter(lambda edge: edge[0] != edge[1]).map(lambda edge: (max(edge), min(edge))).distinct().cache()
    changed = True
    while changed:
        before = stars
        both_ways = before.flat_map(lambda edge: [edge, (edge[1], edge[0])])
        tied = both_ways.group_by_key().flat_map(lambda group: larger_to_smallest(*group))
        stars = tied.group_by_key().flat_map(lambda group: all_to_smallest(*group)).distinct().cache()
        changed = stars.count() != before.count() or not stars.subtract(before).is_empty()
        before.unpersist()
    return nodes.left_outer_join(stars).map_values(lambda two: two[0] if two[1] is None else two[1])


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("edges", nargs="?", default=str(SAMPLE))
    parser.add_argument("--output", help="a folder for each node and its component, which must not exist")
    options = parser.parse_args()
    with headrace.connect() as ctx:
        found = components(read(ctx, options.edges)).cache()
        sizes = found.values().count_by_value()
        print(f"{found.count()} nodes in {len(sizes)} components; the largest:")
        for name, size in sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0]))[:10]:
            print(f"{name}\t{size}")
        if options.output:
            found.map(lambda pair: f"{pair[0]}\t{pair[1]}").save_as_text_file(options.output)


if __name__ == "__main__":
    main()
