"""A partition on its way through a task: chunks from a source, and record-wise operators still to be applied.

Record-wise operators are not applied one after the other to whole chunks: they are stacked as C iterators, so that a
record is touched once and nothing piles up between them.  The list iterator at the bottom is also how we know, at no
cost, which record was being worked on when a function raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from operator import itemgetter
from typing import Any

from headrace.errors import ProgramError
from headrace.execute.chunks import CHUNK_BYTES, CHUNK_RECORDS, sizeof
from headrace.execute.kernels import Paired
from headrace.plan.stages import Node

DEEP = 200  # iterators within iterators, before recursion ends it; a longer chain takes a chunk in several goes
FIRST = 4  # records taken before anything is known of their size
Stream = Iterator[Any]
Batch = list[Any] | Paired
Step = Callable[[Stream], Stream]


class Flow:
    """Chunks of records, and the operators to be applied to each record on the way out.

    Attributes:
        origin: the operator that makes the chunks.
        steps: one per record-wise operator, innermost first.
        nodes: the operators that the steps stand for.
        over: whether everything has been taken.
        paired: the chunks, of pairs as columns where their source has them so; to be used instead of them, if there are no
            steps.

    """

    def __init__(self, chunks: Iterable[Sequence[Any]], origin: Node | None = None) -> None:
        self.chunks, self.origin = chunks, origin
        self.steps: list[Step] = []
        self.nodes: list[Node] = []
        self.over = False
        self.paired: Iterator[Batch] | None = None
        self._chunk: Sequence[Any] = ()
        self._cursor: Iterator[Any] = iter(())

    def then(self, step: Step, node: Node) -> Flow:
        """Stack one more operator."""
        self.steps.append(step)
        self.nodes.append(node)
        return self

    def streams(self) -> Iterator[Stream]:
        """Give, for each chunk, an iterator over its records; each must be used up before the next is asked for."""
        for chunk in self.chunks:
            self._chunk = chunk
            self._cursor = stream = bottom = iter(chunk)
            for number, step in enumerate(self.steps, start=1):
                stream = step(stream)
                if number % DEEP == 0:
                    held = list(stream)
                    _check_finished(bottom, chunk)
                    chunk = held
                    stream = bottom = iter(chunk)
            yield stream
            _check_finished(bottom, chunk)
        self.over = True
        self._chunk = ()

    def batches(self) -> Iterator[Batch]:
        """Give the records as `lists` does, or as columns where they are such."""
        if self.paired is None or self.steps:
            yield from self.lists()
        else:
            yield from self.paired
            self.over = True

    def records(self) -> Stream:
        """Give one iterator over the whole partition."""
        return chain.from_iterable(self.streams())

    def lists(self) -> Iterator[list[Any]]:
        """Give the records in lists of bounded length and, as far as records allow, bounded size."""
        if not self.steps:
            for chunk in self.chunks:
                yield chunk if isinstance(chunk, list) else list(chunk)
            self.over = True
            return
        pace = Pace()
        for stream in self.streams():
            yield from pace.lists(stream)

    def at_hand(self) -> tuple[bool, Any]:
        """Return the source record being worked on, if any is."""
        if not self._chunk or not self._busy():
            return False, None
        index = len(self._chunk) - self._cursor.__length_hint__() - 1  # type: ignore[attr-defined]
        return (True, self._chunk[index]) if index >= 0 else (False, None)

    def _busy(self) -> bool:
        """Whether the bottom iterator was not asked beyond its last record yet."""
        return _is_busy(self._cursor, self._chunk)


def _is_busy(cursor: Iterator[Any], chunk: Sequence[Any]) -> bool:
    return cursor.__reduce__()[1][0] is chunk


def _check_finished(cursor: Iterator[Any], chunk: Sequence[Any]) -> None:
    # A C iterator cannot tell a function that raises StopIteration from the end of its input, and would drop the rest
    # without a word.  But then the bottom iterator was never asked beyond its last record.
    if chunk and _is_busy(cursor, chunk):
        raise StoppedEarly


class StoppedEarly(ProgramError):
    """A function of the user's raised StopIteration."""

    def __init__(self) -> None:
        super().__init__(
            "a function raised StopIteration, which would have dropped the rest of the partition without a word. "
            "Use next(iterator, default), or return instead of raising."
        )


class Pace:
    """Decides how many records to take at once, so that records that turn out large do not fill memory.

    >>> [len(batch) for batch in Pace(4, 1 << 20).lists(iter(range(10)))]
    [4, 4, 2]
    """

    def __init__(self, most: int = CHUNK_RECORDS, bytes_max: int = CHUNK_BYTES, first: int = FIRST) -> None:
        self.most, self.bytes_max = most, bytes_max
        self.next = min(first, most)

    def learn(self, batch: list[Any]) -> None:
        """Look at a sample of the records just taken."""
        each = max(1, sizeof(batch) // max(1, len(batch)))
        self.next = max(1, min(self.most, 4 * self.next, self.bytes_max // each))

    def lists(self, stream: Stream) -> Iterator[list[Any]]:
        """Cut a stream into lists.

        A list that came out short was the last: asked again, a C iterator whose function raised StopIteration would go on
        behind the record that it dropped.
        """
        while batch := list(islice(stream, self.next)):
            last = len(batch) < self.next
            yield batch
            self.learn(batch)
            if last:
                return


def _pair(record: Any) -> tuple[Any, None]:
    return record, None


def step_of(node: Node) -> Step:
    """Turn a record-wise operator into a function from iterator to iterator."""
    body: Any = node.body
    function: Callable[[Any], Any] = body.function.call if body.function is not None else _pair
    match body.kind:
        case "map":
            return lambda stream: map(function, stream)
        case "flat_map":
            return lambda stream: chain.from_iterable(map(function, stream))
        case "filter":
            return lambda stream: filter(function, stream)
        case "map_values":
            return lambda stream: ((key, function(value)) for key, value in stream)
        case "flat_map_values":
            return lambda stream: ((key, inner) for key, value in stream for inner in function(value))
        case "key_by":
            return lambda stream: ((function(record), record) for record in stream)
        case "keys":
            return lambda stream: map(itemgetter(0), stream)
        case "values":
            return lambda stream: map(itemgetter(1), stream)
        case "pair":
            return lambda stream: map(_pair, stream)
    raise AssertionError(body.kind)
