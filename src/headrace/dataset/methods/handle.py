"""What all methods of a dataset stand on: a plan, and the engine that runs plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from headrace.errors import UsageError
from headrace.plan.hashing import short
from headrace.plan.operators import Operator

if TYPE_CHECKING:
    from headrace.dataset.dataset import Dataset
    from headrace.dataset.engine import Engine

T = TypeVar("T")


class Handle(Generic[T]):
    """A plan, held by the program."""

    __slots__ = ("__weakref__", "_engine", "_operator")

    def __init__(self, engine: Engine, operator: Operator) -> None:
        self._engine, self._operator = engine, operator

    def _then(self, operator: Operator) -> Dataset[Any]:
        return cast("Dataset[Any]", type(self)(self._engine, operator))

    def _beside(self, other: Handle[Any], name: str) -> Operator:
        """Return another dataset's plan, if it can be combined with this one's."""
        if not isinstance(other, Handle):
            raise UsageError(f"{name} needs another Dataset, not {short(other)}. Make one with ctx.parallelize.")
        if other._engine is not self._engine:
            raise UsageError(f"{name} needs a Dataset of the same context. Make both with one ctx.")
        return other._operator
