"""What user code can ask and do in tasks that run all at once."""

from __future__ import annotations

from msgspec import Struct

from headrace.errors import UsageError
from headrace.execute.context import TaskContext
from headrace.execute.current import Current, current
from headrace.plan.hashing import short
from headrace.protocols.gather import GATHER_BYTES_MAX


class BarrierTaskInfo(Struct, frozen=True):
    """One of the tasks of a barrier stage.

    Attributes:
        address: of the machine that it runs on; workers listen on no port of their own.
        worker, host: the names of its worker and of what shares a disk with it.

    """

    address: str
    worker: str
    host: str


class BarrierTaskContext(TaskContext):
    """The task that runs, where all tasks of its stage run at once and can wait for each other.

    Made by the engine; a function given to `dataset.barrier().map_partitions` gets it with `BarrierTaskContext.get()`.

    >>> def total(records):
    ...     task = BarrierTaskContext.get()
    ...     yield sum(map(int, task.all_gather(str(sum(records)))))
    >>> ctx.range(10, num_slices=1).barrier().map_partitions(total).collect()
    [45]
    """

    __slots__ = ()

    @classmethod
    def get(cls) -> BarrierTaskContext:
        """Return the task that calls this.

        Raises:
            UsageError: it is none of a barrier stage, or this is the program itself.

        >>> BarrierTaskContext.get()
        Traceback (most recent call last):
        ...
        headrace.errors.UsageError: BarrierTaskContext.get() is for functions given to dataset.barrier().map_partitions...

        """
        running = current()
        if running is None or not running.port.gang:
            raise UsageError(
                "BarrierTaskContext.get() is for functions given to dataset.barrier().map_partitions, in whose stage all "
                "tasks run at once. Elsewhere, ask TaskContext.get()."
            )
        return BarrierTaskContext(running)

    def barrier(self) -> None:
        """Wait until all tasks of the stage have called this as often as this one.

        Raises:
            BarrierBroken: one has ended, or called `all_gather` instead.

        >>> def wait(records):
        ...     BarrierTaskContext.get().barrier()
        ...     return records
        >>> ctx.range(3, num_slices=1).barrier().map_partitions(wait).collect()
        [0, 1, 2]

        """
        _meet(self._current, "barrier()", "")

    def all_gather(self, message: str = "") -> list[str]:
        """Wait as `barrier` does, and return what all tasks have said, in the order of the partitions.

        Args:
            message: text; what all tasks say at once comes to 4 MB at most.

        Raises:
            UsageError: it is no text, or too long.
            BarrierBroken: a task has ended, or called `barrier` instead.

        >>> def names(records):
        ...     return BarrierTaskContext.get().all_gather("partition 0")
        >>> ctx.range(3, num_slices=1).barrier().map_partitions(names).collect()
        ['partition 0']

        """
        if not isinstance(message, str):
            raise UsageError(f"all_gather sends text, not {short(message)}. Give str(...) or json.dumps(...) of it.")
        try:
            size = len(message.encode())
        except UnicodeEncodeError:
            raise UsageError(
                "all_gather sends text that UTF-8 can write; this has half of a surrogate pair. Encode it, with base64 for "
                "example."
            ) from None
        limit = GATHER_BYTES_MAX // len(self._current.port.gang)
        if size > limit:
            raise UsageError(
                f"this message has {size:,} bytes; {limit:,} is the most for each of {len(self._current.port.gang)} tasks. "
                "Return what is large as records, or write it to a file and send its name."
            )
        return list(_meet(self._current, "all_gather()", message))

    def get_task_infos(self) -> list[BarrierTaskInfo]:
        """Return where all tasks of the stage run, in the order of the partitions.

        >>> def addresses(records):
        ...     return [info.address for info in BarrierTaskContext.get().get_task_infos()]
        >>> ctx.range(3, num_slices=1).barrier().map_partitions(addresses).collect()
        ['127.0.0.1']
        """
        return [BarrierTaskInfo("127.0.0.1", member.worker, member.host) for member in self._current.port.gang]


def _meet(task: Current, call: str, message: str) -> tuple[str, ...]:
    if current() is not task:
        raise UsageError(
            "this task has ended, and can wait for no others. Call BarrierTaskContext.get() in the function."
        )
    return task.port.meet(call, message)
