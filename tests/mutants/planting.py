"""Planting a bug: a piece of the engine's source is replaced while it is imported.  Nothing is written anywhere.

A piece must be found exactly once, so that a bug which no longer applies says so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

PACKAGE = "headrace"
SOURCE = Path(__file__).parents[2] / "src" / PACKAGE


class NotPlanted(Exception):
    """A bug does not apply to the source as it is."""


@dataclass(frozen=True)
class Edit:
    """A piece of source, and what it is replaced by.

    Attributes:
        file: below the package.

    """

    file: str
    old: str
    new: str

    @property
    def module(self) -> str:
        """The module that it is in."""
        return f"{PACKAGE}.{self.file.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}"

    def applied(self, source: str) -> str:
        """Return a source with the piece replaced.

        Raises:
            NotPlanted: it is not there, or there more than once, or is no Python any more.

        """
        times = source.count(self.old)
        if times != 1:
            raise NotPlanted(f"{self.file} has this {times} times, not once:\n{self.old}")
        changed = source.replace(self.old, self.new)
        try:
            compile(changed, self.file, "exec", dont_inherit=True)
        except SyntaxError as error:
            raise NotPlanted(f"{self.file} is no Python with this: {error}\n{self.new}") from error
        return changed


def check(edits: Iterable[Edit]) -> None:
    """Raise NotPlanted unless all of these apply."""
    sources: dict[str, str] = {}
    for edit in edits:
        source = sources.get(edit.file) or (SOURCE / edit.file).read_text(encoding="utf-8")
        sources[edit.file] = edit.applied(source)


class _Loader(SourceFileLoader):
    """Compiles a module from a changed source."""

    def __init__(self, fullname: str, path: str, edits: Iterable[Edit]) -> None:
        super().__init__(fullname, path)
        self._edits = tuple(edits)

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path).decode()
        for edit in self._edits:
            source = edit.applied(source)
        return compile(source, self.path, "exec", dont_inherit=True)


class _Planter(MetaPathFinder):
    def __init__(self, edits: Sequence[Edit]) -> None:
        self._edits = edits

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        edits = [edit for edit in self._edits if edit.module == fullname]
        if not edits:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            raise NotPlanted(f"there is no module {fullname}")
        spec.loader = _Loader(fullname, spec.origin, edits)
        return spec


def plant(edits: Sequence[Edit]) -> None:
    """Have these modules be imported with bugs.

    Raises:
        NotPlanted: a bug does not apply, or its module is here already.

    """
    check(edits)
    for edit in edits:
        if edit.module in sys.modules:
            raise NotPlanted(f"{edit.module} was imported before its bug was planted")
    sys.meta_path.insert(0, _Planter(edits))
