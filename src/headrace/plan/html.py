"""What notebooks show: boxes and tables without scripts, and every text of the user's escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

BOX = "border:1px solid #8884;border-radius:4px;padding:4px 8px;margin:4px 0;display:inline-block;text-align:left"
CELL = "padding:1px 8px 1px 0;text-align:left;vertical-align:top"


def table(rows: Iterable[Sequence[object]], head: Sequence[str] = ()) -> str:
    """Make a table.

    >>> table([("name", "<script>")]).count("<script>")
    0
    """
    lines = [_row(head, "th")] if head else []
    lines += [_row(row, "td") for row in rows]
    return f'<table style="border:none;margin:0">{"".join(lines)}</table>'


def _row(cells: Sequence[object], tag: str) -> str:
    inner = "".join(f'<{tag} style="{CELL}">{escape(str(cell))}</{tag}>' for cell in cells)
    return f"<tr>{inner}</tr>"


def box(title: str, *parts: str) -> str:
    """Put parts, which are HTML already, under a title, which is not.

    >>> box("a < b", "<i>c</i>").endswith("<b>a &lt; b</b><i>c</i></div>")
    True
    """
    return f'<div style="{BOX}"><b>{escape(title)}</b>{"".join(parts)}</div>'


class Plan(str):
    """What `explain` says: text, which a notebook shows as a box for each stage."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        stages: list[tuple[str, list[tuple[str, str]]]] = []
        for line in self.splitlines():
            if not line.startswith(" ") or not stages:
                stages.append((line, []))
                continue
            label, colon, said = line.strip().partition(":")
            stages[-1][1].append((label, said.strip()) if colon else ("", label))
        return "<br>".join(box(title, table(rows)) for title, rows in stages)
