"""A task's body that shows what each of its operators makes, record by record, and what goes into its sink.

Used where a task is run again to see whether it does the same: the body is the very same, only watched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

from msgspec import Struct

from headrace.execute.canonical import RollingDigest, Speller
from headrace.execute.chunks import COLUMNS, loads, split_frames
from headrace.execute.current import NO_PROPERTIES
from headrace.execute.flow import Batch, Flow
from headrace.execute.task import Finished, TaskBody
from headrace.ids import AttemptId, TaskId
from headrace.plan.formats import Frames, Pickles
from headrace.plan.functions import Site
from headrace.plan.hashing import class_name
from headrace.plan.operators import PerPartition, PerRecord, ReadSlices
from headrace.plan.stages import FileSink, Node, Program, ShuffleSink, ValueSink
from headrace.ports import Bytes, TaskPort

NOTHING = object()  # no record can be told


class Tap(Protocol):
    """Is shown what passes: where, as a position in the program, and from which record it was made, if that can be told."""

    def saw(self, place: int, value: Any, given: Callable[[], Any]) -> None:
        """A value has passed."""
        ...


class Digests:
    """A tap that keeps digests of all that has passed each place."""

    def __init__(self) -> None:
        self.speller = Speller()
        self._digests: dict[int, RollingDigest] = {}

    def saw(self, place: int, value: Any, given: Callable[[], Any]) -> None:
        """A value has passed."""
        digest = self._digests.get(place)
        if digest is None:
            digest = self._digests[place] = RollingDigest()
        digest.add(self.speller.spell(value))

    def of(self, place: int) -> str:
        """Return the digest of what has passed a place; empty if that is nothing."""
        return self._digests[place].digest if place in self._digests else ""


class Where(Struct, frozen=True):
    """A place in a program that a tap tells of: an operator, the sink behind the last, or what was added up."""

    name: str
    site: Site


def places_of(program: Program) -> list[Where]:
    """List the places of a program, in the order in which records pass them."""
    tip, sink = program.nodes[-1], program.sink
    places = [Where(node.name, node.site) for node in program.nodes]
    if isinstance(sink, ShuffleSink):
        places.append(Where(sink.name, sink.site))
    elif isinstance(sink, ValueSink):
        places.append(Where(sink.function.label, sink.function.site))
    else:
        places.append(Where(tip.name, tip.site))
    places.append(Where("what was added to accumulators", tip.site))
    return places


def _nothing() -> Any:
    return NOTHING


class TappedPort:
    """A port that shows what a body writes, as records where they are such."""

    def __init__(self, inner: TaskPort, program: Program, tap: Tap) -> None:
        self._inner, self._tap, self._place = inner, tap, len(program.nodes)
        sink = program.sink
        self._is_pickled = isinstance(sink, FileSink) and isinstance(sink.format, Pickles | Frames)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def map_output(self, partitions: int) -> Any:
        """Begin the task's map output."""
        return _TappedParts(self._inner.map_output(partitions), self._frame)

    def result(self) -> Any:
        """Begin the task's result."""
        return _Tapped(self._inner.result(), self._frame)

    def part_file(self, directory: str, suffix: str) -> Any:
        """Begin a part of an output: bytes, except where records are pickled, which the last operator has shown."""
        file = self._inner.part_file(directory, suffix)
        return file if self._is_pickled else _Tapped(file, self._bytes)

    def finished(self, finished: Finished) -> None:
        """The body has ended well: show what it has added up."""
        if finished.updates:
            for update in loads(finished.updates).items():
                self._tap.saw(self._place + 1, update, _nothing)

    def _bytes(self, data: Bytes) -> None:
        self._tap.saw(self._place, bytes(data), _nothing)

    def _frame(self, data: Bytes) -> None:
        try:
            values = [(part.load(), part.flags) for part in split_frames([data])]
        except Exception as error:  # a user's __setstate__ may do anything; whoever reads it will say so
            values = [([class_name(error)], 0)]
        for value, flags in values:
            for record in zip(*value, strict=True) if flags & COLUMNS else value:
                self._tap.saw(self._place, record, _nothing)


