"""From and to NumPy and pandas, which are imported only by programs that use them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from headrace.errors import ModuleMissing, UsageError
from headrace.execute.chunks import CHUNK_BYTES, CHUNK_RECORDS
from headrace.execute.flow import Pace

PLAIN = "biufcSUO"  # kinds of array whose elements Python has itself


def rows_of(records: Iterable[Any]) -> Sequence[Any]:
    """Return records as something that can be cut: a list, or an array whose rows are the records.

    A data frame gives a dictionary a row, a series its values, an array of one dimension its elements as Python's own.

    Raises:
        UsageError: these are no rows.

    """
    if isinstance(records, list | tuple):
        return records
    given: Any = records
    pandas, numpy = sys.modules.get("pandas"), sys.modules.get("numpy")
    if pandas is not None and isinstance(given, pandas.DataFrame):
        if not given.columns.is_unique:
            raise UsageError("parallelize needs a DataFrame whose columns have different names. Rename them.")
        rows: list[Any] = given.to_dict("records")
        return rows
    if pandas is not None and isinstance(given, pandas.Series | pandas.Index):
        return list(given)
    if numpy is not None and isinstance(given, numpy.ndarray):
        if given.ndim == 0:
            raise UsageError("parallelize needs an array of at least one dimension. Give it [array.item()].")
        if given.ndim > 1:
            array: Sequence[Any] = given
            return array
        return given.tolist() if given.dtype.kind in PLAIN else list(given)
    return list(records)


def batches(some: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut records into batches to be pickled; rows of an array stay together, which takes a tenth of the time."""
    if isinstance(some, list | tuple):
        yield from Pace().lists(iter(some))
        return
    array: Any = some
    each = max(1, min(CHUNK_RECORDS, CHUNK_BYTES // max(1, array[:1].nbytes)))
    for start in range(0, len(array), each):
        yield array[start : start + each]


def to_pandas(records: list[Any]) -> Any:
    """Make a data frame of rows."""
    return _needed("pandas", "to_pandas").DataFrame(records)


def to_numpy(records: list[Any], dtype: Any) -> Any:
    """Make an array of records."""
    return _needed("numpy", "to_numpy").array(records, dtype=dtype)


def _needed(package: str, name: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ModuleMissing(f"{name} needs the package {package}: {error}. Run: pip install {package}") from None
