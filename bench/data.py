"""The input of the measurements: the shared library where it is, or the repository's own books, read often enough."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
BYTES = 100_000_000  # of text, about


@dataclass
class Library:
    """Text files, and how often they are read."""

    files: list[str]
    times: int
    _expected: Counter[str] | None = field(default=None, repr=False)

    @classmethod
    def find(cls, folder: str | None) -> Library:
        """Use a folder, or the shared data beside the checkout, or the repository's own books."""
        shared = Path(os.environ.get("HEADRACE_TEST_DATA", ROOT.parent / "shared" / "data")) / "text"
        for place in [Path(folder)] if folder else [shared, ROOT / "examples" / "books"]:
            files = sorted(str(path) for path in place.glob("*.txt"))
            if files:
                size = sum(os.path.getsize(file) for file in files)
                return cls(files, max(3, round(BYTES / size)))
        raise SystemExit(f"there are no .txt files in {folder}")

    @property
    def all(self) -> list[str]:
        """Every file, as often as it is read."""
        return self.files * self.times

    @property
    def bytes(self) -> int:
        """How much text there is."""
        return self.times * sum(os.path.getsize(file) for file in self.files)

    def expected(self) -> Counter[str]:
        """The right table, counted in the plainest way."""
        if self._expected is None:
            self._expected = Counter()
            for file in self.files:
                with open(file, encoding="utf-8") as text:
                    for line in text:
                        self._expected.update(line.split())
            for word in self._expected:
                self._expected[word] *= self.times
        return self._expected

    def __str__(self) -> str:
        return f"{len(self.files)} files {self.times} times, {self.bytes / 1e6:.0f} MB"
