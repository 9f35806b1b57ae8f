"""Reading files in any format: a table of readers, and what is common to all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headrace.execute.chunks import CHUNK_RECORDS
from headrace.execute.formats.checkpoints import read_checkpoint
from headrace.execute.formats.codecs import codec_of
from headrace.execute.formats.csv_rows import read_csv
from headrace.execute.formats.fixed_length import read_fixed_length
from headrace.execute.formats.json_lines import read_json_lines
from headrace.execute.formats.lines import is_cuttable, read_lines
from headrace.execute.formats.pickles import read_pickles
from headrace.execute.formats.pieces import Input
from headrace.execute.formats.whole_files import read_whole_file, read_whole_text
from headrace.plan.formats import Csv, FixedLength, Format, Frames, JsonLines, Lines, Pickles, WholeFiles, WholeTexts
from headrace.plan.operators import Split
from headrace.ports import Files

READERS: dict[type, Any] = {
    Lines: read_lines,
    JsonLines: read_json_lines,
    Csv: read_csv,
    Pickles: read_pickles,
    WholeTexts: read_whole_text,
    WholeFiles: read_whole_file,
    FixedLength: read_fixed_length,
}


def read_files(files: Files, splits: tuple[Split, ...], format: Format) -> Iterator[tuple[list[Any], float]]:
    """Read the records of some splits, in order: lists of records, each with the share that is read by then."""
    if isinstance(format, Frames):
        yield from read_checkpoint(files, splits)
        return
    whole = sum(_length(split) for split in splits) or 1
    before = 0
    reader = READERS[type(format)]
    for split in splits:
        source = Input(files, split, raw=isinstance(format, WholeFiles))
        try:
            for records, read in reader(source, format):
                share = min(1.0, (before + read) / whole)
                for start in range(0, len(records), CHUNK_RECORDS):
                    yield records[start : start + CHUNK_RECORDS], share
        finally:
            source.close()
        before += _length(split)


def _length(split: Split) -> int:
    return split.size if split.stop is None else split.stop - split.start


def cut_at(format: Format, path: str) -> int | None:
    """Return at which multiples of bytes a file may be cut into splits; None if it can only be read whole.

    >>> cut_at(Lines(), "a.txt"), cut_at(FixedLength(12), "a.bin"), cut_at(Lines(), "a.txt.gz")
    (1, 12, None)
    """
    if codec_of(path) is not None or isinstance(format, WholeTexts | WholeFiles):
        return None
    if isinstance(format, FixedLength):
        return format.length
    if isinstance(format, Lines | Csv):
        return 1 if is_cuttable(format.encoding) else None
    return 1


def can_be_shared(format: Format) -> bool:
    """Whether several tasks may unpack one file, each for the lines of its own share of what that holds.

    >>> can_be_shared(Lines()), can_be_shared(Lines("utf-16")), can_be_shared(Pickles())
    (True, False, False)
    """
    return isinstance(format, JsonLines) or (isinstance(format, Lines) and is_cuttable(format.encoding))
