"""What all sources stand on: an engine that makes and runs plans."""

from __future__ import annotations

from typing import Any

from headrace.dataset.dataset import Dataset
from headrace.dataset.engine import Engine
from headrace.dataset.files import read
from headrace.plan.formats import Format
from headrace.store.inputs import Paths


class Door:
    """Something that datasets can be asked of."""

    _engine: Engine

    def _read(self, name: str, paths: Paths, format: Format, least: int | None) -> Dataset[Any]:
        return Dataset(self._engine, read(self._engine, name, paths, format, least))
