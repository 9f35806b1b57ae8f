"""Datasets of what the program holds, and of whole numbers."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from headrace.dataset.arguments import whole
from headrace.dataset.engine import Engine
from headrace.dataset.tabular import batches, rows_of
from headrace.errors import UsageError
from headrace.execute.chunks import frame, list_frame
from headrace.execute.crashing import pickled, pieces, trigger, without
from headrace.plan.hashing import short
from headrace.plan.holding import holding
from headrace.plan.operators import Operator, ReadRange, ReadSlices

INLINE_BYTES = 1 << 18  # of all slices together: more goes through the program's store


def parallelize(engine: Engine, records: Iterable[Any], number: int | None) -> Operator:
    """Deal out records that the program holds."""
    slices = _slices(engine, number)
    if isinstance(records, range):
        return engine.operator("parallelize", ReadRange(records), partitions=slices)
    if not isinstance(records, Iterable):
        raise UsageError(f"parallelize needs something to iterate over, not {short(records)}. Give it a list.")
    held = rows_of(records)
    block = engine.block_name("slice")
    with holding() as held_too:
        before = pickled.markers
        inline, names = _deal(engine, block, [_frames(held[start:stop]) for start, stop in _ends(len(held), slices)])
        folder = None
        if pickled.markers != before:
            engine.session.forget(None, _stored(inline, names))
            if engine.config.scheme == "inline":
                raise UsageError("CRASH ends a worker process, and inline:// has none. Use local:// or sim://.")
            plain, places = without(held)
            folder = tempfile.mkdtemp(prefix="headrace-crash-")
            inline, names = _deal(engine, f"{block}x", _with_markers(plain, places, slices, folder))
    made = engine.operator("parallelize", ReadSlices(inline, names), partitions=slices)
    stored = _stored(inline, names)
    if held_too:
        weakref.finalize(made, held_too.clear).atexit = False  # broadcast values among the records
    if stored:
        weakref.finalize(made, engine.session.forget, None, stored).atexit = False
    if folder is not None:
        weakref.finalize(made, shutil.rmtree, folder, ignore_errors=True)
    return made


def _ends(length: int, slices: int) -> Iterator[tuple[int, int]]:
    return ((length * i // slices, length * (i + 1) // slices) for i in range(slices))


def _frames(some: Sequence[Any]) -> Iterator[bytes]:
    for batch in batches(some):
        yield list_frame(batch) if isinstance(batch, list) else frame(batch, len(batch))


def _with_markers(held: list[Any], places: list[int], slices: int, folder: str) -> list[Iterator[bytes]]:
    """Make the slices of records among which a test has put markers: they are as without them."""

    def frames(start: int, stop: int) -> Iterator[bytes]:
        for first, end, marker in pieces(start, stop, stop == len(held), places):
            yield from _frames(held[first:end])
            if marker is not None:
                yield trigger(f"{folder}/{marker}")

    return [frames(start, stop) for start, stop in _ends(len(held), slices)]


def _deal(
    engine: Engine, block: str, slices: Iterable[Iterable[bytes]]
) -> tuple[tuple[bytes | None, ...], tuple[str, ...]]:
    """Keep the first slices in the plan, and the rest, if they are large, in the program's own store."""
    inline: list[bytes | None] = []
    names: list[str] = []
    total = 0
    for i, some in enumerate(slices):
        frames = list(some)
        total += sum(map(len, frames))
        names.append(f"{block}-{i}")
        if total <= INLINE_BYTES:
            inline.append(b"".join(frames))
        else:
            inline.append(None)
            try:
                engine.session.provide(names[-1], frames)
            except BaseException:  # a full disk: what is there of it already would keep it full
                for name in names[:-1]:
                    engine.session.withdraw(name)
                raise
    return tuple(inline), tuple(names)


def _stored(inline: Sequence[bytes | None], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name, here in zip(names, inline, strict=True) if here is None)


def numbers(engine: Engine, start: int, end: int | None, step: int, number: int | None) -> Operator:
    """Count."""
    try:
        values = range(start, end, step) if end is not None else range(0, start, step)
    except (TypeError, ValueError) as error:
        raise UsageError(f"range: {error}. Give it whole numbers, as for Python's range.") from None
    return engine.operator("range", ReadRange(values), partitions=_slices(engine, number))


def _slices(engine: Engine, number: int | None) -> int:
    if number is None:
        return engine.config.workers
    return whole(number, "num_slices", 1)
