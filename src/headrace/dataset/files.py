"""Datasets of what files hold, in any format."""

from __future__ import annotations

import csv
import io
from typing import Any

from headrace.dataset.arguments import whole
from headrace.dataset.engine import Engine
from headrace.errors import UsageError
from headrace.execute.formats.codecs import codec_of
from headrace.plan.formats import Csv, Dialect, FixedLength, Format, Lines, WholeFiles, WholeTexts
from headrace.plan.operators import Operator, ReadFiles
from headrace.store.inputs import Paths, check_encoding, check_lengths, find_files, make_splits


def read(engine: Engine, name: str, paths: Paths, format: Format, least: int | None) -> Operator:
    """Read files."""
    if isinstance(format, Lines | Csv | WholeTexts):
        check_encoding(format.encoding, format.errors)
    least = None if least is None else whole(least, "min_partitions", 0)
    found = find_files(paths, name)
    if isinstance(format, FixedLength):
        check_lengths(found, format)
    if not isinstance(format, WholeFiles):
        for codec in {codec.name: codec for path in found if (codec := codec_of(path)) is not None}.values():
            codec.decompressor()  # says here, not in a task, what is not installed
    splits = make_splits(
        found, format, split_bytes=engine.config.data.split_bytes, workers=engine.config.workers, least=least
    )
    return engine.operator(name, ReadFiles(splits, format), partitions=len(splits))


def dialect_of(name: str, dialect: Any, arguments: dict[str, Any]) -> Dialect:
    """Have module `csv` make out a dialect.

    Raises:
        UsageError: it cannot, or the dialect takes ends of lines for something else.

    """
    try:
        found = csv.writer(io.StringIO(), dialect, **arguments).dialect
        for special in (found.delimiter, found.quotechar, found.escapechar):
            if special in ("\r", "\n"):
                raise csv.Error(f"{special!r} ends lines")
    except (csv.Error, TypeError, ValueError) as error:
        raise UsageError(f"{name}: {error}. Give it a dialect as module csv has them.") from None
    return Dialect(
        found.delimiter,
        found.quotechar,
        found.escapechar,
        bool(found.doublequote),
        bool(found.skipinitialspace),
        found.lineterminator,
        int(found.quoting),
        bool(found.strict),
    )
