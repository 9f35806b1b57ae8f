"""Compressed files: what Python's own modules pack is read, whole or not at all, and what we pack Python's modules read."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import headrace
from headrace.errors import InputError, ModuleMissing, UsageError
from headrace.execute.formats import codecs, pieces
from headrace.execute.formats.writing import writer_of
from headrace.plan.formats import Format, JsonLines, Lines, Pickles
from headrace.runtime.files import SystemFiles
from tests.execute.texts import TEXTS, oracle, split_of
from tests.formats.help import PACK, SUFFIX, read_whole

LINES = "".join(f"line {i} of a small file\n" for i in range(20)).encode()
codec_names = pytest.mark.parametrize("codec", sorted(PACK))
given_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _small_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "READ_BYTES", 17)
    monkeypatch.setattr(codecs, "FED", 5)


def read_bytes(folder: Path, data: bytes, suffix: str) -> list[str]:
    path = folder / f"file{suffix}"
    path.write_bytes(data)
    found: list[str] = read_whole(path, Lines())
    return found


@given_files
@given(texts=st.lists(TEXTS, max_size=4))
@codec_names
def test_members_one_after_the_other(tmp_path: Path, texts: list[str], codec: str) -> None:
    """A character or a line may begin in one member and end in the next."""
    data = "".join(texts).encode()
    cuts = sorted({0, len(data), len(data) // 3, len(data) // 2})
    members = [PACK[codec](data[a:b]) for a, b in itertools.pairwise(cuts)] or [PACK[codec](b"")]
    assert read_bytes(tmp_path, b"".join(members), SUFFIX[codec]) == oracle(data.decode())


@pytest.mark.parametrize("form", ["FORMAT_ALONE", "FORMAT_XZ"])
def test_lzma_in_its_old_form_too(tmp_path: Path, form: str) -> None:
    import lzma

    packed = lzma.compress(LINES, format=getattr(lzma, form))
    assert read_bytes(tmp_path, packed, ".lzma") == LINES.decode().splitlines()


@codec_names
def test_a_file_that_was_cut_off_anywhere_is_an_error(tmp_path: Path, codec: str) -> None:
    packed = PACK[codec](LINES)
    two = packed + PACK[codec](b"and more\n")
    for length in (*range(len(packed)), *range(len(packed) + 1, len(two))):
        with pytest.raises(InputError, match=r"truncated|is not a sound") as caught:
            read_bytes(tmp_path, two[:length], SUFFIX[codec])
        assert f"{tmp_path}/file{SUFFIX[codec]} is " in str(caught.value)
        assert "Fetch it again" in str(caught.value)


@codec_names
def test_no_changed_byte_of_what_we_write_passes_for_other_data(tmp_path: Path, codec: str) -> None:
    writer = writer_of(Lines(), codec)
    packed = writer.begin() + writer.encode(LINES.decode().splitlines()) + writer.finish()
    expected = LINES.decode().splitlines()
    refused = 0
    for place in range(len(packed)):
        broken = bytearray(packed)
        broken[place] ^= 0x15
        try:
            assert read_bytes(tmp_path, bytes(broken), SUFFIX[codec]) == expected
        except InputError:
            refused += 1
    assert refused > len(packed) * 0.8, "some bytes of a header mean nothing"


@codec_names
@pytest.mark.parametrize("garbage", [b"plain text\n" * 5, b"\x00\x01garbage", b"\x1f\x8b"])
def test_garbage_behind_the_last_member_is_an_error(tmp_path: Path, codec: str, garbage: bytes) -> None:
    with pytest.raises(InputError, match=r"truncated|is not a sound"):
        read_bytes(tmp_path, PACK[codec](LINES) + garbage, SUFFIX[codec])


@codec_names
def test_the_name_says_what_a_file_is(tmp_path: Path, codec: str) -> None:
    with pytest.raises(InputError, match=f"is not a sound {codec} file near byte 0|truncated"):
        read_bytes(tmp_path, LINES, SUFFIX[codec])


@codec_names
def test_pieces_are_small_however_well_a_file_is_packed(
    tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    path = tmp_path / f"file{SUFFIX[codec]}"
    size = 64 << 20 if codec == "zstd" else 8 << 20
    path.write_bytes(PACK[codec](bytes(size)))
    most = total = 0
    for piece in pieces.Input(SystemFiles(), split_of(path)).whole():
        most, total = max(most, len(piece.data)), total + len(piece.data)
    assert total == size
    assert most <= 33 << 20 if codec == "zstd" else most <= 4 * pieces.READ_BYTES


@given(words=st.lists(st.text("ab é", max_size=5), max_size=30), cut=st.integers(0, 30))
@codec_names
@pytest.mark.parametrize("format", [Lines(), JsonLines(), Pickles()], ids=lambda one: type(one).__name__)
def test_what_is_written_is_read(codec: str, format: Format, words: list[str], cut: int) -> None:
    if codec == "zstd":
        pytest.importorskip("zstandard")
    writer = writer_of(format, codec)
    data = writer.begin()
    for batch in (words[:cut], words[cut:]):
        data += writer.encode(batch) if batch else b""
    data += writer.finish()
    assert writer.suffix.endswith(SUFFIX[codec])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"file{writer.suffix}")
        path.write_bytes(data)
        assert read_whole(path, format) == words


def test_two_writers_write_the_same_bytes() -> None:
    """Two attempts at a task leave one file: it must not matter which."""
    for codec in PACK:
        written = []
        for _ in range(2):
            writer = writer_of(Lines(), codec)
            written.append(writer.begin() + writer.encode(["a", "b"]) + writer.finish())
        assert written[0] == written[1]


def test_without_a_package_for_zstd_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = codecs._imported

    def without(name: str) -> Any:
        if "zstd" in name or "zstandard" in name:
            raise ImportError(f"no module named {name}")
        return real(name)

    monkeypatch.setattr(codecs, "_imported", without)
    (tmp_path / "file.zst").write_bytes(b"")
    with headrace.connect("inline://", progress=False) as ctx:
        with pytest.raises(ModuleMissing, match=r"pip install 'headrace\[zstd\]'"):
            ctx.text_file(tmp_path / "file.zst")
        with pytest.raises(ModuleMissing, match=r"pip install 'headrace\[zstd\]'"):
            ctx.range(3).save_as_text_file(tmp_path / "out", compression="zstd")
        assert not (tmp_path / "out").exists()
        assert ctx.binary_files(tmp_path / "file.zst").values().collect() == [b""]


def test_python_s_own_zstd_is_taken_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its objects are those of bz2, which stand in for them here."""
    import bz2
    import types

    class Compressor:
        def __init__(self, level: int, options: dict[Any, Any]) -> None:
            self._inner = bz2.BZ2Compressor()
            self.compress, self.flush = self._inner.compress, self._inner.flush

    own = types.SimpleNamespace(
        ZstdDecompressor=bz2.BZ2Decompressor,
        ZstdCompressor=Compressor,
        CompressionParameter=types.SimpleNamespace(checksum_flag=201),
    )
    monkeypatch.setattr(codecs, "_imported", {"compression.zstd": own}.__getitem__)
    writer = writer_of(Lines(), "zstd")
    data = writer.begin() + writer.encode(["a", "b"]) + writer.finish()
    assert bz2.decompress(data) == b"a\nb\n"
    assert read_bytes(tmp_path, data, ".zst") == ["a", "b"]


@pytest.mark.parametrize("wrong", ["gz", "zip", "", True, 7, ["gzip"]])
def test_a_compression_that_is_none_is_refused(tmp_path: Path, wrong: Any) -> None:
    with headrace.connect("inline://", progress=False) as ctx, pytest.raises(UsageError, match="one of gzip, bz2"):
        ctx.range(3).save_as_text_file(tmp_path / "out", compression=wrong)
    assert not (tmp_path / "out").exists()
