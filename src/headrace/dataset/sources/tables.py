"""Records that are text with a structure: JSON and CSV."""

from __future__ import annotations

import csv
from typing import Any, Literal, overload

from headrace.dataset.arguments import whole
from headrace.dataset.dataset import Dataset
from headrace.dataset.files import dialect_of
from headrace.dataset.sources.door import Door
from headrace.plan.formats import Csv, JsonLines
from headrace.store.inputs import Paths

FIELD_LIMIT = 131072  # of module csv


class Tables(Door):
    """Sources of structured records."""

    def json_lines(self, path: Paths, min_partitions: int | None = None) -> Dataset[Any]:
        r"""Read one JSON value a line, as `json.loads` reads it; blank lines are skipped.

        Only ``\n`` and ``\r\n`` end a line, and files are UTF-8, as JSON has to be.

        Args:
            path: a file, a glob, a folder, or a list of those; unpacked as for `text_file`.
            min_partitions: at least so many, as far as the input can be cut.

        Raises:
            InputError: nothing matches, or a line is not JSON: the job says file, line and column.

        >>> ctx.parallelize([{"to": "be"}, [2, None]], 1).save_as_json_lines(f"{folder}/json")
        >>> ctx.json_lines(f"{folder}/json").collect()
        [{'to': 'be'}, [2, None]]

        """
        return self._read("json_lines", path, JsonLines(), min_partitions)

    @overload
    def csv(
        self,
        path: Paths,
        min_partitions: int | None = None,
        *,
        header: Literal[False] = False,
        dialect: str | csv.Dialect | type[csv.Dialect] = "excel",
        encoding: str = "utf-8",
        errors: str = "strict",
        field_limit: int = FIELD_LIMIT,
        **how: Any,
    ) -> Dataset[list[Any]]: ...

    @overload
    def csv(
        self,
        path: Paths,
        min_partitions: int | None = None,
        *,
        header: Literal[True],
        dialect: str | csv.Dialect | type[csv.Dialect] = "excel",
        encoding: str = "utf-8",
        errors: str = "strict",
        field_limit: int = FIELD_LIMIT,
        **how: Any,
    ) -> Dataset[dict[Any, Any]]: ...

    def csv(
        self,
        path: Paths,
        min_partitions: int | None = None,
        *,
        header: bool = False,
        dialect: str | csv.Dialect | type[csv.Dialect] = "excel",
        encoding: str = "utf-8",
        errors: str = "strict",
        field_limit: int = FIELD_LIMIT,
        **how: Any,
    ) -> Dataset[Any]:
        r"""Read rows of CSV files, as `csv.reader` reads them: lists of text; rows may span lines.

        Large files are cut all the same, where rows begin for certain (see `headrace.execute.formats.csv_rows`).

        Args:
            path: a file, a glob, a folder, or a list of those; unpacked as for `text_file`.
            min_partitions: at least so many, as far as the input can be cut.
            header: the first row of each file has the names of the columns, and rows are dictionaries, as
                `csv.DictReader` makes them.
            dialect, how: as for `csv.reader`: ``delimiter=";"``, ``quoting=csv.QUOTE_NONNUMERIC`` and so on.
            encoding: of the text, as Python names it.
            errors: what to do with undecodable bytes, as for `bytes.decode`.
            field_limit: the most characters that a field may have; a quote that nothing closes makes a field of all the
                rest.

        Raises:
            InputError: nothing matches, or a row is broken: the job says file and line.
            UsageError: the dialect means nothing.

        >>> ctx.parallelize([("to", "be,\nor"), ("not", 2)], 1).save_as_csv(f"{folder}/rows", header=["a", "b"])
        >>> ctx.csv(f"{folder}/rows", header=True).collect()
        [{'a': 'to', 'b': 'be,\nor'}, {'a': 'not', 'b': '2'}]

        """
        format = Csv(
            dialect_of("csv", dialect, how),
            header=bool(header),
            encoding=encoding,
            errors=errors,
            field_limit=whole(field_limit, "field_limit", 1),
        )
        return self._read("csv", path, format, min_partitions)
