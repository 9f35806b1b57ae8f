"""Text, by lines and by files."""

from __future__ import annotations

from headrace.dataset.dataset import Dataset
from headrace.dataset.sources.door import Door
from headrace.plan.formats import Lines, WholeTexts
from headrace.store.inputs import Paths


class Texts(Door):
    """Sources of text."""

    def text_file(
        self, path: Paths, min_partitions: int | None = None, *, encoding: str = "utf-8", errors: str = "strict"
    ) -> Dataset[str]:
        r"""Read the lines of text files, without their ends (``\n``, ``\r\n`` or ``\r``).

        Files are unpacked where their name ends in ``.gz``, ``.bz2``, ``.xz``, ``.lzma``, ``.zst`` or ``.zstd``, in all
        formats.  The last two need the package `zstandard`, or Python 3.14.

        Args:
            path: a file, a glob, a folder, or a list of those.
            min_partitions: at least so many, as far as the input can be cut; what is compressed cannot.
            encoding: of the text, as Python names it.
            errors: what to do with undecodable bytes, as for `bytes.decode`.

        Raises:
            InputError: nothing matches, or something cannot be read.
            UsageError: the encoding is unknown.

        >>> ctx.parallelize(["to be", "or not"], 2).save_as_text_file(f"{folder}/lines", compression="gzip")
        >>> ctx.text_file(f"{folder}/lines/part-*").collect()
        ['to be', 'or not']

        """
        return self._read("text_file", path, Lines(encoding, errors), min_partitions)

    def whole_text_files(
        self, path: Paths, min_partitions: int | None = None, *, encoding: str = "utf-8", errors: str = "strict"
    ) -> Dataset[tuple[str, str]]:
        r"""Read text files, each as one record: its absolute path, and its text as it is, ends of lines included.

        Args:
            path: a file, a glob, a folder, or a list of those; unpacked as for `text_file`.
            min_partitions: about so many, as far as there are files.
            encoding: of the text, as Python names it.
            errors: what to do with undecodable bytes, as for `bytes.decode`.

        >>> ctx.parallelize(["to be", "or not"], 1).save_as_text_file(f"{folder}/whole")
        >>> ctx.whole_text_files(f"{folder}/whole").values().collect()
        ['to be\nor not\n']

        """
        return self._read("whole_text_files", path, WholeTexts(encoding, errors), min_partitions)
