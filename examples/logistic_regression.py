"""Logistic regression: which of two kinds a row is of, learnt from rows whose kind is known.

    python examples/logistic_regression.py [ROWS] [--test ROWS] [--rounds 200] [--penalty 1.0]

ROWS is a text file with a row a line, as LIBSVM writes them: a label (0 or less is one kind, above 0 the other), and
`index:value` for each value that is not 0.  What is minimised is the sum over the rows of log(1 + exp(-y w.x)), where y is
-1 or 1, plus half the penalty times |w|^2.  The weights descend with momentum (Nesterov 1983), which begins anew when it
leads uphill (O'Donoghue and Candes 2015); each weight's step is as long as the curvature along it allows.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from operator import add, mul
from pathlib import Path

import headrace

SAMPLE = Path(__file__).parent / "data" / "rows.txt"

Row = tuple[int, tuple[int, ...], tuple[float, ...]]  # -1 or 1, and where which values are
Vector = list[float]


def read(ctx: headrace.Context, path: str) -> headrace.Dataset[Row]:
    """Read rows."""
    return ctx.text_file(path).map(row)


def row(line: str) -> Row:
    """Read a row."""
    label, *pairs = line.split()
    indexes = tuple(int(pair.partition(":")[0]) for pair in pairs)
    return (1 if float(label) > 0 else -1), indexes, tuple(float(pair.partition(":")[2]) for pair in pairs)


def margin(row: Row, weights: Vector) -> float:
    """Return y w.x: above 0 where the weights are right."""
    label, indexes, values = row
    return label * math.fsum(map(mul, map(weights.__getitem__, indexes), values))


def loss(margin: float) -> float:
    """Return log(1 + exp(-margin)), without overflow."""
    return math.log1p(math.exp(-margin)) if margin > 0 else math.log1p(math.exp(margin)) - margin


def slopes(rows: Iterable[Row], weights: Vector) -> list[Vector]:
    """Return the gradient over some rows: one vector a partition, so that little has to be moved."""
    total = [0.0] * len(weights)
    for row in rows:
        label, indexes, values = row
        slope = -label / (1 + math.exp(min(margin(row, weights), 700.0)))
        for index, value in zip(indexes, values, strict=True):
            total[index] += slope * value
    return [total]


def learn(rows: headrace.Dataset[Row], rounds: int, penalty: float) -> Vector:
    """Return the weights."""
    squares = rows.flat_map(lambda row: zip(row[1], map(mul, row[2], row[2]), strict=True)).reduce_by_key(add)
    curvature = squares.collect_as_map()
    longest = rows.map(lambda row: len(row[1])).max()
    steps = [1 / (longest * curvature.get(index, 0.0) / 4 + penalty) for index in range(max(curvature) + 1)]
    weights, ahead, momentum = [0.0] * len(steps), [0.0] * len(steps), 1.0
    for _ in range(rounds):
        gradient = [a + penalty * b for a, b in zip(total(rows, ahead), ahead, strict=True)]
        before, weights = weights, [a - step * b for a, step, b in zip(ahead, steps, gradient, strict=True)]
        way = [a - b for a, b in zip(weights, before, strict=True)]
        if sum(a * b for a, b in zip(gradient, way, strict=True)) > 0:
            momentum = 1.0
        later = (1 + math.sqrt(1 + 4 * momentum * momentum)) / 2
        ahead = [a + (momentum - 1) / later * b for a, b in zip(weights, way, strict=True)]
        momentum = later
    return weights


def total(rows: headrace.Dataset[Row], weights: Vector) -> Vector:
    """Return the gradient over all rows."""
    parts = rows.map_partitions(lambda part: slopes(part, weights))
    return parts.tree_reduce(lambda one, other: [a + b for a, b in zip(one, other, strict=True)])


def judge(name: str, rows: headrace.Dataset[Row], weights: Vector) -> float:
    """Print how good the weights are; return the sum of the losses."""
    margins = rows.map(lambda row: margin(row, weights)).cache()
    count, losses = margins.count(), margins.map(loss).sum()
    print(f"{name}: accuracy {margins.filter(lambda at: at > 0).count() / count:.6f}, mean loss {losses / count:.8f}")
    return losses


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="?", default=str(SAMPLE))
    parser.add_argument("--test", help="rows that are not learnt from")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--penalty", type=float, default=1.0)
    options = parser.parse_args()
    with headrace.connect() as ctx:
        rows = read(ctx, options.rows).cache()
        weights = learn(rows, options.rounds, options.penalty)
        losses = judge("rows", rows, weights)
        print(f"objective {losses + options.penalty / 2 * sum(weight * weight for weight in weights):.8g}")
        if options.test:
            unseen = read(ctx, options.test)
            size = max(len(weights), unseen.map(lambda row: max(row[1], default=0)).max() + 1)
            judge("test", unseen, weights + [0.0] * (size - len(weights)))
        for index in sorted(range(len(weights)), key=lambda index: -abs(weights[index]))[:5]:
            print(f"{index}\t{weights[index]:.6f}")


if __name__ == "__main__":
    main()
