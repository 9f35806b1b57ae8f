"""Checkpoints: chunks with checksums, one file a partition, for the program that wrote them.

Whatever is wrong with a file is an error that says that this was a checkpoint, because what it was made of is not known any
more, so that nothing can be computed again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headrace.errors import InputError
from headrace.execute.chunks import Corrupt, frame, split_frames
from headrace.execute.formats.pieces import Input, Piece
from headrace.plan.operators import Split
from headrace.ports import Files


def read_checkpoint(files: Files, splits: tuple[Split, ...]) -> Iterator[tuple[list[Any], float]]:
    """Read the records of some parts: lists of records, each with the share that is read by then.

    Raises:
        InputError: a part is missing, broken or another one.

    """
    whole = sum(split.size for split in splits) or 1
    before = 0
    for split in splits:
        try:
            source = Input(files, split, raw=True)
            try:
                for records, read in _records(source):
                    yield records, min(1.0, (before + read) / whole)
            finally:
                source.close()
        except (InputError, Corrupt) as error:
            raise InputError(
                f"a checkpoint is lost: {split.path} is missing, or not what was written ({error}). What it was made of is "
                "not known any more: run the program again, with a checkpoint folder that nothing else touches."
            ) from error
        before += split.size


def _records(source: Input) -> Iterator[tuple[list[Any], int]]:
    read = 0

    def data(pieces: Iterator[Piece]) -> Iterator[bytes]:
        nonlocal read
        for piece in pieces:
            read = piece.read
            yield piece.data

    for part in split_frames(data(source.whole())):
        yield part.load(), read


class CheckpointWriter:
    """Writes a chunk for each list of records."""

    suffix = ".frames"

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def encode(self, records: list[Any]) -> bytes:
        """Write a chunk.

        Raises:
            ProgramError: a record cannot be pickled.

        """
        return frame(records, len(records))

    def finish(self) -> bytes:
        """Nothing: how large a file is to be is known."""
        return b""
