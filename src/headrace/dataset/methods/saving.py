"""Where records go: to files, all or nothing, and to pandas and NumPy."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from typing import Any, TypeVar

from headrace.dataset import actions, outputs, tabular
from headrace.dataset.files import dialect_of
from headrace.dataset.frames import action
from headrace.dataset.methods.handle import Handle
from headrace.errors import UsageError
from headrace.plan.formats import Csv, JsonLines, Lines, Pickles

T = TypeVar("T")
Path = str | os.PathLike[str]


class Saving(Handle[T]):
    """Actions that write files or leave for other libraries."""

    __slots__ = ()

    @action
    def save_as_text_file(self, path: Path, compression: str | None = None, overwrite: bool = False) -> None:
        """Write each record's text as a line, in one file for each partition, all or nothing: `_SUCCESS` comes last.

        Args:
            path: of a folder that is made.
            compression: "gzip", "bz2", "xz" or "zstd"; none unless said.
            overwrite: replace all files in the folder if it is there; folders in it are not touched but refused.

        Raises:
            OutputExists: the folder is there, and `overwrite` is not said.
            OutputError: the folder cannot be made, or another job has written it meanwhile.

        >>> ctx.parallelize([("a", 1), ("b", 2)], 2).save_as_text_file(f"{folder}/pairs")
        >>> sorted(os.listdir(f"{folder}/pairs"))
        ['_SUCCESS', 'part-00000', 'part-00001']

        """
        outputs.save(self._engine, self._operator, "save_as_text_file", path, Lines(), compression, overwrite=overwrite)

    @action
    def save_as_json_lines(self, path: Path, compression: str | None = None, overwrite: bool = False) -> None:
        """Write each record as one line of JSON; folder and files as for `save_as_text_file`.

        Args:
            path, compression, overwrite: as for `save_as_text_file`.

        Raises:
            TaskFailed: a record is nothing that `json.dumps` takes.

        >>> ctx.parallelize([{"word": "mühle", "count": 2}], 1).save_as_json_lines(f"{folder}/counts")
        >>> ctx.text_file(f"{folder}/counts").collect()
        ['{"word":"mühle","count":2}']

        """
        outputs.save(
            self._engine, self._operator, "save_as_json_lines", path, JsonLines(), compression, overwrite=overwrite
        )

    @action
    def save_as_csv(
        self,
        path: Path,
        compression: str | None = None,
        overwrite: bool = False,
        *,
        header: Iterable[str] | None = None,
        dialect: str | csv.Dialect | type[csv.Dialect] = "excel",
        **how: Any,
    ) -> None:
        r"""Write each record as a row; folder and files as for `save_as_text_file`.

        A record is a list or tuple of fields, or a dictionary.

        Args:
            path, compression, overwrite: as for `save_as_text_file`.
            header: names of the columns, which become the first row of every file; dictionaries need them.
            dialect, how: as for `csv.writer`: ``delimiter=";"``, ``lineterminator="\n"`` and so on.

        Raises:
            TaskFailed: a record is no row.

        >>> rows = ctx.parallelize([{"word": "mill", "count": 2}, {"word": "a, b"}], 1)
        >>> rows.save_as_csv(f"{folder}/rows", header=["word", "count"])
        >>> ctx.text_file(f"{folder}/rows").collect()
        ['word,count', 'mill,2', '"a, b",']

        """
        if isinstance(header, str | bytes | bool) or not isinstance(header, Iterable | None):
            raise UsageError(f"save_as_csv: header must be the names of the columns, not {header!r}.")
        format = Csv(
            dialect_of("save_as_csv", dialect, how),
            header=header is not None,
            names=None if header is None else tuple(header),
        )
        outputs.save(self._engine, self._operator, "save_as_csv", path, format, compression, overwrite=overwrite)

    @action
    def save_as_pickle_file(self, path: Path, compression: str | None = None, overwrite: bool = False) -> None:
        """Write the records as they are, for `ctx.pickle_file`; folder and files as for `save_as_text_file`.

        Args:
            path, compression, overwrite: as for `save_as_text_file`; what is compressed cannot be cut when it is read.

        >>> ctx.range(3, num_slices=1).save_as_pickle_file(f"{folder}/numbers")
        >>> ctx.pickle_file(f"{folder}/numbers").collect()
        [0, 1, 2]

        """
        outputs.save(
            self._engine, self._operator, "save_as_pickle_file", path, Pickles(), compression, overwrite=overwrite
        )

    @action
    def to_pandas(self) -> Any:
        """Bring all records as a pandas DataFrame, a row each: of dictionaries, tuples, lists, or single values.

        Raises:
            ModuleMissing: pandas is not installed.

        >>> frame = ctx.parallelize([{"a": 1}, {"a": 2}]).to_pandas()  # doctest: +SKIP
        >>> list(frame["a"])  # doctest: +SKIP
        [1, 2]

        """
        return tabular.to_pandas(actions.collect(self._engine, self._operator))

    @action
    def to_numpy(self, dtype: Any = None) -> Any:
        """Bring all records as a NumPy array, whose rows they are.

        Args:
            dtype: of the array; what NumPy makes out unless said.

        Raises:
            ModuleMissing: NumPy is not installed.

        >>> ctx.parallelize([[1, 2], [3, 4]]).to_numpy().sum()  # doctest: +SKIP
        10

        """
        return tabular.to_numpy(actions.collect(self._engine, self._operator), dtype)
