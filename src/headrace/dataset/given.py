"""Datasets of what the program holds, and of whole numbers."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

from headrace.dataset.arguments import whole
from headrace.dataset.engine import Engine
from headrace.dataset.tabular import batches, rows_of
from headrace.errors import UsageError
from headrace.execute.chunks import frame, list_frame
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
    inline: list[bytes | None] = []
    names: list[str] = []
    block = engine.block_name("slice")
    total = 0
    with holding() as held_too:
        for i in range(slices):
            some = held[len(held) * i // slices : len(held) * (i + 1) // slices]
            frames = [
                list_frame(batch) if isinstance(batch, list) else frame(batch, len(batch)) for batch in batches(some)
            ]
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
    made = engine.operator("parallelize", ReadSlices(tuple(inline), tuple(names)), partitions=slices)
    stored = tuple(name for name, here in zip(names, inline, strict=True) if here is None)
    if held_too:
        weakref.finalize(made, held_too.clear).atexit = False  # broadcast values among the records
    if stored:
        weakref.finalize(made, engine.session.forget, None, stored).atexit = False
    return made


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
