"""A file that is being read: pieces of its bytes, unpacked where its name says that it is compressed."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from headrace.errors import InputError
from headrace.execute.formats.codecs import Codec, Decompressor, codec_of
from headrace.plan.operators import Split
from headrace.ports import Files

READ_BYTES = 1 << 18


class Piece(Struct, frozen=True):
    """Some bytes of a file.

    Attributes:
        offset: where they begin: in the file, or in what it holds uncompressed.
        read: how much of the split is read with them, in bytes of the file.

    """

    data: bytes
    offset: int
    read: int


class Input:
    """A split's file, open for reading.  Whatever is wrong with it is an InputError that names it and the place.

    Attributes:
        start, stop: which part of the file is to be read; where it is compressed, of what it holds.
        codec: how it is compressed; then all of it is to be unpacked, up to the part's end.

    """

    def __init__(self, files: Files, split: Split, *, raw: bool = False) -> None:
        self.path, self.size, self.start = split.path, split.size, split.start
        self.stop = split.size if split.stop is None else split.stop
        self.to_the_end = split.stop is None
        self.codec = None if raw else codec_of(split.path)
        try:
            self._file = files.open(split.path)
        except OSError as error:
            raise InputError(
                f"{split.path}: {error.strerror or error}. The file was there when the job was made."
            ) from error
        if self._file.size != split.size or self._file.modified_ns != split.modified_ns:
            self._file.close()
            raise InputError(
                f"{split.path} changed while the job was running: it had {split.size:,} bytes and has "
                f"{self._file.size:,}. Run the job on files that nobody writes to."
            )

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def read(self, at: int, length: int) -> bytes:
        """Read some bytes from a place on: at least one, and not more than are asked for."""
        try:
            data = self._file.pread(at, min(READ_BYTES, length))
        except OSError as error:
            raise InputError(f"{self.path}: byte {at:,} cannot be read: {error.strerror or error}.") from error
        if not data:
            raise InputError(
                f"{self.path} ends at byte {at:,}, before its {self.size:,} bytes were read. Run the job on files that "
                "nobody writes to."
            )
        return data

    def part(self, start: int, stop: int) -> Iterator[Piece]:
        """Give the bytes of a part of the file as they are."""
        at = start
        while at < stop:
            data = self.read(at, stop - at)
            at += len(data)
            yield Piece(data, at - len(data), max(0, at - self.start))

    def whole(self) -> Iterator[Piece]:
        """Give all that the file holds, unpacked."""
        return self.part(0, self.size) if self.codec is None else self._unpacked(self.codec)

    def lines(self) -> Iterator[Piece]:
        r"""Give the bytes of the lines that begin in the split; only ``\n`` ends one here.

        A line that begins before a split belongs to the split before, which reads on until that line ends.
        """
        if self.codec is not None:
            yield from self._share(self._unpacked(self.codec))
            return
        at, stop = self.start, self.stop
        if at > 0:
            at = self.after_newline(at - 1)
        while at < stop:
            data = self.read(at, stop - at)
            start, at = at, at + len(data)
            if at >= stop and not data.endswith(b"\n"):
                stop = self.after_newline(at)  # the last line that begins here ends later
            yield Piece(data, start, at - self.start)

    def _share(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        """Take the lines that begin in the split out of all that a file holds."""
        begin = 0 if self.start == 0 else None
        for piece in pieces:
            if begin is None:
                begin = self._behind_newline(piece, self.start - 1)
                if begin is None:
                    continue
            end = None if self.to_the_end else self._behind_newline(piece, self.stop - 1)
            data = piece.data[max(0, begin - piece.offset) : None if end is None else end - piece.offset]
            if data:
                read = piece.read if self.to_the_end else piece.offset + len(piece.data) - self.start
                yield Piece(data, max(begin, piece.offset), read)
            if end is not None:
                return

    @staticmethod
    def _behind_newline(piece: Piece, at: int) -> int | None:
        r"""Return the place after the first ``\n`` at or after a place, if that is in a piece."""
        found = piece.data.find(b"\n", max(0, at - piece.offset))
        return piece.offset + found + 1 if found >= 0 else None

    def after_newline(self, at: int) -> int:
        r"""Return the place after the first ``\n`` at or after a place; the file's end if there is none."""
        while at < self.size:
            data = self.read(at, self.size - at)
            found = data.find(b"\n")
            if found >= 0:
                return at + found + 1
            at += len(data)
        return at

    def _unpacked(self, codec: Codec) -> Iterator[Piece]:
        """Unpack a file of any number of members."""
        at = offset = members = 0
        member: Decompressor | None = None
        while at < self.size:
            data = self.read(at, self.size - at)
            start, at = at, at + len(data)
            while True:
                if member is None:
                    data = data.lstrip(b"\0") if members and codec.padded else data
                    if not data:
                        break
                    member = codec.decompressor()
                    members += 1
                try:
                    plain = member.decompress(data, 4 * READ_BYTES)
                except Exception as error:  # each library has its own
                    raise InputError(
                        f"{self.path} is not a sound {codec.name} file near byte {start:,}: {error}. Fetch it again, or "
                        "rename it if it is not compressed."
                    ) from error
                if plain:
                    yield Piece(plain, offset, at)
                    offset += len(plain)
                if member.eof:
                    data, member = member.unused_data, None
                elif member.needs_input:
                    break
                else:
                    data = b""
        if member is not None or not members:
            raise InputError(
                f"{self.path} is truncated: the {codec.name} data end at byte {at:,}, within a member. Fetch it again."
            )

    def where(self, offset: int) -> str:
        """Name a byte of what the file holds."""
        return f"byte {offset:,}{' of the uncompressed data' if self.codec is not None else ''}"

    def lines_before(self, offset: int) -> int:
        """Count the lines that end before a byte of what the file holds; slow, for messages."""
        found, last = 0, b""
        for piece in self.part(0, offset) if self.codec is None else self._unpacked(self.codec):
            if piece.offset >= offset:
                break
            data = piece.data[: offset - piece.offset]
            found += data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n") - (last == b"\r" and data[:1] == b"\n")
            last = data[-1:]
        return found


def blocks(pieces: Iterator[Piece]) -> Iterator[Piece]:
    r"""Join and cut pieces so that each ends with a ``\n``, but for the last."""
    held: list[bytes] = []
    offset = read = 0  # of what is held
    for piece in pieces:
        read = piece.read
        if not held:
            offset = piece.offset
        end = piece.data.rfind(b"\n") + 1
        if not end:
            held.append(piece.data)
            continue
        whole = b"".join((*held, piece.data[:end])) if held else piece.data[:end]
        yield Piece(whole, offset, read)
        offset += len(whole)
        held = [piece.data[end:]] if end < len(piece.data) else []
    if held:
        yield Piece(b"".join(held), offset, read)
