"""Files that are one record each: their path, and all that is in them."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.execute.formats.lines import streamed
from headrace.execute.formats.pieces import Input
from headrace.plan.formats import WholeFiles, WholeTexts


def read_whole_text(source: Input, format: WholeTexts) -> Iterator[tuple[list[tuple[str, str]], int]]:
    """Read a file's text as it is, ends of lines included; unpacked, where its name says that it is compressed."""
    text = "".join(text for text, _ in streamed(source, source.whole(), format))
    yield [(source.path, text)], source.size


def read_whole_file(source: Input, _: WholeFiles) -> Iterator[tuple[list[tuple[str, bytes]], int]]:
    """Read a file's bytes as they are."""
    yield [(source.path, b"".join(piece.data for piece in source.whole()))], source.size
