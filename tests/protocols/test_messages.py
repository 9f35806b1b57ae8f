"""Messages between processes: what is written is read back, and whatever else comes is refused as a whole."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.errors import PeerRefused
from headrace.protocols import messages
from headrace.protocols.channel import Framing, framed
from headrace.protocols.messages import CONTROL_BYTES_MAX, DATA_BYTES_MAX, Message, decode, encode

KINDS: tuple[type[msgspec.Struct], ...] = get_args(Message)
WORD = st.integers(-(2**63), 2**64 - 1)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a field, by its type."""
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        if inner[-1] is Ellipsis:
            return st.lists(values(inner[0]), max_size=4).map(tuple)
        return st.tuples(*map(values, inner))
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    return {int: WORD, str: st.text(max_size=12), bytes: st.binary(max_size=12), bool: st.booleans()}[kind]


def of(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: values(hints[name]) for name in kind.__struct_fields__})


MESSAGES = st.one_of(*map(of, KINDS))


def fields(message: msgspec.Struct) -> list[Any]:
    return [type(message).__name__, *(getattr(message, name) for name in message.__struct_fields__)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_message_is_read_back(kind: type[msgspec.Struct]) -> None:
    @given(of(kind))
    def read_back(message: Any) -> None:
        there = decode(encode(message))
        assert there == message
        assert type(there) is kind

    read_back()


def test_messages_do_not_name_each_other() -> None:
    """Each has a name of its own: otherwise one would be read as another."""
    assert len({kind.__name__ for kind in KINDS}) == len(KINDS) == len(vars(messages)["Message"].__args__)


@given(st.binary(max_size=60))
@example(b"")
@example(b"\xdd\xff\xff\xff\xff")  # an array said to have four thousand million elements
@example(b"\x93\xa7Settled\xdd\xff\xff\xff\xff\x01\x02")
@example(b"\x94\xa4Blob\xdb\xff\xff\xff\xffab")
@example(b"\x94\xa4Blob\xa2\xff\xfe\xc2\xc4\x00")  # no UTF-8
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    read_or_refused(data)


@pytest.mark.parametrize("opening", [b"\x91", b"\x81", b"\x92\xa4Need\x91"], ids=["arrays", "maps", "in a field"])
def test_deep_nesting_is_refused(opening: bytes) -> None:
    with pytest.raises(PeerRefused):
        decode(opening + opening[-1:] * 100_000)


@given(MESSAGES, st.integers(0, 1 << 20), st.binary(max_size=6), st.integers(0, 6))
def test_damaged_messages_are_refused_or_are_other_messages(message: Any, at: int, put: bytes, cut: int) -> None:
    data = encode(message)
    at %= len(data) + 1
    read_or_refused(data[:at] + put + data[at + cut :])


def read_or_refused(data: bytes) -> None:
    try:
        message = decode(data)
    except PeerRefused:
        return
    assert isinstance(message, KINDS)
    assert decode(encode(message)) == message


def misfits(message: msgspec.Struct) -> Iterator[list[Any]]:
    """The message with a field too many, one too few, or one of another type."""
    whole = fields(message)
    yield [*whole, 0]
    if len(whole) > 1:
        yield whole[:-1]
    for at in range(1, len(whole)):
        for other in (None, 1.5, {"a": 1}, [["x"]], "text", "7", b"bytes", 7, True):
            # bytes and text are two kinds in MessagePack, and whole numbers and truth values, too
            if not fits(whole[at], other):
                yield [*whole[:at], other, *whole[at + 1 :]]
    yield [whole[0] + "?", *whole[1:]]


def fits(value: Any, other: Any) -> bool:
    return type(value) is type(other) or (isinstance(value, bytes) and isinstance(other, str))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_does_not_fit_the_schema_is_refused(kind: type[msgspec.Struct]) -> None:
    @given(of(kind))
    def refused(message: Any) -> None:
        for misfit in misfits(message):
            with pytest.raises(PeerRefused):
                print(misfit, decode(msgspec.msgpack.encode(misfit)))

    refused()


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return eval, ("1 / 0",)


@given(st.sampled_from([0, 2, 4, 5]))
def test_nothing_is_unpickled(protocol: int) -> None:
    with pytest.raises(PeerRefused):
        decode(pickle.dumps(Trap(), protocol))


@pytest.mark.parametrize("limit", [CONTROL_BYTES_MAX, DATA_BYTES_MAX])
def test_frames_that_are_too_large_are_refused(limit: int) -> None:
    frame = encode(messages.Piece(1, 0, limit, bytes(limit - 40)))
    assert len(frame) <= limit
    assert [decode(data) for data in Framing(limit).receive(framed(frame))]
    with pytest.raises(PeerRefused):
        list(Framing(limit).receive(framed(bytes(limit + 1))))


# Bugs that these tests must notice.


def loose(data: bytes) -> Any:
    """A decoder that forgives."""
    try:
        return msgspec.msgpack.decode(data, type=Message, strict=False)
    except msgspec.MsgspecError as error:
        raise PeerRefused("no message of ours") from error


def raw(data: bytes) -> Any:
    """A decoder whose errors are its own."""
    return msgspec.msgpack.decode(data, type=Message)


def trusting(data: bytes) -> Any:
    return pickle.loads(data)


@pytest.mark.parametrize(
    ("bug", "decoder", "test"),
    [
        ("other types are forgiven", loose, lambda: test_what_does_not_fit_the_schema_is_refused(messages.Pull)),
        ("bad bytes raise whatever they raise", raw, lambda: read_or_refused(b"\x94\xa4Blob\xa2\xff\xfe\xc2\xc4\x00")),
        ("messages are pickled", trusting, lambda: test_nothing_is_unpickled()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_is_noticed(bug: str, decoder: Any, test: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "decode", decoder)
    with pytest.raises((AssertionError, UnicodeDecodeError, ZeroDivisionError, pytest.fail.Exception)):
        test()
