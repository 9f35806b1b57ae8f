"""Which files to read, and how they are cut and packed into splits.

Large files are cut and small ones packed, so that the number of tasks follows the bytes; the order of the files is kept.
"""

from __future__ import annotations

import codecs
import glob
import os
import stat
from collections.abc import Iterable, Iterator

from headrace.errors import InputError, UsageError
from headrace.execute.formats.codecs import codec_of, unpacked_size
from headrace.execute.formats.fixed_length import odd_length
from headrace.execute.formats.reading import can_be_shared, cut_at
from headrace.plan.formats import FixedLength, Format
from headrace.plan.operators import Split

SPLIT_BYTES_MIN = 1 << 20
TASKS_PER_WORKER = 4  # as many splits at least, where the input is large enough
OVERFULL = 1.25  # a split may exceed its size by so much before it is cut


Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def find_files(paths: Paths, name: str = "text_file") -> list[str]:
    """List files: paths, globs and folders, each where it was named; a glob's and a folder's in sorted order.

    Args:
        name: of the operation that is to read them.

    Raises:
        InputError: nothing matches, or something cannot be read.
        UsageError: these are no paths.

    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    try:
        names = [os.fspath(path) for path in paths]
    except TypeError as error:
        raise UsageError(f"{error}. Give {name} a path, a glob, or a list of them.") from None
    for path in names:
        if not isinstance(path, str):
            raise UsageError(f"{path!r} is not text. Give {name} a path, a glob, or a list of them.")
    found: list[str] = []
    for path in names:
        found += _named(path)
    if not found:
        raise InputError("no input files were named. Give a path, a glob, or a list of them.")
    return found


def _named(path: str) -> Iterator[str]:
    if not os.path.lexists(path) and glob.has_magic(path):
        matches = [m for m in sorted(glob.glob(path, recursive=True)) if not os.path.isdir(m)]
        if not matches:
            raise InputError(f"no file matches {path!r} (in {_here()}). Check the pattern.")
        for match in matches:
            yield _readable(match)
    elif os.path.isdir(path):
        names = [name for name in sorted(_listed(path)) if not name.startswith(("_", "."))]
        files = [os.path.join(path, name) for name in names if not os.path.isdir(os.path.join(path, name))]
        if not files:
            raise InputError(f"the folder {path!r} has no files to read. Check the path.")
        for file in files:
            yield _readable(file)
    else:
        yield _readable(path)


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError as error:
        raise InputError(f"the folder {path!r} cannot be listed: {error.strerror}. Make it readable.") from None


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "a folder that is gone"


def _status(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except (OSError, ValueError) as error:  # a path with a NUL in it is a ValueError
        link = " (a link to nothing)" if os.path.islink(path) else ""
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{path!r}{link}: {why} (looked for from {_here()}). Check the path.") from None


def _readable(path: str) -> str:
    status = _status(path)
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is not a regular file. Give files, folders of files, or globs.")
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        raise InputError(f"{path}: permission denied. Make the file readable for the user who runs the job.")
    return os.path.abspath(path)


def check_encoding(encoding: str, errors: str) -> None:
    """Raise UsageError unless Python knows the encoding and the way to treat errors."""
    try:
        found = codecs.lookup(encoding)
        codecs.lookup_error(errors)
        if not getattr(found, "_is_text_encoding", True):  # such as zip, which Python lists among them
            raise LookupError(f"{encoding!r} does not make text of bytes")
    except (LookupError, TypeError) as error:
        raise UsageError(f"{error}. Use a name that Python knows, such as utf-8 and strict.") from None


def make_splits(
    paths: list[str], format: Format, *, split_bytes: int, workers: int, least: int | None
) -> tuple[tuple[Split, ...], ...]:
    """Cut and pack files into splits of about `split_bytes`; at least `least`, if the input can be cut so often."""
    statuses = [_status(path) for path in paths]
    total = sum(status.st_size for status in statuses)
    size = max(SPLIT_BYTES_MIN, min(split_bytes, total // (TASKS_PER_WORKER * workers)))
    if split_bytes < SPLIT_BYTES_MIN:
        size = split_bytes  # asked for
    if least is not None and least > 0:
        size = max(1, min(size, total // least))
    packed: list[list[Split]] = []
    room = 0
    for path, status in zip(paths, statuses, strict=True):
        share = -(-workers * status.st_size // max(1, total)) if can_be_shared(format) else 1
        for piece in _pieces(path, status, size, cut_at(format, path), share):
            length = piece.size if piece.stop is None else piece.stop - piece.start
            if not packed or length > room:
                packed.append([])
                room = int(size * OVERFULL)
            packed[-1].append(piece)
            room -= length
    return tuple(tuple(splits) for splits in packed)


def _pieces(path: str, status: os.stat_result, size: int, unit: int | None, share: int) -> Iterator[Split]:
    """Cut a file at multiples of a unit of bytes, if it can be cut at all.

    What is packed cannot be entered in the middle.  But unpacking is so much faster than what Python then does with each
    line that a large file is unpacked by several tasks, as many as workers would have nothing else to do.

    Args:
        share: how many workers the file deserves, by its part of the input.

    """
    length, modified = status.st_size, status.st_mtime_ns
    if share > 1 and codec_of(path) is not None and (holds := unpacked_size(path)) is not None:
        number = max(1, min(share, holds // size))
        for i in range(number):
            stop = holds * (i + 1) // number if i + 1 < number else None  # the last reads on, however much there is
            yield Split(path, holds * i // number, stop, length, modified)
        return
    if unit is None or length <= max(size, unit) * OVERFULL:
        yield Split(path, 0, None, length, modified)
        return
    units = length // unit
    number = min(units, -(-length // size))
    for i in range(number):
        yield Split(path, units * i // number * unit, units * (i + 1) // number * unit, length, modified)


def check_lengths(paths: list[str], format: FixedLength) -> None:
    """Raise InputError where a file does not hold a whole number of records, as far as its size tells."""
    for path in paths:
        size = _status(path).st_size
        if codec_of(path) is None and (left := size % format.length):
            raise odd_length(path, f"byte {size - left:,}", format.length, left)
