"""Speedup over the number of workers, both on scales that double: as text, and as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

COLUMNS, ROWS = 64, 16
WIDTH, HEIGHT, EDGE = 640, 420, 60

Points = Sequence[tuple[int, float]]


def plot(points: Points) -> str:
    """Draw as text: `*` what is predicted, `.` what every worker would add if none were ever idle.

    >>> print(plot([(1, 1.0), (2, 1.9), (4, 2.4)]).splitlines()[0].strip())
    4 |                                                             ...
    """
    right = math.log2(max(2, points[-1][0])) if points else 1.0
    left = math.log2(points[0][0]) if points else 0.0
    right = max(right, left + 1)
    bottom = min(0.0, left, *(math.log2(y) for _, y in points)) if points else 0.0
    top = max(right, *(math.log2(y) for _, y in points)) if points else right
    cells = [[" "] * COLUMNS for _ in range(ROWS)]

    def put(x: float, y: float, sign: str) -> None:
        column = round((x - left) / (right - left) * (COLUMNS - 1))
        row = round((top - y) / (top - bottom) * (ROWS - 1))
        if 0 <= row < ROWS and 0 <= column < COLUMNS:
            cells[row][column] = sign

    for column in range(COLUMNS):
        x = left + (right - left) * column / (COLUMNS - 1)
        put(x, x, ".")
    for x, y in points:
        put(math.log2(x), math.log2(y), "*")
    labels = [2 ** (top - (top - bottom) * row / (ROWS - 1)) for row in range(ROWS)]
    lines = [
        f"{label:>8.4g} |{''.join(line)}".rstrip() if row % 3 == 0 else f"{'':>8} |{''.join(line)}".rstrip()
        for row, (label, line) in enumerate(zip(labels, cells, strict=True))
    ]
    ends = f"{2**left:<{COLUMNS - 8}.6g}{2**right:>8.6g}"
    return "\n".join([*lines, f"{'speedup':>8} +{'-' * COLUMNS}", f"{'workers':>8}  {ends}"])


def draw_svg(points: Points) -> str:
    """Draw as a picture: a line through what is predicted, a dashed one for the ideal."""
    right = max(1.0, math.log2(points[-1][0])) if points else 1.0
    bottom = min([0.0, *(math.log2(y) for _, y in points)])
    top = max([right, *(math.log2(y) for _, y in points)])

    def at(x: float, y: float) -> str:
        across = EDGE + x / right * (WIDTH - 2 * EDGE)
        return f"{across:.1f},{EDGE + (top - y) / (top - bottom) * (HEIGHT - 2 * EDGE):.1f}"

    marks = [(math.log2(x), math.log2(y)) for x, y in points]
    parts = [
        f'<polyline points="{at(0, 0)} {at(right, right)}" fill="none" stroke="#999" stroke-dasharray="5 4"/>',
        f'<polyline points="{" ".join(at(x, y) for x, y in marks)}" fill="none" stroke="#06c" stroke-width="2"/>',
    ]
    for (x, y), (workers, worth) in zip(marks, points, strict=True):
        across, down = at(x, y).split(",")
        parts.append(
            f'<circle cx="{across}" cy="{down}" r="4" fill="#06c"><title>{workers}: {worth:.2f}</title></circle>'
        )
        parts.append(f'<text x="{across}" y="{HEIGHT - EDGE + 20}" text-anchor="middle">{workers}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">workers</text>')
    parts.append(f'<text x="16" y="{EDGE - 20}">speedup, up to {2**top:.4g}; dashed: the ideal</text>')
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">\n'
        f"{body}\n</svg>\n"
    )
