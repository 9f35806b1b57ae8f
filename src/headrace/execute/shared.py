"""Values shared between the program and its tasks: broadcast to them, or accumulated from them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from copy import copy, deepcopy
from typing import Any, Generic, TypeVar

from headrace.errors import ProgramError, UsageError
from headrace.execute.current import current
from headrace.plan.holding import met

T = TypeVar("T")
_adding = threading.RLock()  # user code may start threads


class Broadcast(Generic[T]):
    """A value that every worker reads once, when a task first asks for it; freed when nothing refers to it any more.

    Source: Zaharia et al., "Spark: Cluster Computing with Working Sets" (2010), section 3.
    """

    __slots__ = ("__weakref__", "_forget", "_unload", "_value", "name")

    def __init__(
        self,
        name: str,
        value: T,
        forget: Callable[[], None] | None = None,
        unload: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self._value: tuple[T] | None = (value,)
        self._forget, self._unload = forget, unload

    @property
    def value(self) -> T:
        """The value.

        Raises:
            UsageError: it was destroyed.

        >>> ctx.broadcast([1, 2]).value
        [1, 2]

        """
        if self._value is None:
            raise UsageError("this broadcast value was destroyed. Make it anew with ctx.broadcast.")
        return self._value[0]

    def unpersist(self, blocking: bool = False) -> None:
        """Free the memory that the value takes on the workers; a task that asks for it has it read again.

        Args:
            blocking: makes no difference, and is there for programs that say it.

        Raises:
            UsageError: it was destroyed, or a task asks.

        >>> limit = ctx.broadcast(2)
        >>> ctx.range(4).filter(lambda x: x < limit.value).count()
        2
        >>> limit.unpersist()
        >>> ctx.range(4).filter(lambda x: x > limit.value).count()
        1

        """
        if self._value is None:
            raise UsageError("this broadcast value was destroyed. Make it anew with ctx.broadcast.")
        if self._unload is None:
            raise UsageError("a task cannot free a broadcast value, which others may read. Do it in the program.")
        self._unload()

    def destroy(self, blocking: bool = False) -> None:
        """Forget the value, here and on every worker.

        Args:
            blocking: makes no difference, and is there for programs that say it.

        >>> ctx.broadcast([1, 2]).destroy()

        """
        self._value = None
        if self._forget is not None:
            self._forget()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._value is None:
            raise UsageError("this broadcast value was destroyed. Make it anew with ctx.broadcast.")
        met(self)
        return _Remote, (self.name,)

    def __repr__(self) -> str:
        return f"Broadcast({self.name})"


class _Remote(Broadcast[Any]):
    """A broadcast value as a task sees it."""

    __slots__ = ()

    def __init__(self, name: str) -> None:
        super().__init__(name, None)

    @property
    def value(self) -> Any:
        task = current()
        if task is None:
            raise UsageError(
                "a broadcast value that came back from a task can be read in tasks only. Read the one that ctx.broadcast "
                "returned."
            )
        return task.port.shared(self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Remote, (self.name,)


class AccumulatorParam(Generic[T]):
    """How values of a kind of your own are accumulated; subclass it, and give an instance to `ctx.accumulator`."""

    def zero(self, value: T) -> T:
        """Return what each task begins with; a new object at each call.

        Args:
            value: what the accumulator began with.

        """
        raise NotImplementedError

    def add_in_place(self, value1: T, value2: T) -> T:
        """Return the sum of two values; the first may be changed for it and returned."""
        raise NotImplementedError


class Accumulator(Generic[T]):
    """A value that tasks add to and the program reads: a number, or anything else that `+` adds to its like.

    Each task's contribution counts once for each job and partition, that of the attempt that was committed, whatever was
    run again or beside it; a second action runs the functions again, and adds again.
    """

    __slots__ = ("__weakref__", "_first", "_value", "number", "param")

    def __init__(self, number: int, value: T, param: AccumulatorParam[T] | None = None, first: Any = None) -> None:
        self.number, self._value, self.param = number, value, param
        self._first = first if first is not None or param is None else deepcopy(value)

    @property
    def value(self) -> T:
        """The sum so far; of jobs that have ended.

        Raises:
            ProgramError: a task asks for it.

        >>> ctx.accumulator(0).value
        0

        """
        if current() is not None:
            raise ProgramError(
                "a task cannot read an accumulator, of which it sees a part. Only add to it there, and read it in the "
                "program."
            )
        return self._value

    @value.setter
    def value(self, value: T) -> None:
        self._value = value

    def add(self, term: T) -> None:
        """Add a term; in a task, to the task's own contribution.

        >>> seen = ctx.accumulator([])
        >>> ctx.range(3, num_slices=3).foreach(lambda number: seen.add([number]))
        >>> seen.add([7])
        >>> sorted(seen.value)
        [0, 1, 2, 7]
        """
        task = current()
        with _adding:
            if task is None:
                self._value = self._sum(self._value, term)
                return
            if self.param is not None:
                if self.number not in task.updates:
                    task.updates[self.number] = deepcopy(self.param.zero(self._first))
                task.updates[self.number] = self.param.add_in_place(task.updates[self.number], term)
            elif self.number in task.updates:
                task.updates[self.number] = task.updates[self.number] + term
            else:  # not on top of what the program began with: that would count once for each task
                task.updates[self.number] = copy(term)

    def _sum(self, value: T, term: T) -> T:
        if self.param is not None:
            return self.param.add_in_place(value, term)
        return value + term  # type: ignore[operator, no-any-return]

    def __iadd__(self, term: T) -> Accumulator[T]:
        self.add(term)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Accumulator, (self.number, None, self.param, self._first)

    def __repr__(self) -> str:
        return f"Accumulator({self.number}, {self._value!r})"
