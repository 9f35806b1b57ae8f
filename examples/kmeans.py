"""k-means: gather points around k centres (Lloyd's algorithm).

    python examples/kmeans.py [POINTS] [--k 3] [--rounds 100] [--output FOLDER]

POINTS is a text file with a point a line, as LIBSVM writes them: a label, and `index:value` for each coordinate that is not
0.  Labels are looked at only to say, in the end, which one is most frequent in each cluster.  The first centre is the first
point, and each further one the point that is farthest from those before it: the same file gives the same centres every time.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import headrace

SAMPLE = Path(__file__).parent / "data" / "points.txt"

Point = tuple[float, ...]
Points = headrace.Dataset[tuple[str, Point]]


def read(ctx: headrace.Context, path: str) -> Points:
    """Read labels and points, all with as many coordinates as the largest index says."""
    rows = ctx.text_file(path).map(str.split).map(lambda row: (row[0], dict(map(coordinate, row[1:]))))
    size = rows.map(lambda row: max(row[1], default=0)).max()
    return rows.map_values(lambda point: tuple(point.get(index, 0.0) for index in range(1, size + 1))).cache()


def coordinate(text: str) -> tuple[int, float]:
    """Read `index:value`."""
    index, _, value = text.partition(":")
    return int(index), float(value)


def distance(one: Point, other: Point) -> float:
    """Return the square of the distance."""
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def nearest(point: Point, centres: list[Point]) -> int:
    """Return the number of the centre that is nearest, the first of those that are."""
    distances = [distance(point, centre) for centre in centres]
    return distances.index(min(distances))


def farthest_first(points: Points, k: int) -> list[Point]:
    """Choose k points that lie far from one another."""
    chosen = [points.first()[1]]
    while len(chosen) < k:
        distances = points.values().map(lambda point: (min(distance(point, one) for one in chosen), point))
        chosen.append(distances.max()[1])
    return chosen


def moved(points: Points, centres: list[Point]) -> list[Point]:
    """Move each centre into the middle of the points that are nearest to it; one without points stays."""
    sums = (
        points.map(lambda row: (nearest(row[1], centres), (row[1], 1)))
        .reduce_by_key(
            lambda one, other: (tuple(a + b for a, b in zip(one[0], other[0], strict=True)), one[1] + other[1])
        )
        .collect_as_map()
    )
    middles = {number: tuple(value / count for value in total) for number, (total, count) in sums.items()}
    return [middles.get(number, centre) for number, centre in enumerate(centres)]


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("points", nargs="?", default=str(SAMPLE))
    parser.add_argument("--k", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--output", help="a folder for each label and cluster in order, which must not exist")
    options = parser.parse_args()
    with headrace.connect() as ctx:
        points = read(ctx, options.points)
        centres = farthest_first(points, options.k)
        rounds, before = 0, list[Point]()
        while centres != before and rounds < options.rounds:
            rounds, before, centres = rounds + 1, centres, moved(points, centres)
        cost = points.map(lambda row: min(distance(row[1], centre) for centre in centres)).sum()
        print(f"{rounds} rounds; the sum of the squares of the distances is {cost:.12g}")
        clusters = points.map(lambda row: (nearest(row[1], centres), row[0]))
        labels = clusters.count_by_value()
        for cluster, centre in enumerate(centres):
            inside = {label: count for (where, label), count in labels.items() if where == cluster}
            label, count = max(inside.items(), key=lambda pair: (pair[1], pair[0]), default=("none", 0))
            place = " ".join(f"{value:.6g}" for value in centre[:4])
            print(f"{sum(inside.values())} points around {place}{' ...' * (len(centre) > 4)}; {count} of label {label}")
        if options.output:
            clusters.map(lambda row: f"{row[1]}\t{row[0]}").save_as_text_file(options.output)


if __name__ == "__main__":
    main()
