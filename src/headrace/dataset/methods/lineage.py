"""What a dataset is called, what it was made of, and how that is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from headrace.dataset.methods.handle import Handle
from headrace.errors import UsageError
from headrace.plan.debug import debug_lines
from headrace.plan.hashing import short
from headrace.plan.rewrite import entitle

if TYPE_CHECKING:
    from headrace.dataset.dataset import Dataset

T = TypeVar("T")


class Lineage(Handle[T]):
    """Checkpoints, names, and the tree of what was made of what."""

    __slots__ = ()

    def checkpoint(self) -> None:
        """Have the records written to the checkpoint folder once an action has computed them, and forget their lineage.

        A job of its own writes them in the background, from what is kept where something is: persist the dataset, or it is
        computed twice.  Files outlive workers and hosts, and stay when the run ends.

        Raises:
            UsageError: there is no folder: see `ctx.set_checkpoint_dir`.

        >>> ctx.set_checkpoint_dir(folder / "checkpoints")
        >>> squares = ctx.range(4).map(lambda x: x * x)
        >>> squares.checkpoint()
        >>> squares.sum()
        14
        >>> ctx.wait_for_checkpoints()
        >>> squares.is_checkpointed, squares.sum()
        (True, 14)

        """
        self._engine.checkpoints.mark(self._operator)

    def local_checkpoint(self) -> None:
        """Have workers keep the records, in memory and on disk, once an action has computed them; forget their lineage.

        Faster than `checkpoint`, and only as safe as the workers: a partition that is lost with one cannot be computed
        again, and whoever needs it is told so.

        >>> squares = ctx.range(4).map(lambda x: x * x)
        >>> squares.local_checkpoint()
        >>> squares.sum(), squares.is_checkpointed
        (14, True)

        """
        self._engine.checkpoints.mark_local(self._operator)

    @property
    def is_checkpointed(self) -> bool:
        """Whether the lineage is forgotten, because the records lie in files, or with workers.

        >>> ctx.range(4).is_checkpointed
        False
        """
        return self._engine.checkpoints.state(self._operator) == "done"

    @property
    def is_locally_checkpointed(self) -> bool:
        """Whether `local_checkpoint` was said.

        >>> ctx.range(4).is_locally_checkpointed
        False
        """
        return self._engine.checkpoints.is_local(self._operator)

    def get_checkpoint_file(self) -> str | None:
        """Return the folder that holds the records; None if they are not written, or not yet.

        >>> ctx.range(4).get_checkpoint_file() is None
        True
        """
        return self._engine.checkpoints.file(self._operator)

    @property
    def name(self) -> str | None:
        """What the program calls this dataset; None unless `set_name` was called.

        >>> ctx.range(4).name is None
        True
        """
        return self._operator.title

    def set_name(self, name: str) -> Dataset[T]:
        """Call this dataset something, for people: `explain`, progress and the story say it; return this dataset.

        >>> ctx.range(4).set_name("numbers").name
        'numbers'
        """
        if not isinstance(name, str) or not name:
            raise UsageError(f"set_name needs some text, not {short(name)}.")
        entitle(self._operator, name)
        return cast("Dataset[T]", self)

    def to_debug_string(self) -> str:
        r"""Show what this is made of, as a tree: how many partitions there are, where records move, what is kept.

        >>> pairs = ctx.parallelize([(1, 2)], 3).cache()
        >>> print(pairs.reduce_by_key(max, 2).to_debug_string())  # doctest: +ELLIPSIS
        (2) reduce_by_key [...] at ...
         +-(3) parallelize [...] at ... (kept in the workers' memory)

        """
        engine = self._engine
        engine.checkpoints.poll()
        with engine.lock:
            return "\n".join(debug_lines(self._operator, engine.cached))
