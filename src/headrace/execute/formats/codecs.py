"""Compression, by the name of a file: one table for all that is read and written.

What is compressed is read from its beginning, a piece at a time: none of these formats can be entered in the middle.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct

from headrace.errors import ModuleMissing, UsageError

TRAILER = 4  # bytes at the end of a gzip member: how much it holds
RATIO_MAX = 1032  # to which gzip can pack anything
FED = 1 << 10  # bytes given to a decompressor that cannot be told when to stop: of zeros, they make 32 MB
LEVEL = 3  # of zstd: its own default


class Decompressor(Protocol):
    """Unpacks one member of a file, as those of bz2 and lzma do."""

    @property
    def eof(self) -> bool:
        """Whether the member has ended."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What was given beyond the end of the member."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether all that was given is used up."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Unpack some more; what is left over of the data is kept, and goes on with b""."""
        ...


class Compressor(Protocol):
    """Packs one member."""

    def compress(self, data: bytes, /) -> bytes:
        """Pack some more; nothing may come out yet."""
        ...

    def flush(self) -> bytes:
        """Return the rest."""
        ...


class Codec(Struct, frozen=True):
    """A way to compress files.

    Attributes:
        suffixes: of file names; the first is the one that is written.
        padded: zeros may follow its members.

    """

    name: str
    suffixes: tuple[str, ...]
    decompressor: Callable[[], Decompressor]
    compressor: Callable[[], Compressor]
    padded: bool = False


class _Gzip:
    """zlib's own object hands back what it did not look at; the others keep it."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail or data, max_length)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail


class _Zstandard:
    """The object of package `zstandard` unpacks all that it is given: so it is given little at a time."""

    def __init__(self, module: Any) -> None:
        self._inner = module.ZstdDecompressor().decompressobj()
        self._data, self._at = b"", 0

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if self.needs_input:
            self._data, self._at = data, 0
        plain = bytearray()
        while len(plain) < max_length and not self.needs_input and not self._inner.eof:
            plain += self._inner.decompress(self._data[self._at : self._at + FED])
            self._at += FED
        return bytes(plain)

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inner.unused_data) + self._data[self._at :]

    @property
    def needs_input(self) -> bool:
        return self._at >= len(self._data)


def _gzip_compressor() -> Compressor:
    return zlib.compressobj(wbits=31)


def _bz2(name: str) -> Callable[[], Any]:
    def make() -> Any:
        return getattr(_imported("bz2"), name)()

    return make


def _lzma(name: str) -> Callable[[], Any]:
    def make() -> Any:
        return getattr(_imported("lzma"), name)()

    return make


def _zstd() -> tuple[Any, bool]:
    """Return what can do zstd, and whether it is Python's own."""
    try:
        return _imported("compression.zstd"), True  # from Python 3.14 on
    except ImportError:
        pass
    try:
        return _imported("zstandard"), False
    except ImportError:
        raise ModuleMissing(
            "files in zstd need the package zstandard, or Python 3.14. Run: pip install 'headrace[zstd]'"
        ) from None


def _zstd_decompressor() -> Decompressor:
    module, own = _zstd()
    made: Decompressor = module.ZstdDecompressor() if own else _Zstandard(module)
    return made


def _zstd_compressor() -> Compressor:
    module, own = _zstd()
    made: Compressor
    if own:
        made = module.ZstdCompressor(LEVEL, {module.CompressionParameter.checksum_flag: 1})
    else:
        made = module.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj()
    return made


def _imported(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        if name in ("bz2", "lzma"):
            raise ModuleMissing(f"this Python was built without {name}: {error}. Use one that has it.") from None
        raise


CODECS = {
    codec.name: codec
    for codec in (
        Codec("gzip", (".gz",), _Gzip, _gzip_compressor, padded=True),
        Codec("bz2", (".bz2",), _bz2("BZ2Decompressor"), _bz2("BZ2Compressor")),
        Codec("xz", (".xz", ".lzma"), _lzma("LZMADecompressor"), _lzma("LZMACompressor"), padded=True),
        Codec("zstd", (".zst", ".zstd"), _zstd_decompressor, _zstd_compressor),
    )
}


def codec_of(path: str) -> Codec | None:
    """Return how a file is compressed, by its name.

    >>> codec_of("books.txt.gz").name, codec_of("books.txt")
    ('gzip', None)
    """
    for codec in CODECS.values():
        if path.endswith(codec.suffixes):
            return codec
    return None


def unpacked_size(path: str) -> int | None:
    """Estimate how much a file holds unpacked, if that is written in it: of gzip, what its last member says of itself.

    It is wrong for files of several members, and for 4 GiB and more: a reason to cut a file badly, not to read it wrongly.
    """
    codec = codec_of(path)
    if codec is None or codec.name != "gzip":
        return None
    try:
        with open(path, "rb") as file:
            packed = file.seek(-TRAILER, os.SEEK_END) + TRAILER
            (size,) = struct.unpack("<I", file.read(TRAILER))
    except OSError:
        return None
    return size if packed <= size <= packed * RATIO_MAX else None


def check_codec(name: str | None) -> None:
    """See that files can be compressed as the program asks.

    Raises:
        UsageError: there is no codec of that name.
        ModuleMissing: it needs a package that is not installed.

    """
    if name is not None:
        if not isinstance(name, str) or name not in CODECS:
            raise UsageError(f"compression must be None or one of {', '.join(CODECS)}, not {name!r}.")
        CODECS[name].compressor()