class _Tapped:
    """Something that is written to, and shows what."""

    def __init__(self, inner: Any, show: Callable[[Bytes], None]) -> None:
        self._inner, self._show = inner, show

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, data: Bytes) -> Any:
        """Write."""
        self._show(data)
        return self._inner.write(data)


class _TappedParts:
    """A map output that shows its parts."""

    def __init__(self, inner: Any, show: Callable[[Bytes], None]) -> None:
        self._inner, self._show = inner, show

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def part(self, pieces: Iterable[Bytes], records: int) -> None:
        """Write the next part."""
        self._inner.part(self._shown(pieces), records)

    def _shown(self, pieces: Iterable[Bytes]) -> Iterator[Bytes]:
        for piece in pieces:
            self._show(piece)
            yield piece


class TappedBody(TaskBody):
    """One attempt at one task, watched.

    Args:
        inside: show what each operator makes, too; otherwise only what comes out of the task, which costs much less.

    """

    def __init__(
        self,
        program: Program,
        task: TaskId,
        attempt: AttemptId,
        port: TaskPort,
        number: int = 0,
        properties: Mapping[str, str] = NO_PROPERTIES,
        folder: str = "",
        *,
        tap: Tap,
        inside: bool = True,
    ) -> None:
        self._tapped = TappedPort(port, program, tap)
        super().__init__(program, task, attempt, cast("TaskPort", self._tapped), number, properties, folder)
        self._tap, self._inside = tap, inside
        self._places = {node.operator: place for place, node in enumerate(program.nodes)}
        self._latest: WeakKeyDictionary[Flow, list[Any]] = WeakKeyDictionary()  # what its last operator has made last

    def run(self) -> Finished:
        """Run to the end."""
        finished = super().run()
        self._tapped.finished(finished)
        return finished

    def _new(self, chunks: Iterator[list[Any]], origin: Node) -> Flow:
        if not self._inside:
            return super()._new(chunks, origin)
        return super()._new(cast("Iterator[list[Any]]", self._shown(chunks, origin)), origin)

    def _paired_slice(self, body: ReadSlices, partition: int) -> Iterator[Batch]:
        batches = super()._paired_slice(body, partition)
        if not self._inside:
            return batches
        origin = next(node for node in self._program.nodes if node.body is body)
        return self._shown(batches, origin)

    def _shown(self, chunks: Iterable[Any], origin: Node) -> Iterator[Any]:
        """Show the records of chunks; the chunks stay as they are, for others go by their sizes."""
        place, tap = self._places[origin.operator], self._tap
        try:
            for chunk in chunks:
                for record in chunk:
                    tap.saw(place, record, _nothing)
                yield chunk
        finally:
            if (close := getattr(chunks, "close", None)) is not None:
                close()

    def _stack(self, flow: Flow, node: Node, partition: int) -> Flow:
        made = super()._stack(flow, node, partition)
        if self._inside and isinstance(node.body, PerRecord):
            place, tap = self._places[node.operator], self._tap
            before, latest = self._latest.get(made), [NOTHING]
            self._latest[made] = latest

            def given() -> Any:
                if before is not None:
                    return before[0]
                found, record = made.at_hand()
                return record if found else NOTHING

            def look(record: Any) -> Any:
                latest[0] = record
                tap.saw(place, record, given)
                return record

            made.steps.append(lambda stream: map(look, stream))
        return made


def why_not(program: Program) -> str:
    """Say why the tasks of a program are not run again just to see what they do; nothing if they may be."""
    for node in program.nodes:
        if isinstance(node.body, PerPartition):
            if node.body.barrier:
                return "its tasks meet each other"
            if node.body.has_effects:
                return f"{node.name} does something besides returning"
    sink = program.sink
    if isinstance(sink, FileSink) and isinstance(sink.format, Frames):
        return "a checkpoint is what was computed for another job"
    if isinstance(sink, ValueSink) and sink.function.label in EFFECTS:
        return f"{sink.function.label} does something besides returning"
    return ""


EFFECTS = frozenset({"foreach", "foreach_partition"})
