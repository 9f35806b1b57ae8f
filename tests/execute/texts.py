"""Texts with every kind of line end in them, and readers to try them on."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

from hypothesis import strategies as st

from headrace.execute.formats.lines import is_cuttable
from headrace.execute.formats.reading import read_files
from headrace.plan.formats import Lines
from headrace.plan.operators import Split
from headrace.runtime.files import SystemFiles

BITS = st.sampled_from(
    [
        "\n",
        "\n",
        "\r\n",
        "\r",
        "\r\r\n",
        "a",
        "word ",
        "\u2028",
        "\u2029",
        "\x85",
        "\x0b",
        "\x0c",
        "\x1c",
        "\x1e",
        "\x00",
        "\ufeff",
        "é",
        "Ω",
        "漢",
        "😀",
        "x" * 50,
        "\t",
    ]
)
TEXTS = st.lists(BITS, max_size=60).map("".join)


def oracle(text: str) -> list[str]:
    """Read lines as Python's own text files have them."""
    return [line.removesuffix("\n") for line in io.StringIO(text, newline=None)]


def split_of(path: Path, start: int = 0, stop: int | None = None) -> Split:
    """Describe a piece of a file as it is now."""
    status = path.stat()
    return Split(str(path), start, stop, status.st_size, status.st_mtime_ns)


def read(*splits: Split, encoding: str = "utf-8", errors: str = "strict") -> list[str]:
    """Read the lines of some pieces as one task does."""
    lines: list[str] = []
    shares = [0.0]
    for some, share in read_files(SystemFiles(), splits, Lines(encoding, errors)):
        lines += some
        shares.append(share)
    assert shares == sorted(shares)
    assert shares[-1] <= 1
    return lines


def read_cut(path: Path, cuts: list[int], *, encoding: str = "utf-8", errors: str = "strict") -> list[str]:
    """Read a file piece by piece, each in a task of its own."""
    assert is_cuttable(encoding)
    bounds = sorted({0, path.stat().st_size, *cuts})
    return [
        line
        for start, stop in itertools.pairwise(bounds)
        for line in read(split_of(path, start, stop), encoding=encoding, errors=errors)
    ]
