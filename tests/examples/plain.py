"""What the examples compute, in plain Python and by other ways: nothing of the engine, and nothing of the examples."""

from __future__ import annotations

import gzip
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def lines(path: Path) -> Iterator[str]:
    """Read the lines of a file that may be packed, without comments."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        yield from (line for line in file if not line.startswith("#"))


def edges(path: Path) -> list[tuple[str, str]]:
    """Read each edge of a graph once, in the order of the file."""
    return list(dict.fromkeys((line.split()[0], line.split()[1]) for line in lines(path)))


def pagerank(graph: list[tuple[str, str]], reading: str, rounds: int) -> dict[str, float]:
    """Rank by adding what each edge carries, edge by edge."""
    degree: dict[str, int] = defaultdict(int)
    for one, _ in graph:
        degree[one] += 1
    pages = sorted({page for edge in graph for page in edge})
    ranks = dict.fromkeys(degree, 1.0) if reading == "spark" else dict.fromkeys(pages, 1.0)
    if reading == "stochastic":
        ranks = dict.fromkeys(pages, 1 / len(pages))
    for _ in range(rounds):
        received = {} if reading == "spark" else dict.fromkeys(pages, 0.0)
        for one, other in graph:
            if one in ranks:
                received[other] = received.get(other, 0.0) + ranks[one] / degree[one]
        everybody = 0.15
        if reading == "stochastic":
            everybody = (0.15 + 0.85 * math.fsum(ranks[page] for page in pages if page not in degree)) / len(pages)
        ranks = {page: everybody + 0.85 * sum_ for page, sum_ in received.items()}
    return ranks


def components(graph: list[tuple[str, str]]) -> dict[int, int]:
    """Name each node after the smallest of its component, by union-find."""
    parent: dict[int, int] = {}

    def root(node: int) -> int:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, other in graph:
        a, b = root(int(one)), root(int(other))
        parent[max(a, b)] = min(a, b)
    return {node: root(node) for node in parent}


def closure(graph: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Walk from each node."""
    after = defaultdict(set)
    for one, other in graph:
        after[one].add(other)
    pairs = set()
    for start in list(after):
        seen: set[str] = set()
        todo = list(after[start])
        while todo:
            node = todo.pop()
            if node not in seen:
                seen.add(node)
                todo += after.get(node, ())
        pairs |= {(start, node) for node in seen}
    return pairs


def sparse(path: Path) -> list[tuple[str, dict[int, float]]]:
    """Read rows as LIBSVM writes them."""
    return [
        (label, {int(pair.split(":")[0]): float(pair.split(":")[1]) for pair in pairs})
        for label, *pairs in map(str.split, lines(path))
    ]


def kmeans(path: Path, k: int) -> tuple[int, float, list[int]]:
    """Run Lloyd's algorithm until it stands still: the rounds, the cost, and the cluster of each row."""
    rows = [row for _, row in sparse(path)]
    indexes = range(1, max(max(row) for row in rows) + 1)
    points = [[row.get(index, 0.0) for index in indexes] for row in rows]

    def far(point: list[float], centre: list[float]) -> float:
        return sum((a - b) * (a - b) for a, b in zip(point, centre, strict=True))

    centres = [points[0]]
    while len(centres) < k:
        centres.append(max(points, key=lambda point: (min(far(point, centre) for centre in centres), point)))
    where: list[int] = []
    for rounds in range(1, 1000):
        now = [min(range(k), key=lambda number, point=point: far(point, centres[number])) for point in points]  # type: ignore[misc]
        if now == where:
            return rounds, sum(far(point, centres[at]) for point, at in zip(points, where, strict=True)), where
        where = now
        for number in range(k):
            inside = [point for point, at in zip(points, where, strict=True) if at == number]
            if inside:
                centres[number] = [math.fsum(column) / len(inside) for column in zip(*inside, strict=True)]
    raise AssertionError("it does not stand still")


def logistic(path: Path, penalty: float = 1.0) -> tuple[float, list[float]]:
    """Find the minimum by Newton's method: its value, and the weights there."""
    rows = [(1 if float(label) > 0 else -1, row) for label, row in sparse(path)]
    size = max(max(row) for _, row in rows) + 1
    weights = [0.0] * size
    for _ in range(30):
        gradient = [penalty * weight for weight in weights]
        hessian = [[penalty * (i == j) for j in range(size)] for i in range(size)]
        for y, row in rows:
            chance = 1 / (1 + math.exp(y * sum(weights[i] * value for i, value in row.items())))
            for i, value in row.items():
                gradient[i] -= y * chance * value
                for j, other in row.items():
                    hessian[i][j] += chance * (1 - chance) * value * other
        step = solved(hessian, gradient)
        weights = [weight - part for weight, part in zip(weights, step, strict=True)]
        if max(map(abs, step)) < 1e-13:
            break
    losses = (math.log1p(math.exp(-y * sum(weights[i] * value for i, value in row.items()))) for y, row in rows)
    return math.fsum(losses) + penalty / 2 * math.fsum(weight * weight for weight in weights), weights


def solved(matrix: list[list[float]], vector: list[float]) -> list[float]:
    """Solve a system of equations that is positive definite, by elimination."""
    rows: list[Any] = [[*row, value] for row, value in zip(matrix, vector, strict=True)]
    for i, pivot in enumerate(rows):
        for row in rows[i + 1 :]:
            factor = row[i] / pivot[i]
            for j in range(i, len(pivot)):
                row[j] -= factor * pivot[j]
    found = [0.0] * len(rows)
    for i in reversed(range(len(rows))):
        found[i] = (rows[i][-1] - sum(rows[i][j] * found[j] for j in range(i + 1, len(rows)))) / rows[i][i]
    return found
