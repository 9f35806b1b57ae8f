"""Bytes: files of them, records of a fixed number, and pickles."""

from __future__ import annotations

from typing import Any

from headrace.dataset.arguments import whole
from headrace.dataset.dataset import Dataset
from headrace.dataset.sources.door import Door
from headrace.plan.formats import FixedLength, Pickles, WholeFiles
from headrace.store.inputs import Paths


class Binaries(Door):
    """Sources of bytes."""

    def binary_files(self, path: Paths, min_partitions: int | None = None) -> Dataset[tuple[str, bytes]]:
        r"""Read files, each as one record: its absolute path, and its bytes as they are, also if it is compressed.

        Args:
            path: a file, a glob, a folder, or a list of those.
            min_partitions: about so many, as far as there are files.

        >>> _ = (folder / "one.bin").write_bytes(bytes(3))
        >>> ctx.binary_files(folder / "one.bin").values().collect()
        [b'\x00\x00\x00']

        """
        return self._read("binary_files", path, WholeFiles(), min_partitions)

    def binary_records(self, path: Paths, record_length: int, min_partitions: int | None = None) -> Dataset[bytes]:
        """Read records of so many bytes each.

        Args:
            path: a file, a glob, a folder, or a list of those; unpacked as for `text_file`.
            record_length: bytes of a record.
            min_partitions: at least so many, as far as the input can be cut.

        Raises:
            InputError: nothing matches, or a file does not hold a whole number of records.

        >>> _ = (folder / "numbers.bin").write_bytes(b"abcdef")
        >>> ctx.binary_records(folder / "numbers.bin", 2).collect()
        [b'ab', b'cd', b'ef']

        """
        length = whole(record_length, "record_length", 1)
        return self._read("binary_records", path, FixedLength(length), min_partitions)

    def pickle_file(self, path: Paths, min_partitions: int | None = None) -> Dataset[Any]:
        """Read what `save_as_pickle_file` wrote, or files into which a program has pickled one value after the other.

        **Unpickling runs code that the file names.**  Read only files that you trust as you trust your program.

        Args:
            path: a file, a glob, a folder, or a list of those; unpacked as for `text_file`.
            min_partitions: at least so many, as far as the input can be cut: what `save_as_pickle_file` wrote can.

        Raises:
            InputError: nothing matches, or a file is broken or truncated.

        >>> ctx.parallelize([1, "two", {3}], 2).save_as_pickle_file(f"{folder}/pickles")
        >>> ctx.pickle_file(f"{folder}/pickles").collect()
        [1, 'two', {3}]

        """
        return self._read("pickle_file", path, Pickles(), min_partitions)
