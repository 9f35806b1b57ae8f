"""The class that users hold: a plan, and the methods of all families."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from headrace.dataset.methods.actions import Actions
from headrace.dataset.methods.arranged import Arranged
from headrace.dataset.methods.barriers import Barriers
from headrace.dataset.methods.joined import Joined
from headrace.dataset.methods.lineage import Lineage
from headrace.dataset.methods.numbers import Numbers
from headrace.dataset.methods.ordered import Ordered
from headrace.dataset.methods.pairs import Pairs
from headrace.dataset.methods.records import Records
from headrace.dataset.methods.saving import Saving
from headrace.errors import ClosureError, UsageError
from headrace.plan.explain import explain
from headrace.plan.hashing import short
from headrace.plan.html import Plan, box, table
from headrace.plan.levels import StorageLevel
from headrace.plan.operators import ancestors
from headrace.plan.partitioners import Partitioner
from headrace.plan.stages import RecordsSink

if TYPE_CHECKING:
    from headrace.context import Context

T = TypeVar("T")
SHOWN = 12  # operators of a lineage in a notebook


class Dataset(
    Records[T], Arranged[T], Barriers[T], Pairs[T], Joined[T], Ordered[T], Actions[T], Numbers[T], Saving[T], Lineage[T]
):
    """Records in partitions: what they are made of is known, so any part can be made again.

    Nothing is computed until an action (`collect`, `count`, `save_as_text_file`, ...) asks for it.  Names and meaning of all
    methods are those of PySpark's RDD, in snake_case.
    """

    __slots__ = ()

    def cache(self) -> Dataset[T]:
        """Keep the records in the workers' memory when they are computed next, as far as they fit; return this dataset.

        >>> ctx.range(10).cache().is_cached
        True
        """
        return self.persist()

    def persist(self, storage_level: StorageLevel = StorageLevel.MEMORY_ONLY) -> Dataset[T]:
        """Keep the records when they are computed next; return this dataset.

        What was kept by a worker that is lost is computed again, if it is needed.

        Args:
            storage_level: in the workers' memory as far as they fit, on their disks, or in memory and the rest on disk;
                each partition with one worker, or copied in the background to more (MEMORY_ONLY_2, DISK_ONLY_3, ...).

        Raises:
            UsageError: it is kept elsewhere already, or this is no level.

        >>> from headrace import StorageLevel
        >>> squares = ctx.range(4).map(lambda x: x * x).persist(StorageLevel.DISK_ONLY)
        >>> squares.sum(), squares.get_storage_level()
        (14, StorageLevel(use_disk=True, use_memory=False, replication=1))

        """
        level = storage_level
        if not isinstance(level, StorageLevel) or not (level.use_memory or level.use_disk) or level.replication < 1:
            raise UsageError(
                f"persist cannot keep records in {short(storage_level)}. Give it StorageLevel.MEMORY_ONLY, "
                "MEMORY_AND_DISK or DISK_ONLY."
            )
        self._engine.keep(self._operator, storage_level)
        return self

    def get_storage_level(self) -> StorageLevel | None:
        """Return where the records are kept; None if they are not.

        >>> ctx.range(4).get_storage_level() is None
        True
        """
        return self._engine.cached.get(self._operator.id)

    def unpersist(self, blocking: bool = False) -> Dataset[T]:
        """Forget what `cache` kept; return this dataset.

        Args:
            blocking: as PySpark has it; either way, nothing reads what was kept from now on, and workers free it soon.

        Raises:
            UsageError: `local_checkpoint` has cut it off from what it was made of.

        >>> ctx.range(10).cache().unpersist().is_cached
        False

        """
        self._engine.unkeep(self._operator)
        return self

    @property
    def is_cached(self) -> bool:
        """Whether `cache` was said, and `unpersist` not since.

        >>> ctx.range(10).is_cached
        False
        """
        return self._operator.id in self._engine.cached

    def id(self) -> int:
        """Return a number that no other dataset of this context has.

        >>> ctx.range(3).id() == ctx.range(3).id()
        False
        """
        return self._operator.id

    @property
    def context(self) -> Context:
        """The context that this dataset was made with.

        >>> ctx.range(3).context is ctx
        True
        """
        return cast("Context", self._engine.context)

    @property
    def partitioner(self) -> Partitioner | None:
        """How keys are dealt to partitions, where that is known.

        >>> print(ctx.parallelize([(1, 2)]).partition_by(4).partitioner)
        hash(4)
        """
        return self._operator.partitioner

    def get_num_partitions(self) -> int:
        """Return the number of partitions.

        >>> ctx.range(10, num_slices=3).get_num_partitions()
        3
        """
        return self._operator.partitions

    def explain(self) -> Plan:
        """Say what computing this takes: stages, what is fused, what is shuffled, which recovery and why.

        >>> print(ctx.parallelize("ab", 2).map(str.upper).explain())  # doctest: +ELLIPSIS
        stage ... (result, 2 tasks)
          fused:    parallelize(2 slices) -> map(str.upper)
          result:   collect
          recovery: re-run, replicate (backup copies of slow tasks), because ...
        """
        stages = self._engine.compile(self._operator, RecordsSink(), "collect", everything=True)
        return explain(stages, finished=self._engine.session.finished(), copies=self._engine.config.speculate.enabled)

    def __repr__(self) -> str:
        operator = self._operator
        parts = f"{operator.partitions} partition{'s' * (operator.partitions != 1)}"
        return f"<Dataset: {operator.name} at {operator.site}, {parts}, nothing computed until an action asks>"

    def _repr_html_(self) -> str:
        """Show in a notebook what this is, and what it comes from; nothing is computed."""
        operator, level = self._operator, self.get_storage_level()
        lineage = ancestors(operator)[::-1]
        rows = [(f"{one.name} at {one.site}", f"{one.partitions} partitions") for one in lineage[:SHOWN]]
        if len(lineage) > SHOWN:
            rows.append((f"and {len(lineage) - SHOWN} more", ""))
        about = [
            ("partitions", operator.partitions),
            ("kept", level or "no"),
            ("dealt by", operator.partitioner or "-"),
        ]
        return box(f"Dataset: {operator.name}", table(about), box("from", table(rows)))

    def __iter__(self) -> Iterator[T]:
        raise TypeError("a Dataset is not iterable: its records are elsewhere. Call collect() or to_local_iterator().")

    def __getitem__(self, place: object) -> NoReturn:
        raise TypeError("a Dataset cannot be indexed: its records are elsewhere. Call take(n), first() or lookup(key).")

    if not TYPE_CHECKING:  # a type checker is to complain, too

        def __getattr__(self, name: str) -> NoReturn:
            names = [known for known in dir(type(self)) if not known.startswith("_")]
            snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
            close = [snake] if snake in names else difflib.get_close_matches(snake, names, n=1)
            hint = f" Did you mean {close[0]!r}?" if close and not name.startswith("_") else ""
            raise AttributeError(f"a Dataset has no {name!r}.{hint}", name=name, obj=None)

    def __len__(self) -> int:
        raise TypeError("a Dataset has no length until it is computed. Call count().")

    def __bool__(self) -> bool:
        raise TypeError("a Dataset is neither true nor false until it is computed. Ask take(1), or `is not None`.")

    def __reduce__(self) -> tuple[Any, ...]:
        raise ClosureError(
            "a Dataset cannot be used inside a function of another. Join the two, or collect() the small one and "
            "pass it with ctx.broadcast"
        )
