"""Files that are cut anywhere, and what is common to the tests of all formats."""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace.execute.formats.reading import cut_at, read_files
from headrace.plan.formats import Format
from headrace.runtime.files import SystemFiles
from tests.execute.texts import split_of


def zstd(data: bytes) -> bytes:
    import pytest

    return bytes(pytest.importorskip("zstandard").compress(data))


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
}
SUFFIX = {"gzip": ".gz", "bz2": ".bz2", "xz": ".xz", "zstd": ".zst"}


def read_whole(path: Path, format: Format) -> list[Any]:
    """Read a file as one task does."""
    return [record for records, _ in read_files(SystemFiles(), (split_of(path),), format) for record in records]


def read_cut(path: Path, format: Format, cuts: list[int]) -> list[Any]:
    """Read a file piece by piece, each in a task of its own."""
    unit = cut_at(format, str(path))
    assert unit is not None
    size = path.stat().st_size
    bounds = sorted({0, size, *(cut // unit * unit for cut in cuts if cut < size)})
    found: list[Any] = []
    for start, stop in itertools.pairwise(bounds):
        shares = [0.0]
        for records, share in read_files(SystemFiles(), (split_of(path, start, stop),), format):
            found += records
            shares.append(share)
        assert shares == sorted(shares)
        assert shares[-1] <= 1
    return found
