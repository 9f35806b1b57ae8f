"""Where datasets begin: text files, what the program holds, whole numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from headrace.dataset.arguments import whole
from headrace.dataset.engine import Engine
from headrace.errors import UsageError
from headrace.execute.chunks import frame
from headrace.execute.flow import Pace
from headrace.plan.formats import Lines
from headrace.plan.hashing import short
from headrace.plan.operators import Operator, ReadFiles, ReadRange, ReadSlices
from headrace.store.inputs import check_encoding, find_files, make_splits

INLINE_BYTES = 1 << 18  # of all slices together: more goes through the program's store


def text_file(
    engine: Engine,
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    least: int | None,
    encoding: str,
    errors: str,
) -> Operator:
    """Read lines of text."""
    check_encoding(encoding, errors)
    splits = make_splits(
        find_files(paths),
        Lines(encoding, errors),
        split_bytes=engine.config.data.split_bytes,
        workers=engine.config.workers,
        least=None if least is None else whole(least, "min_partitions", 0),
    )
    return engine.operator("text_file", ReadFiles(splits, Lines(encoding, errors)), partitions=len(splits))


def parallelize(engine: Engine, records: Iterable[Any], number: int | None) -> Operator:
    """Deal out records that the program holds."""
    slices = _slices(engine, number)
    if isinstance(records, range):
        return engine.operator("parallelize", ReadRange(records), partitions=slices)
    if not isinstance(records, Iterable):
        raise UsageError(f"parallelize needs something to iterate over, not {short(records)}. Give it a list.")
    held = records if isinstance(records, list | tuple) else list(records)
    inline: list[bytes | None] = []
    names: list[str] = []
    block = engine.block_name("slice")
    total = 0
    for i in range(slices):
        some = held[len(held) * i // slices : len(held) * (i + 1) // slices]
        frames = [frame(batch, len(batch)) for batch in Pace().lists(iter(some))]
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
    return engine.operator("parallelize", ReadSlices(tuple(inline), tuple(names)), partitions=slices)


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
